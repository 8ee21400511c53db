// Writes the endpoints that Kubernetes' own controllers make of objects made at random: one JSON object a line, with the
// objects and, for each Service, its endpoints as text. The test of agent/sources compares with it.
//
//	go run . > ../../unit/objects/go_endpoints.jsonl
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	"k8s.io/endpointslice/topologycache"
	endpointsliceutil "k8s.io/endpointslice/util"
	"k8s.io/klog/v2"
	defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"time"
)

type line struct {
	Case     int                 `json:"case"`
	Objects  []any               `json:"objects"`
	Services map[string]expected `json:"services"`
}

type expected struct {
	// "IPv4|10.0.0.1|http:8080/TCP|RS|node|zone=a node=n": conditions are Ready, Serving, Terminating; the hints last,
	// without them when they are drawn by lot.
	Endpoints []string `json:"endpoints"`
	// Hints by CPU: how many ready endpoints of a zone, with ports, have a hint for which ("IPv4 a>b=1"): each outcome
	// that was met.
	Outcomes []string `json:"outcomes,omitempty"`
}

var writer = bufio.NewWriter(os.Stdout)

func tell(one line) {
	text, err := json.Marshal(one)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(writer, string(text))
}

func portsText(ports []discovery.EndpointPort) string {
	texts := []string{}
	for _, port := range ports {
		texts = append(texts, fmt.Sprintf("%s:%d/%s", *port.Name, *port.Port, *port.Protocol))
	}
	sort.Strings(texts)
	return strings.Join(texts, ",")
}

func is(condition *bool, otherwise bool) bool {
	if condition == nil {
		return otherwise
	}
	return *condition
}

func text(slice discovery.EndpointSlice, endpoint discovery.Endpoint, hints bool) string {
	conditions := ""
	// What a proxy takes a missing condition for.
	if is(endpoint.Conditions.Ready, true) {
		conditions += "R"
	}
	if is(endpoint.Conditions.Serving, true) {
		conditions += "S"
	}
	if is(endpoint.Conditions.Terminating, false) {
		conditions += "T"
	}
	node := ""
	if endpoint.NodeName != nil {
		node = *endpoint.NodeName
	}
	hint := ""
	if hints && endpoint.Hints != nil {
		for _, zone := range endpoint.Hints.ForZones {
			hint += "zone=" + zone.Name + " "
		}
		for _, node := range endpoint.Hints.ForNodes {
			hint += "node=" + node.Name + " "
		}
	}
	return strings.Join([]string{string(slice.AddressType), endpoint.Addresses[0], portsText(slice.Ports), conditions,
		node, strings.TrimSpace(hint)}, "|")
}

// Slices without ports are of no use to a proxy.
func texts(found []discovery.EndpointSlice, hints bool) []string {
	all := []string{}
	for _, slice := range found {
		if len(slice.Ports) == 0 {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			all = append(all, text(slice, endpoint, hints))
		}
	}
	sort.Strings(all)
	// The same endpoint twice is one to a proxy; with the fake API server the mirroring controller may make a slice twice.
	return slices.Compact(all)
}

func outcome(slices []discovery.EndpointSlice) string {
	counts := map[string]int{}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if len(slice.Ports) == 0 || !is(endpoint.Conditions.Ready, true) || endpoint.Hints == nil {
				continue
			}
			counts[fmt.Sprintf("%s %s>%s", slice.AddressType, *endpoint.Zone, endpoint.Hints.ForZones[0].Name)]++
		}
	}
	all := []string{}
	for move, count := range counts {
		all = append(all, fmt.Sprintf("%s=%d", move, count))
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}

func reconcile(service *v1.Service, pods []*v1.Pod, nodes []*v1.Node) []discovery.EndpointSlice {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, node := range nodes {
		if err := indexer.Add(node); err != nil {
			panic(err)
		}
	}
	client := fake.NewSimpleClientset()
	// The API server names a slice; the fake one does not.
	client.PrependReactor("create", "endpointslices", nameGenerated())
	logger := klog.Background()
	topology := topologycache.NewTopologyCache()
	topology.SetNodes(logger, nodes)
	reconciler := endpointslice.NewReconciler(client, corelisters.NewNodeLister(indexer), 100,
		endpointsliceutil.NewEndpointSliceTracker(), topology, record.NewFakeRecorder(1000),
		"endpointslice-controller.k8s.io", endpointslice.WithPreferSameTrafficDistributionEnabled(true))
	selected := []*v1.Pod{}
	selector := labels.Set(service.Spec.Selector).AsSelectorPreValidated()
	for _, pod := range pods {
		if pod.Namespace == service.Namespace && selector.Matches(labels.Set(pod.Labels)) {
			selected = append(selected, pod)
		}
	}
	// An error tells of Pods whose Node is not there; the others are dealt with all the same.
	_ = reconciler.Reconcile(logger, service, selected, nil, time.Time{})
	list, err := client.DiscoveryV1().EndpointSlices(service.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		panic(err)
	}
	return list.Items
}

func tellPods(seed int) {
	world := makeWorld(seed, seed%2 == 0)
	one := line{Case: seed, Services: map[string]expected{}}
	for _, node := range world.nodes {
		one.Objects = append(one.Objects, asWritten("v1", "Node", node))
	}
	for _, pod := range world.pods {
		one.Objects = append(one.Objects, asWritten("v1", "Pod", pod))
		defaults.SetObjectDefaults_Pod(pod)
	}
	for _, service := range world.services {
		one.Objects = append(one.Objects, asWritten("v1", "Service", service))
		defaults.SetObjectDefaults_Service(service)
		byCPU := service.Annotations[v1.AnnotationTopologyMode] != "" ||
			service.Annotations[v1.DeprecatedAnnotationTopologyAwareHints] != ""
		result := expected{Endpoints: texts(reconcile(service, world.pods, world.nodes), !byCPU)}
		if byCPU {
			// What is given to whom depends on the order of Go's maps.
			met := map[string]bool{}
			for i := 0; i < 80; i++ {
				met[outcome(reconcile(service, world.pods, world.nodes))] = true
			}
			for one := range met {
				result.Outcomes = append(result.Outcomes, one)
			}
			sort.Strings(result.Outcomes)
		}
		one.Services[service.Name] = result
	}
	tell(one)
}

func main() {
	klog.SetLogger(klog.Logger{})
	const cases = 230
	for seed := 1; seed <= cases; seed++ {
		tellPods(seed)
	}
	tellMirrored()
	if err := writer.Flush(); err != nil {
		panic(err)
	}
}
