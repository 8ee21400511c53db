package main

import (
	"encoding/json"
	"math/rand"
	"strings"
)

// Each is an object that Kubernetes accepts; every place in it is made wrong. They hold the fields that kubenatd reads.
var bases = []string{
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"demo","labels":{"app":"web"}},"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.10","clusterIPs":["10.96.0.10","fd00::10"],"ipFamilies":["IPv4","IPv6"],"externalIPs":["192.0.2.1"],"loadBalancerSourceRanges":["10.0.0.0/8","fd00::/64"],"externalTrafficPolicy":"Local","internalTrafficPolicy":"Local","healthCheckNodePort":31000,"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":600}},"publishNotReadyAddresses":true,"selector":{"app":"web"},"ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":"http","nodePort":30080},{"name":"dns","protocol":"UDP","port":53,"targetPort":5353,"nodePort":30053}]},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.10","ipMode":"VIP"},{"ip":"192.0.2.11","ipMode":"Proxy"},{"hostname":"lb.example.org"}]}}}`,
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"plain","namespace":"demo"},"spec":{"clusterIP":"10.96.0.11","ports":[{"port":80}]}}`,
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"nodes","namespace":"demo","labels":{"service.kubernetes.io/service-proxy-name":"other"}},"spec":{"type":"NodePort","clusterIP":"fd00::12","ipFamilies":["IPv6"],"externalTrafficPolicy":"Cluster","ports":[{"port":443,"nodePort":30443,"protocol":"SCTP"}]}}`,
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"headless","namespace":"demo"},"spec":{"clusterIP":"None","clusterIPs":["None"],"selector":{"app":"db"},"ports":[{"port":5432,"targetPort":"db"}]}}`,
	`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","namespace":"demo","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"name":"http","protocol":"TCP","port":8080},{"name":"dns","protocol":"UDP","port":53}],"endpoints":[{"addresses":["10.1.0.1","10.1.0.2"],"conditions":{"ready":false,"serving":true,"terminating":true},"nodeName":"node-1","hints":{"forZones":[{"name":"a"},{"name":"b"}],"forNodes":[{"name":"node-1"}]}},{"addresses":["10.1.0.3"]}]}`,
	`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-2","namespace":"demo","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv6","ports":[{"port":9376}],"endpoints":[{"addresses":["fd00:1::1"],"conditions":{"ready":true}}]}`,
	`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1","labels":{"topology.kubernetes.io/zone":"a"}},"spec":{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24","fd00:1::/64"],"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"},{"type":"ExternalIP","address":"198.51.100.1"},{"type":"Hostname","address":"node-1"}]}}`,
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"demo","labels":{"app":"web"},"creationTimestamp":"2026-05-01T12:00:00Z"},"spec":{"nodeName":"node-1","hostname":"web","containers":[{"name":"a","image":"a","ports":[{"name":"http","protocol":"TCP","containerPort":80,"hostPort":8080,"hostIP":"192.0.2.1"},{"name":"dns","protocol":"UDP","containerPort":53,"hostPort":5353}]}],"initContainers":[{"name":"b","image":"b","restartPolicy":"Always","ports":[{"name":"proxy","containerPort":15001,"hostPort":15001}]}]},"status":{"phase":"Running","podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"},{"ip":"fd00:1::1"}],"conditions":[{"type":"PodScheduled","status":"True"},{"type":"Ready","status":"True"}]}}`,
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"agent","namespace":"demo"},"spec":{"nodeName":"node-1","hostNetwork":true,"containers":[{"name":"a","image":"a","ports":[{"containerPort":9100}]}]},"status":{"podIP":"192.0.2.1"}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR","metadata":{"name":"more"},"spec":{"cidrs":["10.97.0.0/16","fd00:97::/112"]}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"web","namespace":"demo"},"spec":{"ingressClassName":"nginx","defaultBackend":{"service":{"name":"web","port":{"number":80}}},"tls":[{"hosts":["a.example.org","*.example.org"]}],"rules":[{"host":"a.example.org","http":{"paths":[{"path":"/x","pathType":"Prefix","backend":{"service":{"name":"web","port":{"name":"http"}}}},{"pathType":"ImplementationSpecific","backend":{"service":{"name":"api","port":{"number":8080}}}}]}},{"host":"*.example.org"}]}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}}`,
}

