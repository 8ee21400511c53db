#include "agent/sources/endpoint_deriver.h"

#include <fmt/format.h>

#include <optional>

#include "test/unit/objects/objects_support.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::objects;
using namespace kubenatd::agent::sources;
using kubenatd::rules::Family;
using kubenatd::rules::Protocol;

namespace {

/// A deriver and the slices that follow from its events.
class Cluster {
 public:
  std::map<std::string, EndpointSlice> slices;

  /// Returns how many events came of it.
  std::size_t put(const std::string& yaml) {
    const Object object = *decode_yaml(yaml)->object;
    deriver_.note({id_of(object), std::make_shared<const Object>(object)});
    return derive();
  }
  std::size_t remove(Kind kind, const std::string& name, const std::string& ns = "default") {
    deriver_.note({{kind, {ns, name}}, nullptr});
    return derive();
  }
  [[nodiscard]] std::vector<std::string> remarks() { return deriver_.take_remarks(); }
  std::size_t derive() {
    const auto events = deriver_.derive();
    for (const ObjectEvent& event : events) {
      CHECK(event.kind == Kind::kEndpointSlice);
      if (event.object)
        slices[event.key.name] = std::get<EndpointSlice>(*event.object);
      else
        CHECK(slices.erase(event.key.name) == 1);
    }
    return events.size();
  }

 private:
  EndpointDeriver deriver_;
};

std::string service(const std::string& more = "targetPort: 8080", const std::string& spec = "") {
  return fmt::format(
      "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\n"
      "spec: {{clusterIP: 10.96.0.1, selector: {{app: web}}, ports: [{{port: 80, {}}}]{}}}\n",
      more, spec);
}

std::string pod(const std::string& name, const std::string& ip, const std::string& more = "",
                const std::string& ready = "True", const std::string& spec = "nodeName: n1") {
  return fmt::format(
      "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, labels: {{app: web, x: z}}{}}}\nspec: {{{}}}\n"
      "status: {{phase: Running, podIPs: [{{ip: '{}'}}], conditions: [{{type: Ready, status: '{}'}}]}}\n",
      name, more, spec, ip, ready);
}

}  // namespace

TEST_CASE("endpoints of a Service come from the pods that its selector fits") {
  Cluster cluster;
  CHECK(cluster.put(service()) == 0);
  CHECK(cluster.put(pod("a", "10.0.0.1")) == 1);
  CHECK(cluster.put(pod("b", "10.0.0.2", "", "False", "nodeName: n2")) == 1);
  CHECK(cluster.put("{apiVersion: v1, kind: Pod, metadata: {name: c, labels: {app: db}}, status: {podIP: 10.0.0.3}}") ==
        0);
  CHECK(cluster.put("{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: other, labels: {app: web}},"
                    " status: {podIP: 10.0.0.4}}") == 0);
  REQUIRE(cluster.slices.size() == 1);
  const EndpointSlice& slice = cluster.slices.at("web~ipv4~8080");
  CHECK(slice.service == "web");
  CHECK(slice.key.ns == "default");
  CHECK(slice.ports == std::vector<SlicePort>{{"", 8080, Protocol::kTcp}});
  REQUIRE(slice.endpoints.size() == 2);
  CHECK(slice.endpoints[0] == SliceEndpoint{address("10.0.0.1"), true, true, false, EndpointPlace{"n1", {}, {}}});
  CHECK(slice.endpoints[1] == SliceEndpoint{address("10.0.0.2"), false, false, false, EndpointPlace{"n2", {}, {}}});
}

TEST_CASE("derived endpoints follow the pods") {
  Cluster cluster;
  cluster.put(service());
  cluster.put(pod("a", "10.0.0.1"));
  cluster.put(pod("b", "10.0.0.2"));
  CHECK(cluster.put(pod("b", "10.0.0.2")) == 0);
  CHECK(cluster.put(pod("a", "10.0.0.1", ", deletionTimestamp: 2024-05-01T00:00:00Z")) == 1);
  const SliceEndpoint& terminating = cluster.slices.at("web~ipv4~8080").endpoints.at(0);
  CHECK_FALSE(terminating.ready);
  CHECK(terminating.serving);
  CHECK(terminating.terminating);
  CHECK(cluster.remove(Kind::kPod, "a") == 1);
  CHECK(cluster.slices.at("web~ipv4~8080").endpoints.size() == 1);
  CHECK(cluster.put("{apiVersion: v1, kind: Pod, metadata: {name: b, labels: {app: web}},"
                    " status: {phase: Succeeded, podIP: 10.0.0.2}}") == 1);
  CHECK(cluster.slices.empty());
}

