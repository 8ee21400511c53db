// Command objects makes the table of objects that the unit tests compare with: what Kubernetes' own decoding, defaults
// and validation make of objects whose fields are wrong in every way. usage: objects SEED > go_objects.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	apiservice "k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/discovery"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	discoveryvalidation "k8s.io/kubernetes/pkg/apis/discovery/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	kjson "sigs.k8s.io/json"
)

// patch sets the value at a JSON pointer, or removes what is there when there is no value.
type patch struct {
	pointer string
	value   json.RawMessage
}

type testCase struct {
	base    int
	patches []patch
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// read is how kubectl reads a document before it sends it: 80.0 becomes 80.
func read(text string) any {
	var value any
	check(kjson.UnmarshalCaseSensitivePreserveInts([]byte(text), &value))
	return value
}

// apply gives false where the pointer leads nowhere.
func apply(node any, parts []string, value json.RawMessage) (any, bool) {
	if len(parts) == 0 {
		return read(string(value)), true
	}
	last := len(parts) == 1 && value == nil
	switch typed := node.(type) {
	case map[string]any:
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[0])
		if last {
			_, found := typed[name]
			delete(typed, name)
			return typed, found
		}
		child, found := typed[name]
		if !found && len(parts) > 1 {
			return node, false
		}
		child, done := apply(child, parts[1:], value)
		typed[name] = child
		return typed, done
	case []any:
		index, err := strconv.Atoi(parts[0])
		if err != nil || index >= len(typed) {
			return node, false
		}
		if last {
			return append(typed[:index], typed[index+1:]...), true
		}
		child, done := apply(typed[index], parts[1:], value)
		typed[index] = child
		return typed, done
	}
	return node, false
}

// pointers are all places of a document, in order.
func pointers(node any, at string, found *[]string) {
	switch typed := node.(type) {
	case map[string]any:
		names := make([]string, 0, len(typed))
		for name := range typed {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			place := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			if place == "/kind" || place == "/apiVersion" || strings.HasSuffix(place, "/image") ||
				strings.HasSuffix(place, "/effect") || strings.Contains(place, "ontainers/0/name") {
				continue
			}
			*found = append(*found, place)
			pointers(typed[name], place, found)
		}
	case []any:
		for i, child := range typed {
			place := at + "/" + strconv.Itoa(i)
			*found = append(*found, place)
			pointers(child, place, found)
		}
	}
}

type result struct {
	Decode *string        `json:"d,omitempty"` // the field that could not be decoded, without indexes
	Errors [][2]string    `json:"e,omitempty"`
	Out    map[string]any `json:"o,omitempty"`
}

// decodedField is the field that an error of the decoder names: "ports.port" of "json: cannot unmarshal string into
// Go struct field EndpointPort.ports.port of type int32".
func decodedField(err error) string {
	text := err.Error()
	const before = "Go struct field "
	start := strings.Index(text, before)
	if start < 0 {
		return ""
	}
	name, _, _ := strings.Cut(text[start+len(before):], " of type")
	_, path, _ := strings.Cut(name, ".")
	return path
}

func judge(document any) result {
	text, err := json.Marshal(document)
	check(err)
	object, _, err := legacyscheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		name := decodedField(err)
		return result{Decode: &name}
	}
	errors, out := validate(object)
	if len(errors) == 0 {
		return result{Out: out()}
	}
	var told [][2]string
	for _, one := range errors {
		told = append(told, [2]string{one.Field, one.ErrorBody()})
	}
	return result{Errors: told}
}

func validate(object runtime.Object) (field.ErrorList, func() map[string]any) {
	switch typed := object.(type) {
	case *core.Service:
		return validateService(typed)
	case *discovery.EndpointSlice:
		namespace(&typed.Namespace)
		return discoveryvalidation.ValidateEndpointSliceCreate(typed), func() map[string]any { return sliceOut(typed) }
	case *core.Node:
		typed.ResourceVersion = "1"
		errors := corevalidation.ValidateNode(typed)
		return append(errors, under("status.addresses", corevalidation.ValidateNodeUpdate(typed, typed))...), func() map[string]any { return nodeOut(typed) }
	case *core.Pod:
		return validatePod(typed)
	case *networking.ServiceCIDR:
		return networkingvalidation.ValidateServiceCIDR(typed), func() map[string]any {
			return map[string]any{"cidrs": prefixes(typed.Spec.CIDRs)}
		}
	case *networking.Ingress:
		namespace(&typed.Namespace)
		return networkingvalidation.ValidateIngressCreate(typed), func() map[string]any { return ingressOut(typed) }
	case *networking.IngressClass:
		return networkingvalidation.ValidateIngressClass(typed), func() map[string]any {
			return map[string]any{"controller": typed.Spec.Controller}
		}
	}
	panic(fmt.Sprintf("%T", object))
}

