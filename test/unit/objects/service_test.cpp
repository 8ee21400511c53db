#include "test/unit/objects/objects_support.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::objects;
using kubenatd::rules::Family;
using kubenatd::rules::Prefix;
using kubenatd::rules::Protocol;

namespace {

std::string service(const std::string& spec, const std::string& rest = "") {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: demo}\nspec: {" + spec + "}\n" + rest;
}

const std::string kPort = "ports: [{port: 80}]";

}  // namespace

TEST_CASE("a Service is read with the API's defaults") {
  const auto web = decoded<Service>(service("clusterIP: 10.96.0.10, selector: {app: web}, " + kPort));
  CHECK(web.key.to_string() == "demo/web");
  CHECK(web.type == Service::Type::kClusterIp);
  CHECK(web.cluster_ips == std::vector{address("10.96.0.10")});
  CHECK_FALSE(web.headless);
  CHECK(web.selector == Labels{{"app", "web"}});
  REQUIRE(web.ports.size() == 1);
  CHECK(web.ports[0] == ServicePort{"", Protocol::kTcp, 80, 0, ""});
  CHECK_FALSE(web.affinity_seconds);
  CHECK_FALSE(web.internal_policy_local);
  CHECK_FALSE(web.external_policy_local);
}

TEST_CASE("a namespaced object without namespace is in default") {
  CHECK(decoded<Service>("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}").key.ns ==
        "default");
  CHECK(decoded<Node>("{apiVersion: v1, kind: Node, metadata: {name: a}}").key.ns.empty());
}

TEST_CASE("cluster IPs go by ipFamilies, or by their own family") {
  const auto ips = [](const std::string& spec) { return decoded<Service>(service(spec + ", " + kPort)).cluster_ips; };
  CHECK(ips("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6]") ==
        std::vector{address("10.0.0.1"), address("fd00::1")});
  CHECK(ips("clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6]") ==
        std::vector{address("fd00::1")});
  CHECK(ips("clusterIP: 10.0.0.1, ipFamilies: [IPv4]") == std::vector{address("10.0.0.1")});
  CHECK(ips("clusterIPs: [10.0.0.1, 'fd00::1']") == std::vector{address("10.0.0.1"), address("fd00::1")});
  CHECK(ips("clusterIP: 010.000.0.1") == std::vector{address("10.0.0.1")});
  CHECK(refusal_of(service("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv6]")) ==
        "Service demo/web: spec.clusterIPs[0]: 10.0.0.1 is not IPv6, as spec.ipFamilies[0] says");
  CHECK(refusal_of(service("clusterIP: 10.0.0.300")) ==
        "Service demo/web: spec.clusterIP: \"10.0.0.300\" is not an IP address");
  CHECK_THAT(refusal_of(service("ipFamilies: [IPv5]")), Catch::Contains("spec.ipFamilies[0]: \"IPv5\""));
}

TEST_CASE("headless, ExternalName and foreign Services are told apart") {
  CHECK(decoded<Service>(service("clusterIP: None, clusterIPs: [None]")).headless);
  const auto none_yet = decoded<Service>(service("type: ClusterIP, " + kPort));
  CHECK_FALSE(none_yet.headless);
  CHECK(none_yet.cluster_ips.empty());
  const auto name = decoded<Service>(service("type: ExternalName, clusterIP: 10.0.0.1, externalName: example.org"));
  CHECK(name.type == Service::Type::kExternalName);
  CHECK(name.cluster_ips.empty());
  CHECK(decoded<Service>("apiVersion: v1\nkind: Service\n"
                         "metadata: {name: a, labels: {service.kubernetes.io/service-proxy-name: ''}}\n"
                         "spec: {clusterIP: 10.0.0.1}\n")
            .foreign_proxy);
}

