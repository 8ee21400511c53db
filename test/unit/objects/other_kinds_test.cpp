#include "test/unit/objects/objects_support.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::objects;
using kubenatd::rules::Family;
using kubenatd::rules::Prefix;
using kubenatd::rules::Protocol;

namespace {

std::string slice(const std::string& rest, const std::string& type = "IPv4") {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: " + type +
         "\nmetadata: {name: web-1, namespace: demo, labels: {kubernetes.io/service-name: web}}\n" + rest;
}

std::string pod(const std::string& rest) {
  return "apiVersion: v1\nkind: Pod\n" + rest;
}

}  // namespace

TEST_CASE("an EndpointSlice's conditions have kube-proxy's defaults") {
  const auto web = decoded<EndpointSlice>(
      slice("ports: [{name: http, port: 8080}, {name: '', port: 53, protocol: UDP}]\n"
            "endpoints:\n"
            "- {addresses: [10.0.0.1, 10.0.0.2], nodeName: n1}\n"
            "- {addresses: [10.0.0.3], conditions: {ready: false, serving: null, terminating: true}}\n"
            "- {addresses: [10.0.0.4], conditions: {serving: false},"
            " hints: {forZones: [{name: a}, {name: b}], forNodes: [{name: n2}]}}\n"));
  CHECK(web.service == "web");
  CHECK(web.family == Family::kIpv4);
  CHECK(web.ports == std::vector<SlicePort>{{"http", 8080, Protocol::kTcp}, {"", 53, Protocol::kUdp}});
  REQUIRE(web.endpoints.size() == 3);
  CHECK(web.endpoints[0] == SliceEndpoint{address("10.0.0.1"), true, true, false, EndpointPlace{"n1", {}, {}}});
  CHECK(web.endpoints[1] == SliceEndpoint{address("10.0.0.3"), false, true, true, EndpointPlace{"", {}, {}}});
  CHECK(web.endpoints[2] ==
        SliceEndpoint{address("10.0.0.4"), true, false, false, EndpointPlace{"", {"a", "b"}, {"n2"}}});
}

TEST_CASE("what a server's EndpointSlice has that is of no use is left out") {
  const std::string text = slice(
      "ports: [{name: a}, {name: b, port: 0}, {name: c, port: 1}, {name: d, port: 65536}]\n"
      "endpoints: [{addresses: ['fd00::1']}, {addresses: []}, {addresses: [x]}, {addresses: [10.0.0.1]}]\n");
  CHECK_FALSE(decode_yaml(text));
  const auto result = decode_yaml(text, Origin::kServer);
  REQUIRE(result);
  const auto& web = std::get<EndpointSlice>(*result->object);
  CHECK(web.ports == std::vector<SlicePort>{{"c", 1, Protocol::kTcp}});
  CHECK(web.endpoints.size() == 1);
  CHECK(result->remarks.size() == 4);
  CHECK_FALSE(decode_yaml(slice("endpoints: [null]\n")));
}

TEST_CASE("a slice's port without name or protocol has the API's defaults") {
  CHECK(decoded<EndpointSlice>(slice("ports: [{port: 9376}]\n")).ports ==
        std::vector<SlicePort>{{"", 9376, Protocol::kTcp}});
  CHECK(decoded<EndpointSlice>(slice("ports: [{port: 9376, name: null, protocol: null}]\n")).ports ==
        std::vector<SlicePort>{{"", 9376, Protocol::kTcp}});
  CHECK_THAT(refusal_of(slice("ports: [{port: 1}, {port: 2}]\n")), Catch::Contains("ports[1].name: Duplicate value"));
}

TEST_CASE("a condition that is no boolean never lets traffic through") {
  for (const char* ready : {"\"false\"", "0", "'no'", "[]", "{}", "0.0"}) {
    INFO(ready);
    for (const std::string name : {"ready", "serving", "terminating"}) {
      const std::string text =
          slice("endpoints: [{addresses: [10.0.0.1], conditions: {" + name + ": " + ready + "}}]\n");
      CHECK_FALSE(decode_yaml(text, Origin::kFolder));
      CHECK_FALSE(decode_yaml(text, Origin::kServer));
    }
  }
  // YAML 1.1, as kubectl reads it.
  CHECK_FALSE(decoded<EndpointSlice>(slice("endpoints: [{addresses: [10.0.0.1], conditions: {ready: n}}]\n"))
                  .endpoints[0]
                  .ready);
}