// namespace is what the request's path would say.
func namespace(name *string) {
	if *name == "" {
		*name = "default"
	}
}

func under(path string, errors field.ErrorList) field.ErrorList {
	var found field.ErrorList
	for _, one := range errors {
		if strings.HasPrefix(one.Field, path) {
			found = append(found, one)
		}
	}
	return found
}

func validateService(service *core.Service) (field.ErrorList, func() map[string]any) {
	namespace(&service.Namespace)
	// What pkg/registry/core/service/storage does before it validates: the plural of clusterIP, and a port for health
	// checks where one is needed.
	if service.Spec.ClusterIP != "" && len(service.Spec.ClusterIPs) == 0 {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
	}
	allocated := apiservice.NeedsHealthCheck(service) && service.Spec.HealthCheckNodePort == 0
	if allocated {
		service.Spec.HealthCheckNodePort = 31999
	}
	errors := corevalidation.ValidateServiceCreate(service)
	errors = append(errors, corevalidation.ValidateLoadBalancerStatus(&service.Status.LoadBalancer, nil,
		field.NewPath("status", "loadBalancer"), &service.Spec)...)
	if allocated {
		service.Spec.HealthCheckNodePort = 0
	}
	return errors, func() map[string]any { return serviceOut(service) }
}

func validatePod(pod *core.Pod) (field.ErrorList, func() map[string]any) {
	namespace(&pod.Namespace)
	errors := corevalidation.ValidatePodCreate(pod, corevalidation.PodValidationOptions{})
	before := pod.DeepCopy()
	before.Status = core.PodStatus{QOSClass: pod.Status.QOSClass}
	errors = append(errors, under("status.", corevalidation.ValidatePodStatusUpdate(pod, before,
		corevalidation.PodValidationOptions{}))...)
	return errors, func() map[string]any { return podOut(pod) }
}

func main() {
	seed := int64(1)
	if len(os.Args) > 1 {
		number, err := strconv.ParseInt(os.Args[1], 10, 64)
		check(err)
		seed = number
	}
	// Objects that were made before Kubernetes 1.36 may have addresses with leading zeros and prefixes with host bits,
	// and are updated and printed without a word.
	check(utilfeature.DefaultMutableFeatureGate.Set("StrictIPCIDRValidation=false"))
	writer := bufio.NewWriter(os.Stdout)
	defer writer.Flush()
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	usual := make([]map[string]any, len(bases))
	for i, base := range bases {
		verdict := judge(read(base))
		if verdict.Out == nil {
			panic(fmt.Sprintf("base %d: %+v", i, verdict))
		}
		usual[i] = verdict.Out
		check(encoder.Encode(map[string]any{"base": json.RawMessage(base), "o": verdict.Out}))
	}
	seen := map[string]bool{}
	for _, one := range cases(rand.New(rand.NewSource(seed))) {
		document := read(bases[one.base])
		done := true
		var listed [][]any
		for _, p := range one.patches {
			document, done = apply(document, strings.Split(p.pointer, "/")[1:], p.value)
			if !done {
				break
			}
			if p.value == nil {
				listed = append(listed, []any{p.pointer})
			} else {
				listed = append(listed, []any{p.pointer, p.value})
			}
		}
		key, err := json.Marshal([]any{one.base, listed})
		check(err)
		if !done || seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		verdict := judge(document)
		line := map[string]any{"b": one.base, "m": listed}
		if verdict.Decode != nil {
			line["d"] = *verdict.Decode
		} else if verdict.Errors != nil {
			line["e"] = verdict.Errors
		} else if differs := difference(usual[one.base], verdict.Out); len(differs) > 0 {
			line["o"] = differs
		}
		check(encoder.Encode(line))
	}
}

// difference has the values of `now` that are other than before.
func difference(before, now map[string]any) map[string]any {
	found := map[string]any{}
	for name, value := range now {
		old, err := json.Marshal(before[name])
		check(err)
		fresh, err := json.Marshal(value)
		check(err)
		if string(old) != string(fresh) {
			found[name] = value
		}
	}
	return found
}