TEST_CASE("ports are checked one by one") {
  const auto web = decoded<Service>(service(
      "clusterIP: 10.0.0.1, ports: [{name: dns, protocol: UDP, port: 53, targetPort: 5353, nodePort: 30053},"
      " {name: dns-tcp, protocol: TCP, port: 53, targetPort: dns-tcp}, {name: s, protocol: SCTP, port: 80.0}]"));
  REQUIRE(web.ports.size() == 3);
  CHECK(web.ports[0] == ServicePort{"dns", Protocol::kUdp, 53, 30053, "5353"});
  CHECK(web.ports[1] == ServicePort{"dns-tcp", Protocol::kTcp, 53, 0, "dns-tcp"});
  CHECK(web.ports[2] == ServicePort{"s", Protocol::kSctp, 80, 0, ""});

  const auto refused = [](const std::string& ports) {
    return refusal_of(service("clusterIP: 10.0.0.1, ports: [" + ports + "]"));
  };
  CHECK(refused("{name: a, port: 1}, {name: b, port: 70000}") ==
        "Service demo/web: spec.ports[1].port: 70000 is not in 1..65535");
  CHECK_THAT(refused("{port: 0}"), Catch::Contains("0 is not in 1..65535"));
  CHECK_THAT(refused("{port: 1.5}"), Catch::Contains("1.5 is not in"));
  CHECK_THAT(refused("{port: -1}"), Catch::Contains("-1 is not in"));
  CHECK_THAT(refused("{port: 99999999999999999999999}"), Catch::Contains("is not in"));
  CHECK_THAT(refused("{port: '80'}"), Catch::Contains("ports[0].port: is a string, not a number"));
  CHECK_THAT(refused("{name: a}"), Catch::Contains("ports[0].port: is missing"));
  CHECK_THAT(refused("{port: 80, protocol: ICMP}"), Catch::Contains("protocol: \"ICMP\" is not TCP, UDP or SCTP"));
  CHECK_THAT(refused("{port: 80, protocol: tcp}"), Catch::Contains("protocol"));
  CHECK_THAT(refused("{port: 80, nodePort: 65536}"), Catch::Contains("nodePort"));
  CHECK_THAT(refused("{port: 80, targetPort: 'a b'}"), Catch::Contains("targetPort"));
  CHECK_THAT(refused("{port: 80, name: \"a\\nb\"}"), Catch::Contains("\"a\\nb\" is not a DNS label"));
  CHECK_THAT(refused("{port: 80, name: a}, {port: 81, name: a}"), Catch::Contains("name of an earlier port"));
  CHECK_THAT(refused("{port: 80, name: a}, {port: 80, name: b}"), Catch::Contains("80 is there twice"));
  CHECK_THAT(refused("5"), Catch::Contains("ports[0]: is a number, not a map"));
  CHECK_THAT(refusal_of(service("clusterIP: 10.0.0.1, ports: {}")), Catch::Contains("ports: is a map, not a list"));
}

TEST_CASE("addresses that kube-proxy drops are dropped with a remark") {
  const std::string text = service(
      "type: LoadBalancer, clusterIP: 10.0.0.1, externalIPs: [1.2.3.4, nonsense, '', 5],"
      " loadBalancerSourceRanges: [' 10.1.2.3/8 ', 1.2.3.4, 'fd00::/200']",
      "status: {loadBalancer: {ingress: [{ip: 1.1.1.1}, {ip: 2.2.2.2, ipMode: VIP}, {ip: 3.3.3.3, ipMode: Proxy},"
      " {hostname: a.example.org}, {ip: x}]}}\n");
  const auto result = decode_yaml(text);
  REQUIRE(result);
  const auto& web = std::get<Service>(*result->object);
  CHECK(web.external_ips == std::vector{address("1.2.3.4")});
  CHECK(web.load_balancer_ips == std::vector{address("1.1.1.1"), address("2.2.2.2")});
  CHECK(web.source_ranges == std::vector{Prefix::parse("10.0.0.0/8").value()});
  CHECK(result->remarks ==
        std::vector<std::string>{
            "Service demo/web: spec.externalIPs[1]: \"nonsense\" is not an IP address, left out",
            "Service demo/web: spec.externalIPs[3]: is a number, not a string, left out",
            "Service demo/web: status.loadBalancer.ingress[4].ip: \"x\" is not an IP address, left out",
            "Service demo/web: spec.loadBalancerSourceRanges[1]: \"1.2.3.4\" is not an address block, left out",
            "Service demo/web: spec.loadBalancerSourceRanges[2]: \"fd00::/200\" is not an address block, left out"});
}

