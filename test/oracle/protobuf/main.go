// Command protobuf makes the table of objects in both encodings that the unit tests compare with.
// usage: protobuf SEED > go_protobuf.jsonl
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const perKind = 40

var random *rand.Rand

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func maybe() bool { return random.Intn(2) == 0 }

// some gives one of the values.
func some[T any](values ...T) T { return values[random.Intn(len(values))] }

// pointer gives nothing, or a pointer to one of the values.
func pointer[T any](values ...T) *T {
	if random.Intn(3) == 0 {
		return nil
	}
	value := some(values...)
	return &value
}

// several gives up to most values.
func several[T any](most int, make func() T) []T {
	var list []T
	for n := random.Intn(most + 1); n > 0; n-- {
		list = append(list, make())
	}
	return list
}

func address() string {
	return some(fmt.Sprintf("10.%d.%d.%d", random.Intn(256), random.Intn(256), random.Intn(256)),
		fmt.Sprintf("fd00::%x", random.Intn(65536)), "", "10.0.0.07", "no address", "127.0.0.1")
}

func port() int32 { return some[int32](0, 1, 80, 443, 8080, 30080, 65535, 65536, -1, 1<<31-1) }

func name() string { return some("", "http", "web-1", "a.b", "Grüße \"und\"\n", "UPPER", "x") }

func labels() map[string]string {
	return some(nil, map[string]string{}, map[string]string{"app": "web", "": ""},
		map[string]string{"kubernetes.io/service-name": "web", "topology.kubernetes.io/zone": "a"},
		map[string]string{"service.kubernetes.io/headless": "", "node-role.kubernetes.io/control-plane": ""})
}

func metadata(i int, namespaced bool) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Name:            fmt.Sprintf("object-%d", i),
		UID:             "5f7c3a80-0000-0000-0000-000000000001",
		ResourceVersion: strconv.Itoa(1000 + i),
		Labels:          labels(),
		Annotations: some(nil, map[string]string{"service.kubernetes.io/topology-mode": "Auto"},
			map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05.678Z"},
			map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "yesterday"}),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", Controller: pointer(true)}},
		Finalizers:      []string{"example.org/wait"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: "Apply",
			FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:spec":{}}`)}}},
	}
	if namespaced {
		meta.Namespace = some("demo", "kube-system")
	}
	if maybe() {
		meta.CreationTimestamp = metav1.Unix(some[int64](0, 1, 1767225600, 253402300799), 0)
	}
	if random.Intn(4) == 0 {
		now := metav1.NewTime(time.Unix(1767225600, 999))
		meta.DeletionTimestamp = &now
	}
	return meta
}

func service(i int) runtime.Object {
	affinity := func() *corev1.SessionAffinityConfig {
		if maybe() {
			return nil
		}
		if maybe() {
			return &corev1.SessionAffinityConfig{}
		}
		return &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: pointer[int32](0, 10, 86401, -5)}}
	}
	ip := some("10.96.0.1", "", "None", "fd00:96::1", "10.96.0.010")
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metadata(i, true),
		Spec: corev1.ServiceSpec{
			Ports: several(3, func() corev1.ServicePort {
				return corev1.ServicePort{Name: name(), Protocol: some[corev1.Protocol]("TCP", "UDP", "SCTP", "", "ICMP"),
					AppProtocol: pointer("http"), Port: port(), NodePort: port(),
					TargetPort: some(intstr.IntOrString{}, intstr.FromInt32(8080), intstr.FromString("http"), intstr.FromString(""))}
			}),
			Selector:    labels(),
			ClusterIP:   ip,
			ClusterIPs:  some(nil, []string{ip}, []string{ip, "fd00:96::2"}),
			Type:        some[corev1.ServiceType]("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "", "Other"),
			ExternalIPs: several(2, address), SessionAffinity: some[corev1.ServiceAffinity]("None", "ClientIP", ""),
			LoadBalancerIP: some("", "192.0.2.1"), LoadBalancerSourceRanges: several(2, func() string { return some("10.0.0.0/8", "fd00::/8", " 10.1.0.0/16", "all") }),
			ExternalName:                  some("", "example.org"),
			ExternalTrafficPolicy:         some[corev1.ServiceExternalTrafficPolicy]("", "Local", "Cluster", "Here"),
			HealthCheckNodePort:           some[int32](0, 0, 30999, -1),
			PublishNotReadyAddresses:      maybe(),
			SessionAffinityConfig:         affinity(),
			IPFamilies:                    some(nil, []corev1.IPFamily{"IPv4"}, []corev1.IPFamily{"IPv4", "IPv6"}),
			IPFamilyPolicy:                pointer[corev1.IPFamilyPolicy]("SingleStack", "PreferDualStack"),
			AllocateLoadBalancerNodePorts: pointer(true, false),
			LoadBalancerClass:             pointer("", "example.org/lb"),
			InternalTrafficPolicy:         pointer[corev1.ServiceInternalTrafficPolicy]("Cluster", "Local", ""),
			TrafficDistribution:           pointer("PreferSameNode", "PreferClose", ""),
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: several(2, func() corev1.LoadBalancerIngress {
				return corev1.LoadBalancerIngress{IP: address(), Hostname: some("", "lb.example.org"),
					IPMode: pointer[corev1.LoadBalancerIPMode]("VIP", "Proxy", ""),
					Ports:  []corev1.PortStatus{{Port: 80, Protocol: "TCP"}}}
			})},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Unix(1, 0)}},
		},
	}
}

