package main

import (
	"context"
	"fmt"
	"math/rand"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/controller/endpointslicemirroring"
	"k8s.io/utils/ptr"
)

var generated atomic.Int64

func nameGenerated() clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		slice := action.(clienttesting.CreateAction).GetObject().(*discovery.EndpointSlice)
		if slice.Name == "" {
			slice.Name = fmt.Sprintf("%s%d", slice.GenerateName, generated.Add(1))
		}
		return false, nil, nil
	}
}

func makeAddress(r *rand.Rand) v1.EndpointAddress {
	number := r.Intn(6)
	address := v1.EndpointAddress{IP: fmt.Sprintf("192.0.2.%d", number+1)}
	if chance(r, 30) {
		address.IP = fmt.Sprintf("2001:db8::%x", number+1)
	}
	if chance(r, 30) {
		address.NodeName = ptr.To(fmt.Sprintf("node-%d", r.Intn(3)))
	}
	if chance(r, 20) {
		uid := fmt.Sprintf("u%d", r.Intn(2))
		address.TargetRef = &v1.ObjectReference{Kind: "Pod", Name: "pod-" + uid, UID: types.UID(uid)}
	}
	return address
}

func makeEndpoints(r *rand.Rand, name string) *v1.Endpoints {
	endpoints := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo"}}
	if chance(r, 8) {
		endpoints.Labels = map[string]string{discovery.LabelSkipMirror: pick(r, "true", "true", "false")}
	}
	if chance(r, 5) {
		endpoints.Annotations = map[string]string{resourcelock.LeaderElectionRecordAnnotationKey: "{}"}
	}
	for i := 0; i < r.Intn(4); i++ {
		var subset v1.EndpointSubset
		for j := 0; j < 1+r.Intn(3); j++ {
			if chance(r, 70) {
				subset.Addresses = append(subset.Addresses, makeAddress(r))
			} else {
				subset.NotReadyAddresses = append(subset.NotReadyAddresses, makeAddress(r))
			}
		}
		switch r.Intn(4) {
		case 0:
			subset.Ports = []v1.EndpointPort{{Port: pick[int32](r, 80, 8080)}}
		case 1:
			subset.Ports = []v1.EndpointPort{{Name: "a", Port: 80}, {Name: "b", Port: 53, Protocol: v1.ProtocolUDP}}
		case 2:
			subset.Ports = []v1.EndpointPort{{Name: "a", Port: pick[int32](r, 80, 8080)}, {Name: "c", Port: 443}}
		default:
			if chance(r, 50) {
				subset.Ports = []v1.EndpointPort{{Name: "c", Port: 443}}
			}
		}
		endpoints.Subsets = append(endpoints.Subsets, subset)
	}
	return endpoints
}

// The reconciler of this controller is not exported, so the controller runs as a whole.
func tellMirrored() {
	const cases = 150
	client := fake.NewClientset()
	client.PrependReactor("create", "endpointslices", nameGenerated())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	one := line{Case: 100000, Services: map[string]expected{}}
	for i := 0; i <= cases; i++ {
		r := rand.New(rand.NewSource(int64(1000 + i)))
		name := fmt.Sprintf("service-%d", i)
		endpoints := makeEndpoints(r, name)
		if i == cases {
			*endpoints = v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo"}}
			var subset v1.EndpointSubset
			subset.Ports = []v1.EndpointPort{{Port: 80}}
			for j := 0; j < 700; j++ {
				subset.NotReadyAddresses = append(subset.NotReadyAddresses,
					v1.EndpointAddress{IP: fmt.Sprintf("10.2.%d.%d", j/250, j%250+1)})
			}
			for j := 0; j < 500; j++ {
				subset.Addresses = append(subset.Addresses,
					v1.EndpointAddress{IP: fmt.Sprintf("10.1.%d.%d", j/250, j%250+1)})
			}
			endpoints.Subsets = []v1.EndpointSubset{subset}
		}
		one.Objects = append(one.Objects, asWritten("v1", "Endpoints", endpoints))
		defaults.SetObjectDefaults_Endpoints(endpoints)
		if _, err := client.CoreV1().Endpoints("demo").Create(ctx, endpoints, metav1.CreateOptions{}); err != nil {
			panic(err)
		}
		one.Services[name] = expected{Endpoints: []string{}}
		if i != cases && chance(r, 10) {
			continue
		}
		service := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo"}}
		service.Spec.ClusterIP = fmt.Sprintf("10.96.1.%d", i+1)
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
		service.Spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol}
		service.Spec.Ports = []v1.ServicePort{{Port: 80}}
		if i != cases && chance(r, 10) {
			service.Spec.Selector = map[string]string{"app": "nobody"}
		}
		one.Objects = append(one.Objects, asWritten("v1", "Service", service))
		defaults.SetObjectDefaults_Service(service)
		if _, err := client.CoreV1().Services("demo").Create(ctx, service, metav1.CreateOptions{}); err != nil {
			panic(err)
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	controller := endpointslicemirroring.NewController(ctx, factory.Core().V1().Endpoints(),
		factory.Discovery().V1().EndpointSlices(), factory.Core().V1().Services(), 1000, client, time.Millisecond)
	factory.Start(ctx.Done())
	go controller.Run(ctx, 4)
	// The controller does not say when it is done.
	var slices *discovery.EndpointSliceList
	for quiet, before := 0, -1; quiet < 10; time.Sleep(500 * time.Millisecond) {
		var err error
		slices, err = client.DiscoveryV1().EndpointSlices("demo").List(ctx, metav1.ListOptions{})
		if err != nil {
			panic(err)
		}
		quiet++
		if len(slices.Items) != before {
			quiet = 0
		}
		before = len(slices.Items)
	}
	byService := map[string][]discovery.EndpointSlice{}
	for _, slice := range slices.Items {
		name := slice.Labels[discovery.LabelServiceName]
		byService[name] = append(byService[name], slice)
	}
	for name, slices := range byService {
		one.Services[name] = expected{Endpoints: texts(slices, false)}
	}
	tell(one)
}
