package main

import (
	"encoding/json"
	"fmt"
	"math/rand"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

type world struct {
	nodes    []*v1.Node
	pods     []*v1.Pod
	services []*v1.Service
}

// asWritten is the object as a user may write it: before the API server has filled in anything.
func asWritten(version, kind string, object any) map[string]any {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	written := map[string]any{}
	if err := json.Unmarshal(text, &written); err != nil {
		panic(err)
	}
	written["apiVersion"] = version
	written["kind"] = kind
	if status, ok := written["status"].(map[string]any); ok {
		delete(status, "daemonEndpoints")
		delete(status, "nodeInfo")
		delete(status, "loadBalancer")
		if conditions, ok := status["conditions"].([]any); ok {
			for _, condition := range conditions {
				delete(condition.(map[string]any), "lastTransitionTime")
				delete(condition.(map[string]any), "lastProbeTime")
				delete(condition.(map[string]any), "lastHeartbeatTime")
			}
		}
	}
	if spec, ok := written["spec"].(map[string]any); ok {
		for _, list := range []string{"containers", "initContainers"} {
			if containers, ok := spec[list].([]any); ok {
				for _, container := range containers {
					delete(container.(map[string]any), "resources")
				}
			}
		}
		// An int or a string that is not set is written as 0.
		if ports, ok := spec["ports"].([]any); ok {
			for _, port := range ports {
				if target, ok := port.(map[string]any)["targetPort"].(float64); ok && target == 0 {
					delete(port.(map[string]any), "targetPort")
				}
			}
		}
	}
	return written
}

func pick[T any](r *rand.Rand, from ...T) T {
	return from[r.Intn(len(from))]
}

func chance(r *rand.Rand, percent int) bool {
	return r.Intn(100) < percent
}

func makeNode(r *rand.Rand, name string, zones []string, whole bool) *v1.Node {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if whole || !chance(r, 5) {
		node.Labels[v1.LabelTopologyZone] = zones[r.Intn(len(zones))]
	}
	if chance(r, 8) {
		node.Labels[pick(r, "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")] = ""
	}
	if whole || !chance(r, 5) {
		cpu := pick(r, "4", "4", "3920m", "8", "1500m", "0.5", "16", "2e0", "1333333u", "1Ki", "250m")
		node.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}
	}
	if !chance(r, 5) {
		status := v1.ConditionTrue
		if chance(r, 10) {
			status = pick(r, v1.ConditionFalse, v1.ConditionUnknown)
		}
		node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeMemoryPressure, Status: v1.ConditionFalse},
			{Type: v1.NodeReady, Status: status}}
	}
	return node
}

func makePorts(r *rand.Rand) []v1.ContainerPort {
	ports := []v1.ContainerPort{}
	if chance(r, 85) {
		ports = append(ports, v1.ContainerPort{Name: "http", ContainerPort: int32(8080 + r.Intn(2))})
	}
	if chance(r, 40) {
		ports = append(ports, v1.ContainerPort{Name: "dns", ContainerPort: 53, Protocol: v1.ProtocolUDP})
	}
	if chance(r, 10) {
		ports = append(ports, v1.ContainerPort{Name: "http", ContainerPort: 9999, Protocol: v1.ProtocolUDP})
	}
	return ports
}

func makePod(r *rand.Rand, number int, nodes []*v1.Node, some bool) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", number), Namespace: "demo",
		Labels: map[string]string{"app": pick(r, "a", "a", "b"), "tier": pick(r, "x", "y")}}}
	pod.Spec.NodeName = nodes[r.Intn(len(nodes))].Name
	if some && chance(r, 15) {
		pod.Spec.NodeName = pick(r, "gone", "")
	}
	pod.Spec.Containers = []v1.Container{{Name: "c", Ports: makePorts(r)}}
	if chance(r, 15) {
		sidecar := v1.Container{Name: "s", Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 15000}}}
		if chance(r, 60) {
			sidecar.RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
		}
		pod.Spec.InitContainers = []v1.Container{sidecar}
	}
	pod.Status.Phase = v1.PodRunning
	if chance(r, 10) {
		pod.Status.Phase = pick(r, v1.PodPending, v1.PodSucceeded, v1.PodFailed)
	}
	if !chance(r, 5) {
		status := v1.ConditionTrue
		if chance(r, 20) {
			status = v1.ConditionFalse
		}
		pod.Status.Conditions = []v1.PodCondition{{Type: v1.ContainersReady, Status: v1.ConditionFalse},
			{Type: v1.PodReady, Status: status}}
	}
	if chance(r, 12) {
		pod.DeletionTimestamp = &metav1.Time{}
		*pod.DeletionTimestamp = metav1.Unix(1770000000, 0)
	}
	four := v1.PodIP{IP: fmt.Sprintf("10.244.%d.%d", number/200, number%200+1)}
	six := v1.PodIP{IP: fmt.Sprintf("fd00:10::%x", number+1)}
	switch r.Intn(10) {
	case 0:
	case 1:
		pod.Status.PodIPs = []v1.PodIP{six}
	case 2, 3, 4:
		pod.Status.PodIPs = []v1.PodIP{four, six}
	case 5:
		pod.Status.PodIPs = []v1.PodIP{six, four}
	default:
		pod.Status.PodIPs = []v1.PodIP{four}
	}
	if len(pod.Status.PodIPs) > 0 {
		pod.Status.PodIP = pod.Status.PodIPs[0].IP
	}
	return pod
}