func slice(i int) runtime.Object {
	hints := func() *discoveryv1.EndpointHints {
		if maybe() {
			return nil
		}
		return &discoveryv1.EndpointHints{
			ForZones: several(2, func() discoveryv1.ForZone { return discoveryv1.ForZone{Name: some("a", "b", "")} }),
			ForNodes: several(2, func() discoveryv1.ForNode { return discoveryv1.ForNode{Name: some("node-1", "")} })}
	}
	return &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  metadata(i, true),
		AddressType: some[discoveryv1.AddressType]("IPv4", "IPv6", "FQDN", "", "IPX"),
		Ports: several(2, func() discoveryv1.EndpointPort {
			return discoveryv1.EndpointPort{Name: pointer(name()), Protocol: pointer[corev1.Protocol]("TCP", "UDP", ""), Port: pointer(port()), AppProtocol: pointer("http")}
		}),
		Endpoints: several(4, func() discoveryv1.Endpoint {
			return discoveryv1.Endpoint{Addresses: several(2, address),
				Conditions: discoveryv1.EndpointConditions{Ready: pointer(true, false), Serving: pointer(true, false), Terminating: pointer(true, false)},
				Hostname:   pointer("web-0"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-0"},
				DeprecatedTopology: labels(), NodeName: pointer("node-1", "node-2", ""), Zone: pointer("a"), Hints: hints()}
		}),
	}
}

func node(i int) runtime.Object {
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metadata(i, false),
		Spec: corev1.NodeSpec{PodCIDR: some("", "10.244.1.0/24"), PodCIDRs: some(nil, []string{"10.244.1.0/24", "fd00:1::/64"}, []string{"what"}),
			ProviderID: "kind://x", Unschedulable: maybe(),
			Taints: several(2, func() corev1.Taint {
				return corev1.Taint{Key: some("ToBeDeletedByClusterAutoscaler", "a/b", ""), Effect: "NoSchedule"}
			})},
		Status: corev1.NodeStatus{
			Capacity:    corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("1Gi")},
			Allocatable: some(nil, corev1.ResourceList{"cpu": resource.MustParse("7500m")}, corev1.ResourceList{"cpu": resource.MustParse("0"), "pods": resource.MustParse("110")}),
			Conditions: several(2, func() corev1.NodeCondition {
				return corev1.NodeCondition{Type: some[corev1.NodeConditionType]("Ready", "DiskPressure"), Status: some[corev1.ConditionStatus]("True", "False", "Unknown", "")}
			}),
			Addresses: several(3, func() corev1.NodeAddress {
				return corev1.NodeAddress{Type: some[corev1.NodeAddressType]("InternalIP", "ExternalIP", "Hostname", ""), Address: address()}
			}),
			Images:   []corev1.ContainerImage{{Names: []string{"busybox"}, SizeBytes: 1 << 40}},
			NodeInfo: corev1.NodeSystemInfo{KernelVersion: "6.18"},
		},
	}
}

func container(init bool) corev1.Container {
	one := corev1.Container{Name: "c", Image: "busybox", Command: []string{"sleep"},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}},
		Env:       []corev1.EnvVar{{Name: "A", Value: "b"}},
		Ports: several(2, func() corev1.ContainerPort {
			return corev1.ContainerPort{Name: name(), HostPort: port(), ContainerPort: port(), Protocol: some[corev1.Protocol]("TCP", "UDP", ""), HostIP: address()}
		})}
	if init {
		one.RestartPolicy = pointer(corev1.ContainerRestartPolicyAlways, "")
	}
	return one
}

func pod(i int) runtime.Object {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metadata(i, true),
		Spec: corev1.PodSpec{NodeName: some("", "node-1", "No Node"), HostNetwork: maybe(), Hostname: some("", "web-0"),
			Containers: several(2, func() corev1.Container { return container(false) }), InitContainers: several(2, func() corev1.Container { return container(true) }),
			TerminationGracePeriodSeconds: pointer[int64](30), NodeSelector: labels()},
		Status: corev1.PodStatus{Phase: some[corev1.PodPhase]("Running", "Pending", "Succeeded", "Failed", "", "Odd"), PodIP: address(),
			PodIPs: several(2, func() corev1.PodIP { return corev1.PodIP{IP: address()} }),
			Conditions: several(2, func() corev1.PodCondition {
				return corev1.PodCondition{Type: some(corev1.PodReady, corev1.PodScheduled), Status: some[corev1.ConditionStatus]("True", "False", "")}
			}), StartTime: &metav1.Time{Time: time.Unix(5, 0)}},
	}
}