// Any of them may stand anywhere.
var anything = []string{`null`, `""`, `"x"`, `"True"`, `"Local"`, `"local"`, `" 10.0.0.0/8 "`, `"1.2.3"`, `0`, `1`, `-1`, `1.5`,
	`80.0`, `70000`, `2147483648`, `99999999999`, `1e3`, `true`, `false`, `"true"`, `[]`, `{}`, `[null]`, `["x"]`, `{"a":null}`, `{"a":1}`}

// What a place of such a name is more likely to hold.
var likely = map[string][]string{
	"name": {`"a b"`, `"-a"`, `"a-"`, `"a..b"`, `"A"`, `"a.b"`, `"a_b"`, `"5"`, `"abcdefghijklmnop"`, `"a--b"`, `"http"`, `"1a"`,
		`"` + strings.Repeat("a", 64) + `"`, `"` + strings.Repeat("a", 254) + `"`},
	"namespace": {`"a b"`, `"a.b"`, `"A"`, `"` + strings.Repeat("a", 64) + `"`, `"-"`},
	"type": {`"ClusterIP"`, `"NodePort"`, `"LoadBalancer"`, `"ExternalName"`, `"clusterip"`, `"InternalIP"`, `"ExternalIP"`,
		`"Ready"`},
	"address": {`"192.0.2.300"`, `"::1"`, `"0.0.0.0"`, `"127.0.0.1"`, `"169.254.1.1"`, `"fe80::1"`, `"224.0.0.1"`, `"ff02::1"`,
		`"010.001.0.1"`, `"::ffff:10.1.2.3"`, `"fd00::0:1"`, `"FD00::1"`, `"10.1.2.3 "`, `"fe80::1%eth0"`, `"None"`, `"10.96.0.10"`,
		`"fd00::10"`, `"10.0.0.1/32"`, `"1.2.3.4.5"`, `"192.0.2.7"`, `"::"`},
	"prefix": {`"10.0.0.0"`, `"10.0.0.0/33"`, `"10.1.2.3/8"`, `"010.0.0.0/08"`, `" 10.0.0.0/8\t"`, `"fd00::/129"`, `"fd00::1/64"`,
		`"::ffff:10.0.0.0/104"`, `"0.0.0.0/0"`, `"::/0"`, `"10.0.0.0/-1"`, `"10.0.0.0/ 8"`, `"all"`, `"10.0.0.0/8,11.0.0.0/8"`,
		`"10.2.0.0/16"`, `"fd00:5::/64"`, `"10.0.0.0/255.0.0.0"`},
	"port":     {`65535`, `65536`, `443`, `"80"`, `"http"`, `"0"`, `"-1"`, `"65536"`, `"a_b"`, `"--"`, `53`, `30080`},
	"seconds":  {`86400`, `86401`, `"600"`, `2147483647`},
	"protocol": {`"UDP"`, `"SCTP"`, `"tcp"`, `"ICMP"`, `"TCP"`},
	"word": {`"Cluster"`, `"ClientIP"`, `"None"`, `"clientIP"`, `"IPv4"`, `"IPv6"`, `"IPv5"`, `"ipv4"`, `"FQDN"`, `"VIP"`, `"Proxy"`,
		`"vip"`, `"Exact"`, `"Prefix"`, `"prefix"`, `"Always"`, `"always"`, `"Running"`, `"running"`, `"Succeeded"`, `"False"`},
	"time": {`"2026-05-01T12:00:00.5Z"`, `"2026-05-01T14:00:00+02:00"`, `"2026-05-01"`, `"2026-13-01T12:00:00Z"`, `"2026-05-01 12:00:00Z"`,
		`"1777636800"`, `"2026-02-29T12:00:00Z"`},
	"label": {`"a b"`, `"a."`, `"-a"`, `"` + strings.Repeat("a", 64) + `"`, `"A_b.c"`, `"é"`},
	"path":  {`"/"`, `"a"`, `"/a//b"`, `"/a/./b"`, `"/a/.."`, `"/a%2Fb"`, `"/."`},
	"host":  {`"*"`, `"*.a"`, `"a.*.b"`, `"1.2.3.4"`, `"A.b"`, `"a..b"`},
}