TEST_CASE("a Service with slices of its own gets none derived, until they are gone") {
  const std::string slice =
      "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,"
      " metadata: {name: own, labels: {kubernetes.io/service-name: web}}}";
  Cluster cluster;
  cluster.put(service());
  cluster.put(pod("a", "10.0.0.1"));
  CHECK(cluster.slices.size() == 1);
  CHECK(cluster.put(slice) == 1);
  CHECK(cluster.slices.empty());
  CHECK(cluster.put(slice) == 0);
  CHECK(cluster.remove(Kind::kEndpointSlice, "own") == 1);
  CHECK(cluster.slices.size() == 1);
  CHECK(cluster.remove(Kind::kService, "web") == 1);
  CHECK(cluster.slices.empty());
}

TEST_CASE("named target ports are looked up in each pod") {
  Cluster cluster;
  cluster.put(service("targetPort: http"));
  cluster.put(pod("a", "10.0.0.1", "", "True", "containers: [{ports: [{name: http, containerPort: 8080}]}]"));
  cluster.put(pod("b", "10.0.0.2", "", "True", "containers: [{ports: [{name: http, containerPort: 9090}]}]"));
  cluster.put(pod("c", "10.0.0.3", "", "True", "containers: [{ports: [{name: other, containerPort: 9090}]}]"));
  cluster.put(
      pod("d", "10.0.0.4", "", "True", "containers: [{ports: [{name: http, containerPort: 1, protocol: UDP}]}]"));
  REQUIRE(cluster.slices.size() == 2);
  CHECK(cluster.slices.at("web~ipv4~8080").endpoints.at(0).address == address("10.0.0.1"));
  CHECK(cluster.slices.at("web~ipv4~9090").endpoints.at(0).address == address("10.0.0.2"));
  CHECK(cluster.slices.at("web~ipv4~9090").endpoints.size() == 1);
}

TEST_CASE("a pod that lacks one of two ports serves the other one") {
  Cluster cluster;
  cluster.put(
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.1, selector: {app: web},"
      " ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81}]}\n");
  cluster.put(pod("a", "10.0.0.1"));
  REQUIRE(cluster.slices.size() == 1);
  CHECK(cluster.slices.at("web~ipv4~,81").ports == std::vector<SlicePort>{{"b", 81, Protocol::kTcp}});
}

TEST_CASE("a dual-stack Service gets slices of both families") {
  Cluster cluster;
  cluster.put(service("targetPort: 8080", ", clusterIPs: [10.96.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6]"));
  cluster.put(
      "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {app: web}},"
      " status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00:1::1'}]}}");
  cluster.put(pod("b", "fd00:1::2"));
  REQUIRE(cluster.slices.size() == 2);
  CHECK(cluster.slices.at("web~ipv4~8080").endpoints.size() == 1);
  CHECK(cluster.slices.at("web~ipv6~8080").endpoints.size() == 2);
  CHECK(cluster.slices.at("web~ipv6~8080").family == Family::kIpv6);
}

TEST_CASE("publishNotReadyAddresses makes every pod ready") {
  Cluster cluster;
  cluster.put(service("targetPort: 1", ", publishNotReadyAddresses: true"));
  cluster.put(pod("a", "10.0.0.1", "", "False"));
  const SliceEndpoint& endpoint = cluster.slices.at("web~ipv4~1").endpoints.at(0);
  CHECK(endpoint.ready);
  CHECK_FALSE(endpoint.serving);
}

TEST_CASE("Services that no proxy serves get nothing") {
  Cluster cluster;
  cluster.put(pod("a", "10.0.0.1"));
  cluster.put("{apiVersion: v1, kind: Service, metadata: {name: h}, spec: {clusterIP: None, selector: {app: web}}}");
  cluster.put("{apiVersion: v1, kind: Service, metadata: {name: e}, spec: {type: ExternalName, selector: {app: web}}}");
  cluster.put(
      "{apiVersion: v1, kind: Service, metadata: {name: none}, spec: {clusterIP: 10.0.0.1, ports: [{port: 1}]}}");
  CHECK(cluster.slices.empty());
}