func makeService(r *rand.Rand, number int, some bool) *v1.Service {
	service := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("service-%d", number), Namespace: "demo"}}
	spec := &service.Spec
	spec.Selector = map[string]string{"app": pick(r, "a", "a", "b")}
	if chance(r, 20) {
		spec.Selector["tier"] = "x"
	}
	for port := 0; port < 1+r.Intn(2); port++ {
		one := v1.ServicePort{Port: int32(80 + port)}
		if port > 0 || chance(r, 50) {
			one.Name = fmt.Sprintf("p%d", port)
		}
		if port > 0 && spec.Ports[0].Name == "" {
			spec.Ports[0].Name = "p"
		}
		if chance(r, 25) {
			one.Protocol = pick(r, v1.ProtocolUDP, v1.ProtocolTCP)
		}
		switch r.Intn(5) {
		case 0:
		case 1:
			one.TargetPort = intstr.FromInt32(int32(8000 + r.Intn(3)))
		case 2:
			one.TargetPort = intstr.FromString("dns")
		default:
			one.TargetPort = intstr.FromString("http")
		}
		spec.Ports = append(spec.Ports, one)
	}
	four := fmt.Sprintf("10.96.0.%d", number+10)
	six := fmt.Sprintf("fd00:96::%d", number+10)
	switch r.Intn(4) {
	case 0:
		spec.ClusterIP, spec.ClusterIPs = six, []string{six}
		spec.IPFamilies = []v1.IPFamily{v1.IPv6Protocol}
	case 1:
		spec.ClusterIP, spec.ClusterIPs = four, []string{four, six}
		spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}
	case 2:
		spec.ClusterIP = four // families are those of the address
	default:
		spec.ClusterIP, spec.ClusterIPs = four, []string{four}
		spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol}
	}
	spec.PublishNotReadyAddresses = chance(r, 12)
	if chance(r, 50) {
		spec.TrafficDistribution = ptr.To(pick(r, v1.ServiceTrafficDistributionPreferClose,
			v1.ServiceTrafficDistributionPreferSameZone, v1.ServiceTrafficDistributionPreferSameNode))
	}
	if chance(r, 45) {
		service.Annotations = map[string]string{pick(r, v1.AnnotationTopologyMode,
			v1.DeprecatedAnnotationTopologyAwareHints): pick(r, "Auto", "Auto", "Auto", "auto")}
		// Pods without a Node are left out by the controller; here they count, so nothing may depend on their number.
		spec.PublishNotReadyAddresses = spec.PublishNotReadyAddresses || some
	} else if chance(r, 10) {
		service.Annotations = map[string]string{v1.DeprecatedAnnotationTopologyAwareHints: "Disabled",
			v1.AnnotationTopologyMode: "Auto"}
		spec.TrafficDistribution = nil
	}
	return service
}

// makeWorld gives every second world what hints by CPU need: Nodes of several zones with CPU, and enough Pods.
func makeWorld(seed int, rich bool) world {
	r := rand.New(rand.NewSource(int64(seed)))
	zones := []string{"a", "b", "c", "d"}[:1+r.Intn(4)]
	if rich {
		zones = []string{"a", "b", "c", "d"}[:2+r.Intn(2)]
	}
	some := chance(r, 15)  // Pods on Nodes that are not there
	whole := chance(r, 70) // Nodes have all that hints by CPU need
	var made world
	nodes, pods := 1+r.Intn(6), r.Intn(16)
	if rich {
		some, whole = false, chance(r, 90)
		nodes, pods = 2+r.Intn(5), 4+r.Intn(14)
	}
	for i := 0; i < nodes; i++ {
		made.nodes = append(made.nodes, makeNode(r, fmt.Sprintf("node-%d", i), zones, whole))
	}
	for i := 0; i < pods; i++ {
		made.pods = append(made.pods, makePod(r, i, made.nodes, some))
	}
	for i := 0; i < 1+r.Intn(3); i++ {
		service := makeService(r, i, some)
		if rich && i == 0 {
			service.Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto"}
			service.Spec.Selector = map[string]string{"app": "a"}
		}
		made.services = append(made.services, service)
	}
	return made
}