func serviceCIDR(i int) runtime.Object {
	return &networkingv1.ServiceCIDR{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "ServiceCIDR"},
		ObjectMeta: metadata(i, false),
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: some(nil, []string{"10.96.0.0/16"}, []string{"10.96.0.0/16", "fd00:96::/112"}, []string{"10.96.0.1/16"})},
		Status:     networkingv1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: "Ready"}}},
	}
}

func listOf(kind string, objects []runtime.Object) runtime.Object {
	meta := metav1.ListMeta{ResourceVersion: "4711", Continue: some("", "next"), RemainingItemCount: pointer[int64](3)}
	switch kind {
	case "Service":
		list := &corev1.ServiceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}, ListMeta: meta}
		for _, one := range objects {
			list.Items = append(list.Items, *one.(*corev1.Service))
		}
		return list
	case "EndpointSlice":
		list := &discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSliceList"}, ListMeta: meta}
		for _, one := range objects {
			list.Items = append(list.Items, *one.(*discoveryv1.EndpointSlice))
		}
		return list
	case "Node":
		list := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, ListMeta: meta}
		for _, one := range objects {
			list.Items = append(list.Items, *one.(*corev1.Node))
		}
		return list
	case "Pod":
		list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: meta}
		for _, one := range objects {
			list.Items = append(list.Items, *one.(*corev1.Pod))
		}
		return list
	default:
		list := &networkingv1.ServiceCIDRList{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "ServiceCIDRList"}, ListMeta: meta}
		for _, one := range objects {
			list.Items = append(list.Items, *one.(*networkingv1.ServiceCIDR))
		}
		return list
	}
}

type writer struct {
	json, proto, raw runtime.Encoder
	out              *bufio.Writer
}

func (w writer) encode(object runtime.Object) (json.RawMessage, []byte) {
	var text, binary bytes.Buffer
	check(w.json.Encode(object, &text))
	check(w.proto.Encode(object, &binary))
	return bytes.TrimSpace(text.Bytes()), binary.Bytes()
}

func (w writer) line(kind, key string, value any, binary []byte) {
	text, err := json.Marshal(map[string]any{"k": kind, key: value, "p": base64.StdEncoding.EncodeToString(binary)})
	check(err)
	_, err = w.out.Write(append(text, '\n'))
	check(err)
}

func main() {
	seed, err := strconv.ParseInt(os.Args[1], 10, 64)
	check(err)
	random = rand.New(rand.NewSource(seed))
	scheme := runtime.NewScheme()
	check(corev1.AddToScheme(scheme))
	check(discoveryv1.AddToScheme(scheme))
	check(networkingv1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	w := writer{
		json:  kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, scheme, scheme, kjson.SerializerOptions{}),
		proto: protobuf.NewSerializer(scheme, scheme),
		raw:   protobuf.NewRawSerializer(scheme, scheme),
		out:   bufio.NewWriter(os.Stdout),
	}
	kinds := []struct {
		name string
		make func(int) runtime.Object
	}{{"Service", service}, {"EndpointSlice", slice}, {"Node", node}, {"Pod", pod}, {"ServiceCIDR", serviceCIDR}}
	for _, kind := range kinds {
		var objects []runtime.Object
		for i := range perKind {
			object := kind.make(i)
			objects = append(objects, object)
			text, binary := w.encode(object)
			w.line(kind.name, "o", text, binary)
		}
		text, binary := w.encode(listOf(kind.name, objects[:10]))
		w.line(kind.name, "l", text, binary)

		// As the API server's watch writes it: the object in its envelope within a WatchEvent without one.
		var frames bytes.Buffer
		framer := protobuf.LengthDelimitedFramer.NewFrameWriter(&frames)
		var events []any
		say := func(kind string, object runtime.Object) {
			text, binary := w.encode(object)
			events = append(events, map[string]any{"type": kind, "object": text})
			check(w.raw.Encode(&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: binary}}, framer))
		}
		for i, object := range objects[:8] {
			say(some("ADDED", "MODIFIED", "DELETED"), object)
			if i == 4 {
				bookmark := kind.make(0)
				say("BOOKMARK", bookmark)
			}
		}
		say("ERROR", &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure",
			Message: "too old resource version", Reason: metav1.StatusReasonExpired, Code: 410,
			Details: &metav1.StatusDetails{Name: "x", RetryAfterSeconds: 7}})
		w.line(kind.name, "w", events, frames.Bytes())
	}
	check(w.out.Flush())
}