// kinds says by the end of a pointer what is more likely there.
func kinds(pointer string) []string {
	parts := strings.Split(pointer, "/")
	name := parts[len(parts)-1]
	parent := ""
	if len(parts) > 1 {
		parent = parts[len(parts)-2]
	}
	switch {
	case strings.HasSuffix(pointer, "/addresses/0/type"), name == "type":
		return []string{"type"}
	case name == "namespace":
		return []string{"namespace"}
	case name == "hostIP", name == "clusterIP", name == "podIP", name == "ip", name == "address", parent == "clusterIPs",
		parent == "externalIPs", parent == "addresses":
		return []string{"address"}
	case parent == "loadBalancerSourceRanges", parent == "podCIDRs", parent == "cidrs", name == "podCIDR":
		return []string{"prefix"}
	case strings.HasSuffix(strings.ToLower(name), "port"), name == "number":
		return []string{"port"}
	case name == "timeoutSeconds":
		return []string{"seconds"}
	case name == "protocol":
		return []string{"protocol"}
	case strings.HasSuffix(name, "Policy"), name == "sessionAffinity", parent == "ipFamilies", name == "addressType",
		name == "ipMode", name == "pathType", name == "phase", name == "status", name == "restartPolicy":
		return []string{"word"}
	case strings.HasSuffix(name, "Timestamp"):
		return []string{"time"}
	case parent == "labels", parent == "selector":
		return []string{"label"}
	case name == "path":
		return []string{"path"}
	case name == "host", parent == "hosts":
		return []string{"host", "name"}
	case name == "name", name == "nodeName", name == "hostname", name == "ingressClassName", name == "key", name == "controller":
		return []string{"name", "label"}
	}
	return nil
}