TEST_CASE("hints follow the Nodes") {
  const auto node = [](const std::string& name, const std::string& zone, const std::string& cpu = "4") {
    return fmt::format(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {}, labels: {{topology.kubernetes.io/zone: '{}'}}}}\n"
        "status: {{allocatable: {{cpu: {}}}, conditions: [{{type: Ready, status: 'True'}}]}}\n",
        name, zone, cpu);
  };
  using Names = std::vector<std::string>;
  Cluster cluster;
  cluster.put(pod("a", "10.0.0.1"));
  cluster.put(pod("b", "10.0.0.2", "", "True", "nodeName: n2"));
  cluster.put(service("targetPort: 8080", ", trafficDistribution: PreferSameNode"));
  const auto endpoint = [&](std::size_t i) { return cluster.slices.at("web~ipv4~8080").endpoints.at(i); };
  CHECK(endpoint(0).place->node_hints == Names{"n1"});
  CHECK(endpoint(0).place->zone_hints.empty());
  CHECK(cluster.remarks() ==
        Names{"Service default/web: spec.trafficDistribution: Node \"n1\" is not among the objects, so zones decide "
              "nothing"});
  CHECK(cluster.put(node("n1", "a")) == 1);
  CHECK(endpoint(0).place->zone_hints == Names{"a"});
  CHECK(cluster.remarks().size() == 1);  // now of n2
  CHECK(cluster.put(node("n2", "b")) == 1);
  CHECK(endpoint(1).place->zone_hints == Names{"b"});
  CHECK(cluster.remarks().empty());
  CHECK(cluster.put(node("n2", "b")) == 0);
  CHECK(cluster.put(node("n2", "c")) == 1);
  CHECK(endpoint(1).place->zone_hints == Names{"c"});

  const auto by_cpu = [](const std::string& spec) {
    std::string text = service("targetPort: 8080", spec);
    const std::string name = "{name: web";
    return text.replace(text.find(name), name.size(),
                        name + ", annotations: {service.kubernetes.io/topology-mode: Auto}");
  };
  // The annotation counts more than the field, also where it leads to no hints.
  cluster.put(by_cpu(", trafficDistribution: PreferSameNode"));
  CHECK(endpoint(1).place->node_hints.empty());
  CHECK(endpoint(1).place->zone_hints == Names{"c"});
  CHECK(cluster.put(node("n2", "c", "'0'")) == 1);
  CHECK(endpoint(1).place->zone_hints.empty());
  CHECK(cluster.remarks() ==
        Names{"Service default/web: topology mode: Node \"n2\" is ready and has no allocatable CPU"});
  CHECK(cluster.remove(Kind::kNode, "n2", "") == 0);
  CHECK(cluster.remarks() == Names{"Service default/web: topology mode: fewer than two zones have ready Nodes"});
}

TEST_CASE("Endpoints of a Service without selector are mirrored") {
  const std::string endpoints =
      "{apiVersion: v1, kind: Endpoints, metadata: {name: db},"
      " subsets: [{addresses: [{ip: 192.0.2.1, nodeName: n1}], notReadyAddresses: [{ip: 192.0.2.2}],"
      " ports: [{port: 5432}]}]}";
  const auto slice = [](const std::string& name, const std::string& manager) {
    return fmt::format(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: {},"
        " labels: {{kubernetes.io/service-name: db, endpointslice.kubernetes.io/managed-by: {}}}}}}}",
        name, manager);
  };
  Cluster cluster;
  CHECK(cluster.put(endpoints) == 0);
  CHECK(cluster.put("{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: 10.0.0.1,"
                    " ports: [{port: 5432}]}}") == 1);
  const EndpointSlice mirrored = cluster.slices.at("db~ipv4~:5432/tcp");
  CHECK(mirrored.service == "db");
  REQUIRE(mirrored.endpoints.size() == 2);
  CHECK(mirrored.endpoints[0] == SliceEndpoint{address("192.0.2.1"), true, true, false, EndpointPlace{"n1", {}, {}}});
  CHECK(mirrored.endpoints[1] == SliceEndpoint{address("192.0.2.2"), false, true, false, EndpointPlace{"", {}, {}}});
  // A slice of somebody else counts beside it; those that the controller mirrored are the same again.
  CHECK(cluster.put(slice("by-hand", "me")) == 0);
  CHECK(cluster.put(slice("db-x1", "endpointslicemirroring-controller.k8s.io")) == 1);
  CHECK(cluster.slices.empty());
  CHECK(cluster.remove(Kind::kEndpointSlice, "db-x1") == 1);
  CHECK(cluster.put("{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: 10.0.0.1,"
                    " selector: {app: db}, ports: [{port: 5432}]}}") == 1);
  CHECK(cluster.slices.empty());
  CHECK(cluster.remove(Kind::kEndpointSlice, "by-hand") == 0);
  CHECK(cluster.remarks() ==
        std::vector<std::string>{"Endpoints default/db: is not used: its Service has a selector, so its endpoints come "
                                 "from Pods, and none is here"});
}

TEST_CASE("many Services and pods in one go give what they give one by one") {
  EndpointDeriver deriver;
  const auto note = [&](const std::string& yaml) {
    const Object object = *decode_yaml(yaml)->object;
    deriver.note({id_of(object), std::make_shared<const Object>(object)});
  };
  constexpr int kServices = 50;
  for (int i = 0; i < kServices; ++i) {
    note(
        fmt::format("{{apiVersion: v1, kind: Service, metadata: {{name: s{0}}},"
                    " spec: {{clusterIP: 10.96.0.{0}, selector: {{app: a{0}, x: z}}, ports: [{{port: 1}}]}}}}",
                    i));
    for (const int number : {1, 2})
      note(
          fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: p{0}-{1}, labels: {{app: a{0}, x: z}}}},"
                      " status: {{podIP: 10.{1}.0.{0}}}}}",
                      i, number));
  }
  const auto events = deriver.derive();
  REQUIRE(events.size() == kServices);
  for (const ObjectEvent& event : events) CHECK(std::get<EndpointSlice>(*event.object).endpoints.size() == 2);
  CHECK(deriver.derive().empty());
}