TEST_CASE("what an EndpointSlice cannot do without is required") {
  CHECK(decoded<EndpointSlice>(slice("", "IPv6")).family == Family::kIpv6);
  CHECK_THAT(decode_yaml(slice("", "FQDN"))->passed_over, Catch::Contains("FQDN"));
  CHECK_THAT(refusal_of(slice("", "IPX")), Catch::Contains("addressType: Unsupported value: \"IPX\""));
  CHECK_THAT(refusal_of(slice("", "")), Catch::Contains("addressType: Required value"));
  CHECK_THAT(refusal_of(slice("ports: [{name: a, port: 1, protocol: x}]\n")), Catch::Contains("ports[0].protocol"));
  CHECK_THAT(refusal_of(slice("endpoints: 5\n")), Catch::Contains("endpoints: is a number"));
  CHECK_THAT(refusal_of("{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: a}}"),
             Catch::Contains("apiVersion"));
}

TEST_CASE("a slice of a headless Service belongs to none") {
  CHECK(decoded<EndpointSlice>("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
                               "metadata: {name: a, labels: {kubernetes.io/service-name: web,"
                               " service.kubernetes.io/headless: ''}}\n")
            .service.empty());
}

TEST_CASE("a Node gives its internal addresses first") {
  const auto node = decoded<Node>(
      "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: za}}\n"
      "spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00:1::/64']}\n"
      "status: {addresses: [{type: ExternalIP, address: 1.2.3.4}, {type: Hostname, address: n1},"
      " {type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: 'fd00::1'}]}\n");
  CHECK(node.addresses == std::vector{address("192.168.0.1"), address("fd00::1"), address("1.2.3.4")});
  CHECK(node.pod_cidrs == std::vector{Prefix::parse("10.1.0.0/24").value(), Prefix::parse("fd00:1::/64").value()});
  CHECK(node.zone == "za");
  CHECK(decoded<Node>("{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.0.0/24}}")
            .pod_cidrs.size() == 1);
}

TEST_CASE("a Node that is deleted or marked by the autoscaler is leaving") {
  const auto is_leaving = [](const std::string& rest) {
    return decoded<Node>("apiVersion: v1\nkind: Node\n" + rest).is_leaving;
  };
  CHECK_FALSE(is_leaving("metadata: {name: n1}\nspec: {taints: [{key: other, effect: NoSchedule}]}\n"));
  CHECK(is_leaving(
      "metadata: {name: n1}\nspec: {taints: [{key: other}, {key: ToBeDeletedByClusterAutoscaler, value: '1'}]}\n"));
  CHECK(is_leaving("metadata: {name: n1, deletionTimestamp: '2025-07-01T10:00:00Z'}\n"));
  CHECK_THAT(refusal_of("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {taints: [{key: a}, {key: 7}]}\n"),
             Catch::Contains("spec.taints[1].key: is a number"));
}

TEST_CASE("an EndpointSlice tells when the change happened that it is due to") {
  const auto annotated = [](const std::string& annotations) {
    return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
           "metadata: {name: web-1, annotations: " +
           annotations + "}\n";
  };
  CHECK(
      decoded<EndpointSlice>(annotated("{endpoints.kubernetes.io/last-change-trigger-time: '2025-07-01T10:00:00.5Z'}"))
          .change_triggered == parse_rfc3339("2025-07-01T10:00:00.5Z"));
  CHECK_FALSE(decoded<EndpointSlice>(annotated("{other: x}")).change_triggered);
  CHECK_FALSE(decoded<EndpointSlice>(annotated("null")).change_triggered);
  CHECK(remarks_on(annotated("{endpoints.kubernetes.io/last-change-trigger-time: soon}")).size() == 1);
  CHECK_THAT(refusal_of(annotated("[]")), Catch::Contains("metadata.annotations: is a list"));
}

