#include "agent/objects/objects.h"

namespace kubenatd::agent::objects {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kService: return "Service";
    case Kind::kEndpointSlice: return "EndpointSlice";
    case Kind::kNode: return "Node";
    case Kind::kPod: return "Pod";
    case Kind::kServiceCidr: return "ServiceCIDR";
    case Kind::kIngress: return "Ingress";
    case Kind::kIngressClass: return "IngressClass";
    case Kind::kGatewayClass: return "GatewayClass";
    case Kind::kGateway: return "Gateway";
    case Kind::kHttpRoute: return "HTTPRoute";
    case Kind::kEndpoints: return "Endpoints";
  }
  return "";
}

}  // namespace kubenatd::agent::objects
