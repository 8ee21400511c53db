#include "agent/api/protobuf_schema.h"

namespace kubenatd::agent::api {
namespace {

using Form = ProtobufField::Form;
using Zero = ProtobufField::Zero;
using Field = ProtobufField;

constexpr Field message(std::uint32_t number, std::string_view name, const ProtobufMessage& of) {
  return {number, name, Form::kMessage, Zero::kValue, &of};
}
constexpr Field messages(std::uint32_t number, std::string_view name, const ProtobufMessage& of) {
  return {number, name, Form::kMessages, Zero::kValue, &of};
}
constexpr Field texts(std::uint32_t number, std::string_view name) {
  return {number, name, Form::kTexts, Zero::kValue};
}

// apimachinery/pkg/apis/meta/v1

constexpr Field kObjectMetaFields[] = {
    {1, "name"},
    {3, "namespace"},
    {6, "resourceVersion"},
    {8, "creationTimestamp", Form::kTime},
    {9, "deletionTimestamp", Form::kTime},
    {11, "labels", Form::kTextMap},
    {12, "annotations", Form::kTextMap},
};
constexpr ProtobufMessage kObjectMeta{kObjectMetaFields};

constexpr Field kMetadataOnlyFields[] = {message(1, "metadata", kObjectMeta)};
constexpr ProtobufMessage kMetadataOnly{kMetadataOnlyFields};

constexpr Field kListMetaFields[] = {{2, "resourceVersion"}, {3, "continue"}};
constexpr ProtobufMessage kListMeta{kListMetaFields};

constexpr Field kTypeMetaFields[] = {{1, "apiVersion"}, {2, "kind"}};
constexpr ProtobufMessage kTypeMeta{kTypeMetaFields};

constexpr Field kStatusDetailsFields[] = {{5, "retryAfterSeconds", Form::kNumber}};
constexpr ProtobufMessage kStatusDetails{kStatusDetailsFields};
constexpr Field kStatusFields[] = {
    {2, "status"}, {3, "message"}, {4, "reason"}, message(5, "details", kStatusDetails), {6, "code", Form::kNumber},
};
constexpr ProtobufMessage kStatus{kStatusFields};

// api/core/v1: Service

constexpr Field kServicePortFields[] = {
    {1, "name"},
    {2, "protocol"},
    {3, "port", Form::kNumber, Zero::kValue},
    {4, "targetPort", Form::kIntOrString, Zero::kValue},
    {5, "nodePort", Form::kNumber},
};
constexpr ProtobufMessage kServicePort{kServicePortFields};
constexpr Field kClientIpFields[] = {{1, "timeoutSeconds", Form::kNumber, Zero::kValue}};
constexpr ProtobufMessage kClientIp{kClientIpFields};
constexpr Field kAffinityFields[] = {message(1, "clientIP", kClientIp)};
constexpr ProtobufMessage kAffinity{kAffinityFields};
constexpr Field kServiceSpecFields[] = {
    messages(1, "ports", kServicePort),
    {2, "selector", Form::kTextMap},
    {3, "clusterIP"},
    {4, "type"},
    texts(5, "externalIPs"),
    {7, "sessionAffinity"},
    {8, "loadBalancerIP"},
    texts(9, "loadBalancerSourceRanges"),
    {10, "externalName"},
    {11, "externalTrafficPolicy"},
    {12, "healthCheckNodePort", Form::kNumber},
    {13, "publishNotReadyAddresses", Form::kFlag},
    message(14, "sessionAffinityConfig", kAffinity),
    {17, "ipFamilyPolicy", Form::kText, Zero::kValue},
    texts(18, "clusterIPs"),
    texts(19, "ipFamilies"),
    {20, "allocateLoadBalancerNodePorts", Form::kFlag, Zero::kValue},
    {21, "loadBalancerClass", Form::kText, Zero::kValue},
    {22, "internalTrafficPolicy", Form::kText, Zero::kValue},
    {23, "trafficDistribution", Form::kText, Zero::kValue},
};
constexpr ProtobufMessage kServiceSpec{kServiceSpecFields};
constexpr Field kIngressFields[] = {{1, "ip"}, {2, "hostname"}, {3, "ipMode", Form::kText, Zero::kValue}};
constexpr ProtobufMessage kIngress{kIngressFields};
constexpr Field kLoadBalancerFields[] = {messages(1, "ingress", kIngress)};
constexpr ProtobufMessage kLoadBalancer{kLoadBalancerFields};
constexpr Field kServiceStatusFields[] = {message(1, "loadBalancer", kLoadBalancer)};
constexpr ProtobufMessage kServiceStatus{kServiceStatusFields};
constexpr Field kServiceFields[] = {
    message(1, "metadata", kObjectMeta),
    message(2, "spec", kServiceSpec),
    message(3, "status", kServiceStatus),
};
constexpr ProtobufMessage kService{kServiceFields};

// api/discovery/v1: EndpointSlice

constexpr Field kConditionsFields[] = {
    {1, "ready", Form::kFlag, Zero::kValue},
    {2, "serving", Form::kFlag, Zero::kValue},
    {3, "terminating", Form::kFlag, Zero::kValue},
};
constexpr ProtobufMessage kConditions{kConditionsFields};
constexpr Field kHintFields[] = {{1, "name", Form::kText, Zero::kValue}};
constexpr ProtobufMessage kHint{kHintFields};
constexpr Field kHintsFields[] = {messages(1, "forZones", kHint), messages(2, "forNodes", kHint)};
constexpr ProtobufMessage kHints{kHintsFields};
constexpr Field kEndpointFields[] = {
    texts(1, "addresses"),
    message(2, "conditions", kConditions),
    {6, "nodeName", Form::kText, Zero::kValue},
    message(8, "hints", kHints),
};
constexpr ProtobufMessage kEndpoint{kEndpointFields};
constexpr Field kEndpointPortFields[] = {
    {1, "name", Form::kText, Zero::kValue},
    {2, "protocol", Form::kText, Zero::kValue},
    {3, "port", Form::kNumber, Zero::kValue},
};
constexpr ProtobufMessage kEndpointPort{kEndpointPortFields};
constexpr Field kSliceFields[] = {
    message(1, "metadata", kObjectMeta),
    messages(2, "endpoints", kEndpoint),
    messages(3, "ports", kEndpointPort),
    {4, "addressType", Form::kText, Zero::kValue},
};
constexpr ProtobufMessage kSlice{kSliceFields};

// api/core/v1: Node

constexpr Field kTaintFields[] = {{1, "key", Form::kText, Zero::kValue}};
constexpr ProtobufMessage kTaint{kTaintFields};
constexpr Field kNodeSpecFields[] = {{1, "podCIDR"}, messages(5, "taints", kTaint), texts(7, "podCIDRs")};
constexpr ProtobufMessage kNodeSpec{kNodeSpecFields};
constexpr Field kConditionFields[] = {
    {1, "type", Form::kText, Zero::kValue},
    {2, "status", Form::kText, Zero::kValue},
};
constexpr ProtobufMessage kCondition{kConditionFields};
constexpr Field kNodeAddressFields[] = {
    {1, "type", Form::kText, Zero::kValue},
    {2, "address", Form::kText, Zero::kValue},
};
constexpr ProtobufMessage kNodeAddress{kNodeAddressFields};
constexpr Field kNodeStatusFields[] = {
    {2, "allocatable", Form::kQuantityMap},
    messages(4, "conditions", kCondition),
    messages(5, "addresses", kNodeAddress),
};
constexpr ProtobufMessage kNodeStatus{kNodeStatusFields};
constexpr Field kNodeFields[] = {
    message(1, "metadata", kObjectMeta),
    message(2, "spec", kNodeSpec),
    message(3, "status", kNodeStatus),
};
constexpr ProtobufMessage kNode{kNodeFields};

// api/core/v1: Pod

constexpr Field kContainerPortFields[] = {
    {1, "name"},   {2, "hostPort", Form::kNumber}, {3, "containerPort", Form::kNumber, Zero::kValue}, {4, "protocol"},
    {5, "hostIP"},
};
constexpr ProtobufMessage kContainerPort{kContainerPortFields};
constexpr Field kContainerFields[] = {
    messages(6, "ports", kContainerPort),
    {24, "restartPolicy", Form::kText, Zero::kValue},
};
constexpr ProtobufMessage kContainer{kContainerFields};
constexpr Field kPodSpecFields[] = {
    messages(2, "containers", kContainer),      {10, "nodeName"}, {11, "hostNetwork", Form::kFlag}, {16, "hostname"},
    messages(20, "initContainers", kContainer),
};
constexpr ProtobufMessage kPodSpec{kPodSpecFields};
constexpr Field kPodIpFields[] = {{1, "ip", Form::kText, Zero::kValue}};
constexpr ProtobufMessage kPodIp{kPodIpFields};
constexpr Field kPodStatusFields[] = {
    {1, "phase"},
    messages(2, "conditions", kCondition),
    {6, "podIP"},
    messages(12, "podIPs", kPodIp),
};
constexpr ProtobufMessage kPodStatus{kPodStatusFields};
constexpr Field kPodFields[] = {
    message(1, "metadata", kObjectMeta),
    message(2, "spec", kPodSpec),
    message(3, "status", kPodStatus),
};
constexpr ProtobufMessage kPod{kPodFields};

// api/networking/v1 and v1beta1: ServiceCIDR

constexpr Field kServiceCidrSpecFields[] = {texts(1, "cidrs")};
constexpr ProtobufMessage kServiceCidrSpec{kServiceCidrSpecFields};
constexpr Field kServiceCidrFields[] = {message(1, "metadata", kObjectMeta), message(2, "spec", kServiceCidrSpec)};
constexpr ProtobufMessage kServiceCidr{kServiceCidrFields};

}  // namespace

const ProtobufMessage* protobuf_message(objects::Kind kind) {
  switch (kind) {
    case objects::Kind::kService: return &kService;
    case objects::Kind::kEndpointSlice: return &kSlice;
    case objects::Kind::kNode: return &kNode;
    case objects::Kind::kPod: return &kPod;
    case objects::Kind::kServiceCidr: return &kServiceCidr;
    default: return nullptr;  // explain alone asks for the others, once; Gateway API has no protobuf at all
  }
}

const ProtobufMessage& protobuf_metadata_only() {
  return kMetadataOnly;
}

const ProtobufMessage& protobuf_status() {
  return kStatus;
}

const ProtobufMessage& protobuf_list_meta() {
  return kListMeta;
}

const ProtobufMessage& protobuf_type_meta() {
  return kTypeMeta;
}

}  // namespace kubenatd::agent::api