TEST_CASE("policy Local counts where kube-proxy lets it count") {
  const auto local = [](const std::string& spec) {
    return decoded<Service>(
        service("clusterIP: 10.0.0.1, externalTrafficPolicy: Local, healthCheckNodePort: 31000, " + spec + kPort));
  };
  CHECK_FALSE(local("").external_policy_local);
  CHECK(local("externalIPs: [1.2.3.4], ").external_policy_local);
  CHECK(local("type: NodePort, ").external_policy_local);
  CHECK(local("type: NodePort, ").health_check_node_port == 0);
  CHECK(local("type: LoadBalancer, ").health_check_node_port == 31000);
  CHECK(decoded<Service>(service("type: LoadBalancer, clusterIP: 10.0.0.1, healthCheckNodePort: 31000"))
            .health_check_node_port == 0);
  CHECK(decoded<Service>(service("clusterIP: 10.0.0.1, internalTrafficPolicy: Local")).internal_policy_local);
  CHECK(remarks_on(service("clusterIP: 10.0.0.1, internalTrafficPolicy: local")).size() == 1);
}

TEST_CASE("ClientIP affinity has a time-out of three hours unless it is given") {
  const auto seconds = [](const std::string& spec) {
    return decoded<Service>(service("clusterIP: 10.0.0.1, " + spec)).affinity_seconds;
  };
  CHECK(seconds("sessionAffinity: ClientIP") == 10800);
  CHECK(seconds("sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}") == 5);
  CHECK(seconds("sessionAffinity: None, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}") == std::nullopt);
  const auto wrong = decode_yaml(service(
      "clusterIP: 10.0.0.1, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}"));
  REQUIRE(wrong);
  CHECK(wrong->remarks.size() == 1);
  CHECK(std::get<Service>(*wrong->object).affinity_seconds == 10800);
}

TEST_CASE("names that cannot be in a rule's comment are refused") {
  const auto named = [](const std::string& metadata) {
    return refusal_of("apiVersion: v1\nkind: Service\nmetadata: " + metadata + "\n");
  };
  CHECK(named("{}") == "Service: metadata.name: is missing");
  CHECK_THAT(named("{name: 'a b'}"), Catch::Contains("is not a DNS name"));
  CHECK_THAT(named("{name: \"a\\e[31m\"}"), Catch::Contains("a\\x1b[31m") && !Catch::Contains("\x1b"));
  CHECK_THAT(named("{name: " + std::string(254, 'a') + "}"), Catch::Contains("is not a DNS name"));
  CHECK_THAT(named("{name: a, namespace: a.b}"), Catch::Contains("metadata.namespace"));
  CHECK_THAT(named("{name: 5}"), Catch::Contains("metadata.name: is a number"));
  CHECK_THAT(named("[]"), Catch::Contains("metadata: is a list"));
}

TEST_CASE("a wrong selector refuses the Service: a part of it would select more pods") {
  CHECK_THAT(refusal_of(service("clusterIP: 10.0.0.1, selector: {app: web, v: 2}")),
             Catch::Contains("spec.selector: the value of \"v\" is a number"));
}

TEST_CASE("other kinds and versions are passed over, wrong ones of a known kind refused") {
  const auto passed = [](const std::string& text) {
    const auto result = decode_yaml(text);
    REQUIRE(result);
    REQUIRE_FALSE(result->object);
    return result->passed_over;
  };
  CHECK(passed("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}") ==
        "ConfigMap b/a: this kind is not used");
  CHECK_THAT(passed("{apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration}"),
             Catch::Contains("not used"));
  CHECK_THAT(passed("{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}}"),
             Catch::Contains("not used"));
  CHECK_THAT(passed("{resources: [a.yaml]}"), Catch::Contains("without kind"));
  CHECK_THAT(refusal_of("{kind: Service, metadata: {name: a}}"), Catch::Contains("apiVersion: is missing"));
  CHECK_THAT(refusal_of("{apiVersion: v2, kind: Service, metadata: {name: a}}"), Catch::Contains("is not v1"));
  CHECK_FALSE(decode_object(nlohmann::json("text")));
  CHECK_FALSE(decode_object(nlohmann::json::array()));
}

TEST_CASE("an object with countless wrong fields says so in a few lines") {
  std::string ips = "x";
  for (int i = 0; i < 1000; ++i) ips += ", x";
  const auto remarks = remarks_on(service("clusterIP: 10.0.0.1, externalIPs: [" + ips + "]"));
  CHECK(remarks.size() < 20);
  CHECK_THAT(remarks.back(), Catch::Contains("991 more"));
}