// More than one field that goes together, and fields that the bases do not have.
var extra = []testCase{
	{1, patches("/spec/type", `"NodePort"`, "/spec/ports/0/nodePort", `30080`)},
	{1, patches("/spec/ports/0/nodePort", `30080`)},
	{1, patches("/spec/externalTrafficPolicy", `"Local"`)},
	{1, patches("/spec/externalTrafficPolicy", `"Local"`, "/spec/externalIPs", `["192.0.2.1"]`)},
	{1, patches("/spec/externalTrafficPolicy", `"local"`, "/spec/externalIPs", `["192.0.2.1"]`)},
	{1, patches("/spec/loadBalancerSourceRanges", `["10.0.0.0/8"]`)},
	{1, patches("/spec/loadBalancerSourceRanges", `"10.0.0.0/8"`)},
	{1, patches("/spec/loadBalancerSourceRanges", `{"10.0.0.0/8":null}`)},
	{1, patches("/spec/loadBalancerSourceRanges", `[]`)},
	{1, patches("/spec/healthCheckNodePort", `31000`)},
	{1, patches("/spec/healthCheckNodePort", `0`)},
	{1, patches("/spec/sessionAffinity", `"ClientIP"`)},
	{1, patches("/spec/sessionAffinity", `"ClientIP"`, "/spec/sessionAffinityConfig", `{}`)},
	{1, patches("/spec/sessionAffinity", `"ClientIP"`, "/spec/sessionAffinityConfig", `{"clientIP":null}`)},
	{1, patches("/spec/sessionAffinity", `"None"`, "/spec/sessionAffinityConfig", `{"clientIP":{"timeoutSeconds":0}}`)},
	{1, patches("/spec/sessionAffinityConfig", `{"clientIP":{"timeoutSeconds":5}}`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.12"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11","10.96.0.12"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11","fd00::1","fd00::2"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11","fd00::1"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11","fd00::1"]`, "/spec/ipFamilies", `["IPv4"]`)},
	{1, patches("/spec/clusterIPs", `["10.96.0.11","fd00::1"]`, "/spec/ipFamilies", `["IPv6","IPv4"]`)},
	{1, patches("/spec/ipFamilies", `["IPv4","IPv4"]`)},
	{1, patches("/spec/ipFamilies", `["IPv6"]`)},
	{1, patches("/spec/clusterIP", `"None"`, "/spec/type", `"NodePort"`)},
	{1, patches("/spec/clusterIP", `"None"`, "/spec/type", `"LoadBalancer"`)},
	{1, patches("/spec/type", `"ExternalName"`)},
	{1, patches("/spec/type", `"ExternalName"`, "/spec/externalName", `"a.example.org"`, "/spec/clusterIP", `""`)},
	{1, patches("/spec/ports", `[{"name":"a","port":80},{"name":"a","port":81}]`)},
	{1, patches("/spec/ports", `[{"name":"a","port":80},{"name":"b","port":80}]`)},
	{1, patches("/spec/ports", `[{"name":"a","port":80},{"name":"b","port":80,"protocol":"UDP"}]`)},
	{1, patches("/spec/ports", `[{"port":80},{"port":81}]`)},
	{1, patches("/spec/ports", `[{"name":"a","port":80},{"port":81}]`)},
	{1, patches("/spec/type", `"NodePort"`, "/spec/ports", `[{"name":"a","port":80,"nodePort":30001},{"name":"b","port":81,"nodePort":30001}]`)},
	{1, patches("/spec/type", `"NodePort"`, "/spec/ports", `[{"name":"a","port":80,"nodePort":30001},{"name":"b","port":81,"nodePort":30001,"protocol":"UDP"}]`)},
	{1, patches("/spec/type", `"NodePort"`, "/spec/ports/0/nodePort", `70000`)},
	{1, patches("/spec/type", `"NodePort"`, "/spec/ports/0/nodePort", `-1`)},
	{1, patches("/status", `{"loadBalancer":{"ingress":[{"ip":"192.0.2.10"}]}}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/status", `{"loadBalancer":{"ingress":[{"ip":"192.0.2.10"}]}}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/status", `{"loadBalancer":{"ingress":[{"hostname":"a","ipMode":"VIP"}]}}`)},
	{1, patches("/spec/selector", `{"app":null}`)},
	{1, patches("/spec/selector", `{"a b":"c"}`)},
	{1, patches("/spec/selector", `{"":"c"}`)},
	{1, patches("/spec/selector", `{"a/b/c":"c"}`)},
	{1, patches("/spec/selector", `{"Example.org/b":"c"}`)},
	{1, patches("/spec/selector", `{"example.org/B_c.d":"c"}`)},
	{1, patches("/metadata/labels", `{"a b":"c"}`)},
	{1, patches("/metadata/labels", `{"a":"b c"}`)},
	{1, patches("/metadata/labels", `{"a":5}`)},
	{1, patches("/metadata/annotations", `{"service.beta.kubernetes.io/load-balancer-source-ranges":"10.0.0.0/8"}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/metadata/annotations", `{"service.beta.kubernetes.io/load-balancer-source-ranges":"10.0.0.0/8, 11.0.0.0/8"}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/metadata/annotations", `{"service.beta.kubernetes.io/load-balancer-source-ranges":"10.0.0.0/8; 11.0.0.0/8"}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/metadata/annotations", `{"service.beta.kubernetes.io/load-balancer-source-ranges":" "}`)},
	{1, patches("/spec/type", `"LoadBalancer"`, "/metadata/annotations", `{"service.beta.kubernetes.io/load-balancer-source-ranges":["10.0.0.0/8"]}`)},
	{1, patches("/spec/trafficDistribution", `"PreferClose"`)},
	{1, patches("/spec/trafficDistribution", `"preferClose"`)},
	{1, patches("/spec/publishNotReadyAddresses", `"true"`)},
	{1, patches("/spec/publishNotReadyAddresses", `1`)},
	{2, patches("/spec/externalTrafficPolicy", `"Local"`, "/spec/healthCheckNodePort", `31000`)},
	{0, patches("/spec/healthCheckNodePort", `0`)},
	{0, patches("/spec/healthCheckNodePort")},
	{0, patches("/spec/healthCheckNodePort", `70000`)},
	{0, patches("/spec/externalTrafficPolicy", `"Cluster"`)},
	{0, patches("/spec/externalTrafficPolicy", `"Cluster"`, "/spec/healthCheckNodePort", `0`)},
	{0, patches("/spec/externalTrafficPolicy", `"local"`, "/spec/healthCheckNodePort", `0`)},
	{0, patches("/spec/externalTrafficPolicy", `""`, "/spec/healthCheckNodePort", `0`)},
	{4, patches("/endpoints/0/conditions", `{"ready":"false"}`)},
	{4, patches("/endpoints/0/conditions", `{"ready":0}`)},
	{4, patches("/endpoints/0/conditions", `{"ready":null}`)},
	{4, patches("/endpoints/0/conditions", `{"ready":[false]}`)},
	{4, patches("/endpoints/0/conditions", `{}`)},
	{4, patches("/endpoints/0/conditions", `{"terminating":true}`)},
	{4, patches("/endpoints/0/hints/forZones", `[{"name":"a"},{"name":"a"}]`)},
	{4, patches("/endpoints/0/hints/forZones", `[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"},{"name":"e"},{"name":"f"},{"name":"g"},{"name":"h"},{"name":"i"}]`)},
	{4, patches("/endpoints/0/hints/forNodes", `[{"name":"a"},{"name":"a"}]`)},
	{4, patches("/endpoints/0/hints/forNodes", `[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"},{"name":"e"},{"name":"f"},{"name":"g"},{"name":"h"},{"name":"i"}]`)},
	{4, patches("/addressType", `"FQDN"`)},
	{4, patches("/addressType", `"FQDN"`, "/endpoints", `[{"addresses":["a.example.org"]}]`)},
	{4, patches("/addressType", `"IPv6"`)},
	{4, patches("/ports", `[{"name":"a","port":80},{"name":"a","port":81}]`)},
	{4, patches("/ports", `[{"port":80},{"port":81}]`)},
	{4, patches("/ports", `[{"name":"a","port":80},{"name":"b","port":80}]`)},
	{4, patches("/ports/0", `{}`)},
	{4, patches("/ports/0", `{"name":null,"protocol":null,"port":80}`)},
	{4, patches("/metadata/labels", `{"kubernetes.io/service-name":"web","service.kubernetes.io/headless":""}`)},
	{6, patches("/spec/podCIDR", `"10.2.0.0/24"`)},
	{6, patches("/spec/podCIDR")},
	{6, patches("/spec/podCIDRs")},
	{6, patches("/spec/podCIDRs", `["10.1.0.0/24","10.2.0.0/24"]`)},
	{6, patches("/spec/podCIDRs", `["10.1.0.0/24","fd00::/64","fd00:2::/64"]`)},
	{6, patches("/status/addresses", `[{"type":"InternalIP","address":"192.0.2.1"},{"type":"InternalIP","address":"192.0.2.1"}]`)},
	{6, patches("/metadata/deletionTimestamp", `"2026-05-01T12:00:00Z"`)},
	{6, patches("/metadata/deletionTimestamp", `"soon"`)},
	{6, patches("/metadata/deletionTimestamp", `true`)},
	{6, patches("/metadata/deletionTimestamp", `null`)},
	{7, patches("/metadata/deletionTimestamp", `"2026-05-01T12:00:00Z"`)},
	{7, patches("/metadata/deletionTimestamp", `"soon"`)},
	{7, patches("/metadata/deletionTimestamp", `""`)},
	{7, patches("/metadata/deletionTimestamp", `1777636800`)},
	{7, patches("/status/podIP", `"10.1.0.9"`)},
	{7, patches("/status/podIP")},
	{7, patches("/status/podIPs")},
	{7, patches("/status/podIPs", `[{"ip":"10.1.0.1"},{"ip":"10.1.0.2"}]`)},
	{7, patches("/status/podIPs", `[{"ip":"10.1.0.1"},{"ip":"fd00::1"},{"ip":"fd00::2"}]`)},
	{7, patches("/status/podIPs", `["10.1.0.1"]`)},
	{7, patches("/spec/hostNetwork", `true`)},
	{7, patches("/spec/hostNetwork", `"true"`)},
	{7, patches("/spec/containers/0/ports", `[{"containerPort":80,"hostPort":8080},{"containerPort":81,"hostPort":8080}]`)},
	{7, patches("/spec/containers/0/ports", `[{"containerPort":80,"hostPort":8080,"hostIP":"192.0.2.1"},{"containerPort":81,"hostPort":8080,"hostIP":"192.0.2.2"}]`)},
	{7, patches("/spec/containers/0/ports", `[{"containerPort":80,"hostPort":8080,"hostIP":"192.0.2.1"},{"containerPort":81,"hostPort":8080,"hostIP":"192.0.2.1"}]`)},
	{7, patches("/spec/containers/0/ports", `[{"containerPort":80,"hostPort":8080},{"containerPort":81,"hostPort":8080,"protocol":"UDP"}]`)},
	{7, patches("/spec/containers/0/ports", `[{"name":"a","containerPort":80},{"name":"a","containerPort":81}]`)},
	{7, patches("/status/conditions", `[{"type":"Ready","status":"False"},{"type":"Ready","status":"True"}]`)},
	{8, patches("/spec/containers/0/ports/0/hostPort", `9100`)},
	{8, patches("/spec/containers/0/ports/0/hostPort", `9101`)},
	{9, patches("/spec/cidrs", `["10.97.0.0/16","10.98.0.0/16"]`)},
	{9, patches("/spec/cidrs", `["10.97.0.0/16","fd00::/64","10.98.0.0/16"]`)},
	{10, patches("/metadata/annotations", `{"kubernetes.io/ingress.class":"nginx"}`)},
	{10, patches("/metadata/annotations", `{"kubernetes.io/ingress.class":"traefik"}`)},
	{10, patches("/spec/ingressClassName", `null`, "/metadata/annotations", `{"kubernetes.io/ingress.class":"traefik"}`)},
	{10, patches("/spec/defaultBackend/service/port", `{"number":80,"name":"http"}`)},
	{10, patches("/spec/defaultBackend", `{"resource":{"apiGroup":"a.example.org","kind":"B","name":"c"}}`)},
	{10, patches("/spec/defaultBackend", `null`, "/spec/rules", `[]`)},
}

// patches takes a pointer and a value each; a last pointer without one is removed.
func patches(texts ...string) []patch {
	var found []patch
	for i := 0; i < len(texts); i += 2 {
		one := patch{pointer: texts[i]}
		if i+1 < len(texts) {
			one.value = json.RawMessage(texts[i+1])
		}
		found = append(found, one)
	}
	return found
}

func cases(random *rand.Rand) []testCase {
	found := append([]testCase{}, extra...)
	var single []testCase
	for i, base := range bases {
		var places []string
		pointers(read(base), "", &places)
		for _, place := range places {
			single = append(single, testCase{i, []patch{{pointer: place}}})
			values := anything
			for _, kind := range kinds(place) {
				values = append(append([]string{}, likely[kind]...), values...)
			}
			for _, value := range values {
				single = append(single, testCase{i, []patch{{place, json.RawMessage(value)}}})
			}
		}
	}
	found = append(found, single...)
	// Two or three at once.
	const mixed = 1500
	for n := 0; n < mixed; n++ {
		one := single[random.Intn(len(single))]
		for more := 1 + random.Intn(2); more > 0; {
			other := single[random.Intn(len(single))]
			if other.base != one.base {
				continue
			}
			one = testCase{one.base, append(append([]patch{}, one.patches...), other.patches...)}
			more--
		}
		found = append(found, one)
	}
	return found
}