TEST_CASE("a Pod gives what endpoints and host ports need") {
  const auto web = decoded<Pod>(
      pod("metadata: {name: web-1, namespace: demo, labels: {app: web}, creationTimestamp: 1970-01-02T00:00:00Z,\n"
          "  deletionTimestamp: 2024-05-01T00:00:00Z}\n"
          "spec:\n  nodeName: n1\n  hostname: h\n  hostNetwork: false\n"
          "  containers:\n"
          "  - ports: [{name: http, containerPort: 8080, hostPort: 80, hostIP: 1.2.3.4}]\n"
          "  - ports: [{containerPort: 53, protocol: UDP, hostPort: 53, hostIP: ''}]\n"
          "  initContainers:\n"
          "  - {restartPolicy: Always, ports: [{name: side, containerPort: 9}]}\n"
          "  - ports: [{name: once, containerPort: 10}]\n"
          "status:\n  phase: Running\n  podIP: 10.0.0.1\n  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n"
          "  conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'True'}]\n"));
  CHECK(web.terminating);
  CHECK(web.created == 86400);
  CHECK(web.ready);
  CHECK_FALSE(web.host_network);
  CHECK(web.phase == Pod::Phase::kRunning);
  CHECK(web.node_name == "n1");
  CHECK(web.hostname == "h");
  CHECK(web.addresses == std::vector{address("10.0.0.1"), address("fd00::1")});
  CHECK(web.ports == std::vector<ContainerPort>{{"http", Protocol::kTcp, 8080, 80, address("1.2.3.4")},
                                                {"", Protocol::kUdp, 53, 53, std::nullopt},
                                                {"side", Protocol::kTcp, 9, 0, std::nullopt}});
  const auto bare = decoded<Pod>(pod("metadata: {name: a}\nstatus: {podIP: 10.0.0.9}\n"));
  CHECK(bare.addresses == std::vector{address("10.0.0.9")});
  CHECK_FALSE(bare.ready);
  CHECK_FALSE(bare.terminating);
}

TEST_CASE("a Pod's time of creation is read as Go reads it") {
  const auto created = [](const std::string& time) {
    return pod("metadata: {name: a, creationTimestamp: '" + time + "'}\n");
  };
  for (const char* time : {"yesterday", "2024-05-01", "5", ""}) CHECK_FALSE(decode_yaml(created(time)));
  CHECK(decoded<Pod>(created("1970-01-01T02:00:05.5+02:00")).created == 5);
  CHECK(decoded<Pod>(pod("metadata: {name: a, creationTimestamp: null}\n")).created == 0);
}

TEST_CASE("a hostPort with a wrong hostIP is not opened on every address") {
  const auto result = decode_yaml(
      pod("metadata: {name: a}\nspec: {containers: [{ports: [{containerPort: 80, hostPort: 80, hostIP: x}]}]}\n"));
  REQUIRE(result);
  const auto& web = std::get<Pod>(*result->object);
  REQUIRE(web.ports.size() == 1);
  CHECK(web.ports[0].host_port == 0);
  CHECK(result->remarks.size() == 1);
  CHECK_FALSE(decode_yaml(pod("metadata: {name: a}\nspec: {containers: [{ports: [{containerPort: 0}]}]}\n")));
}

TEST_CASE("a Pod in the node's own network has its ports on the node") {
  const auto web = decoded<Pod>(
      pod("metadata: {name: a}\nspec: {hostNetwork: true, containers: [{ports: [{containerPort: 80}]}]}\n"));
  REQUIRE(web.ports.size() == 1);
  CHECK(web.ports[0].host_port == 80);
}

TEST_CASE("an Ingress or a route that the API server would not take is refused in a folder only") {
  const auto ingress = [](const std::string& path) {
    return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, annotations: "
           "{kubernetes.io/ingress.class: old}}\nspec: {rules: [{host: a.local, http: {paths: [" +
           path + "]}}]}\n";
  };
  const std::string odd = ingress("{path: x, pathType: Odd, backend: {service: {name: web, port: {number: 99999}}}}");
  CHECK_THAT(refusal_of(odd), Catch::Contains("spec.rules[0].http.paths[0].pathType: Unsupported value: \"Odd\""));
  const auto stored = decode_yaml(odd, Origin::kServer);
  REQUIRE(stored);
  const auto& one = std::get<Ingress>(*stored->object);
  CHECK(one.class_name == "old");
  CHECK(one.rules.at(0).paths.at(0).path == "x");
  CHECK(one.rules.at(0).paths.at(0).backend.port == 0);
  CHECK_THAT(refusal_of(ingress("{path: [], pathType: Exact}")), Catch::Contains("path: is a list"));

  const auto route = [](const std::string& match) {
    return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [{matches: "
           "[" +
           match + "]}]}\n";
  };
  CHECK_THAT(refusal_of(route("{path: {type: prefix}}")), Catch::Contains("path.type: Unsupported value: \"prefix\""));
  CHECK_THAT(refusal_of(route("{path: {value: 5}}")), Catch::Contains("path.value: is a number"));
  CHECK(std::get<HttpRoute>(*decode_yaml(route("{path: {type: prefix}}"), Origin::kServer)->object)
            .rules.at(0)
            .matches.at(0)
            .path_type == RouteMatch::Path::kRegularExpression);
  CHECK_THAT(refusal_of("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
                        "spec: {listeners: [{name: a, port: 80, allowedRoutes: {namespaces: {from: all}}}]}\n"),
             Catch::Contains("from: Unsupported value: \"all\""));
}
