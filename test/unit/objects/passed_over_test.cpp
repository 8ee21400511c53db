#include "agent/objects/passed_over.h"

#include "test/unit/objects/objects_support.h"

namespace kubenatd::agent::objects {
namespace {

/// What is kept of the one document of a YAML text.
PassedOver of_yaml(const std::string& text) {
  std::vector<nlohmann::json> found;
  REQUIRE(documents::read_all(text, [&](nlohmann::json&& one) { found.push_back(std::move(one)); }));
  REQUIRE(found.size() == 1);
  const auto decoded = decode_object(found[0]);
  if (!decoded) return passed_over(found[0], decoded.error());
  return passed_over(found[0], decoded->remarks.empty() ? decoded->passed_over : decoded->remarks[0]);
}

}  // namespace

TEST_CASE("a refused Service is kept with its addresses and NodePorts") {
  const PassedOver one = of_yaml(R"(
apiVersion: v1
kind: Service
metadata: {name: x, namespace: demo}
spec:
  type: LoadBalancer
  clusterIP: 10.96.1.1
  clusterIPs: [10.96.1.1, "fd00::1"]
  externalIPs: [192.0.2.1, nonsense, 7]
  healthCheckNodePort: 32000
  ports: [{port: 70000, nodePort: 30080}, {port: 80, nodePort: "30081"}, {port: 80, nodePort: 70000}, 5]
status: {loadBalancer: {ingress: [{ip: 198.51.100.9}, {hostname: lb}, {}]}}
)");
  CHECK(one.object == "Service demo/x");
  CHECK(one.reason == "spec.ports[0].name: Required value");
  CHECK(one.addresses ==
        std::vector{address("10.96.1.1"), address("fd00::1"), address("192.0.2.1"), address("198.51.100.9")});
  CHECK(one.node_ports == std::vector<std::uint16_t>{30080, 32000});
  CHECK(is_worth_telling(one));
}

TEST_CASE("an object that was taken in part is kept with the field that was left out") {
  const PassedOver one = of_yaml(R"(
apiVersion: v1
kind: Service
metadata: {name: x, namespace: demo}
spec: {clusterIP: 10.96.1.1, externalIPs: [nonsense], ports: [{port: 80}]}
)");
  CHECK(one.object == "Service demo/x");
  CHECK(one.reason.starts_with("spec.externalIPs[0]: "));
  CHECK(one.addresses == std::vector{address("10.96.1.1")});
}

TEST_CASE("slices, pods, nodes and Ingresses are kept with what they have") {
  CHECK(of_yaml("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, addressType: IPv4, "
                "ports: 7, endpoints: [{addresses: [10.244.1.5, 10.244.1.6]}, {addresses: 7}, 7]}")
            .addresses == std::vector{address("10.244.1.5"), address("10.244.1.6")});
  const PassedOver pod = of_yaml(
      "{apiVersion: v1, kind: Pod, metadata: {name: P_}, spec: {containers: [{ports: [{hostPort: 8080}]}]}, "
      "status: {podIP: 10.244.1.5, podIPs: [{ip: 10.244.1.5}, {ip: 'fd00::5'}]}}");
  CHECK(pod.addresses == std::vector{address("10.244.1.5"), address("fd00::5")});
  CHECK(pod.node_ports == std::vector<std::uint16_t>{8080});
  // The node's address is none of the pod's.
  CHECK(of_yaml("{apiVersion: v1, kind: Pod, metadata: {name: P_}, spec: {hostNetwork: true}, "
                "status: {podIP: 192.0.2.1}}")
            .addresses.empty());
  CHECK(of_yaml("{apiVersion: v1, kind: Node, metadata: {name: N_}, status: {addresses: [{address: 192.0.2.1}]}}")
            .addresses == std::vector{address("192.0.2.1")});
  CHECK(of_yaml("{apiVersion: networking.k8s.io/v1beta1, kind: Ingress, metadata: {name: i}, "
                "status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}}")
            .addresses == std::vector{address("192.0.2.2")});
}

TEST_CASE("documents of no use to packets are not worth telling, whatever they are") {
  CHECK_FALSE(is_worth_telling(of_yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")));
  CHECK(is_worth_telling({"file /x.yaml", "cannot be read", {}, {}}));
  for (const char* text : {"7", "[]", "null", R"({"kind": 5})", R"({"kind": "Service", "spec": []})",
                           R"({"kind": "Pod", "spec": {"hostNetwork": "yes", "containers": [[]]}, "status": 4})"}) {
    const PassedOver one = passed_over(nlohmann::json::parse(text), "Service a/b: why");
    CHECK(one.object == "Service a/b");
    CHECK(one.reason == "why");
    CHECK(one.addresses.empty());
  }
  CHECK(passed_over(nlohmann::json(), "a line without more").reason.empty());
  nlohmann::json many = {{"kind", "Service"}, {"spec", {{"externalIPs", nlohmann::json::array()}}}};
  for (int i = 0; i < 3000; ++i)
    many["spec"]["externalIPs"].push_back("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  CHECK(passed_over(many, "Service a/b: why").addresses.size() == 1000);
}

}  // namespace kubenatd::agent::objects
