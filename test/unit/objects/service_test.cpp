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
  const auto ips = [](const std::string& spec) {
    return decoded<Service>(service(spec + ", " + kPort), Origin::kServer).cluster_ips;
  };
  CHECK(ips("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6]") ==
        std::vector{address("10.0.0.1"), address("fd00::1")});
  CHECK(ips("clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6]") ==
        std::vector{address("fd00::1")});
  CHECK(ips("clusterIP: 10.0.0.1, ipFamilies: [IPv4]") == std::vector{address("10.0.0.1")});
  CHECK(ips("clusterIPs: [10.0.0.1, 'fd00::1']") == std::vector{address("10.0.0.1"), address("fd00::1")});
  CHECK(ips("clusterIP: 010.000.0.1") == std::vector{address("10.0.0.1")});
  CHECK(refusal_of(service("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv6]")) ==
        "Service demo/web: spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by "
        "`ipFamilies[0]`");
  CHECK(
      refusal_of(service("clusterIP: 10.0.0.300")) ==
      "Service demo/web: spec.clusterIP: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. 10.9.8.7 or "
      "2001:db8::ffff)");
  CHECK_THAT(refusal_of(service("ipFamilies: [IPv5]")),
             Catch::Contains("spec.ipFamilies[0]: Unsupported value: \"IPv5\""));
}

TEST_CASE("headless, ExternalName and foreign Services are told apart") {
  CHECK(decoded<Service>(service("clusterIP: None, clusterIPs: [None]")).headless);
  const auto none_yet = decoded<Service>(service("type: ClusterIP, " + kPort));
  CHECK_FALSE(none_yet.headless);
  CHECK(none_yet.cluster_ips.empty());
  const auto name =
      decoded<Service>(service("type: ExternalName, clusterIP: 10.0.0.1, externalName: example.org"), Origin::kServer);
  CHECK(name.type == Service::Type::kExternalName);
  CHECK(name.cluster_ips.empty());
  CHECK(decoded<Service>("apiVersion: v1\nkind: Service\n"
                         "metadata: {name: a, labels: {service.kubernetes.io/service-proxy-name: ''}}\n"
                         "spec: {clusterIP: 10.0.0.1}\n")
            .foreign_proxy);
}

TEST_CASE("ports are checked one by one") {
  const auto web = decoded<Service>(service(
      "type: NodePort, clusterIP: 10.0.0.1, ports: [{name: dns, protocol: UDP, port: 53, targetPort: 5353, nodePort: "
      "30053},"
      " {name: dns-tcp, protocol: TCP, port: 53, targetPort: dns-tcp}, {name: s, protocol: SCTP, port: 80.0}]"));
  REQUIRE(web.ports.size() == 3);
  CHECK(web.ports[0] == ServicePort{"dns", Protocol::kUdp, 53, 30053, "5353"});
  CHECK(web.ports[1] == ServicePort{"dns-tcp", Protocol::kTcp, 53, 0, "dns-tcp"});
  CHECK(web.ports[2] == ServicePort{"s", Protocol::kSctp, 80, 0, ""});

  const auto refused = [](const std::string& ports) {
    return refusal_of(service("type: NodePort, clusterIP: 10.0.0.1, ports: [" + ports + "]"));
  };
  CHECK(refused("{name: a, port: 1}, {name: b, port: 70000}") ==
        "Service demo/web: spec.ports[1].port: Invalid value: 70000: must be between 1 and 65535, inclusive");
  CHECK_THAT(refused("{port: 0}"), Catch::Contains("Invalid value: 0: must be between 1 and 65535, inclusive"));
  CHECK_THAT(refused("{port: 1.5}"), Catch::Contains("1.5 is not a whole number"));
  CHECK_THAT(refused("{port: -1}"), Catch::Contains("Invalid value: -1: must be between"));
  CHECK_THAT(refused("{port: 99999999999999999999999}"), Catch::Contains("is not a whole number"));
  CHECK_THAT(refused("{port: '80'}"), Catch::Contains("ports[0].port: is a string, not a number"));
  CHECK_THAT(refused("{name: a}"), Catch::Contains("ports[0].port: Invalid value: 0"));
  CHECK_THAT(refused("{port: 80, protocol: ICMP}"),
             Catch::Contains("protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\""));
  CHECK_THAT(refused("{port: 80, protocol: tcp}"), Catch::Contains("protocol"));
  CHECK_THAT(refused("{port: 80, nodePort: 65536}"), Catch::Contains("nodePort"));
  CHECK_THAT(refused("{port: 80, targetPort: 'a b'}"), Catch::Contains("targetPort"));
  CHECK_THAT(refused("{port: 80, name: \"a\\nb\"}"), Catch::Contains("Invalid value: \"a\\nb\": must be a DNS label"));
  CHECK_THAT(refused("{port: 80, name: a}, {port: 81, name: a}"),
             Catch::Contains("ports[1].name: Duplicate value: \"a\""));
  CHECK_THAT(refused("{port: 80, name: a}, {port: 80, name: b}"),
             Catch::Contains("ports[1]: Duplicate value: \"80/tcp\""));
  CHECK_THAT(refused("5"), Catch::Contains("ports[0]: is a number, not a map"));
  CHECK_THAT(refusal_of(service("clusterIP: 10.0.0.1, ports: {}")), Catch::Contains("ports: is a map, not a list"));
}

TEST_CASE("addresses that kube-proxy drops are dropped with a remark when a server has them") {
  const std::string text = service(
      "type: LoadBalancer, clusterIP: 10.0.0.1, externalIPs: [1.2.3.4, nonsense, ''], ports: [{port: 80}],"
      " loadBalancerSourceRanges: [' 10.1.2.3/8 ', 1.2.3.4, 'fd00::/200', 'fd00::/64']",
      "status: {loadBalancer: {ingress: [{ip: 1.1.1.1}, {ip: 2.2.2.2, ipMode: VIP}, {ip: 3.3.3.3, ipMode: Proxy},"
      " {hostname: a.example.org}, {ip: x}]}}\n");
  CHECK_THAT(refusal_of(text), Catch::Contains("spec.externalIPs[1]: Invalid value: \"nonsense\""));
  const auto result = decode_yaml(text, Origin::kServer);
  REQUIRE(result);
  const auto& web = std::get<Service>(*result->object);
  CHECK(web.external_ips == std::vector{address("1.2.3.4")});
  CHECK(web.load_balancer_ips == std::vector{address("1.1.1.1"), address("2.2.2.2")});
  CHECK(web.source_ranges == std::vector{Prefix::parse("10.0.0.0/8").value(), Prefix::parse("fd00::/64").value()});
  REQUIRE(result->remarks.size() == 5);
  CHECK_THAT(result->remarks[0], Catch::StartsWith("Service demo/web: spec.externalIPs[1]: Invalid value: "));
  CHECK_THAT(result->remarks[2], Catch::StartsWith("Service demo/web: status.loadBalancer.ingress[4].ip: "));
  CHECK_THAT(result->remarks[3], Catch::StartsWith("Service demo/web: spec.loadBalancerSourceRanges[1]: ") &&
                                     Catch::EndsWith(", left out"));
}

TEST_CASE("source ranges of which none can be read close the load balancer addresses of their family") {
  const auto closed = [](const std::string& ranges) {
    const auto result = decode_yaml(
        service("type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{port: 80}], loadBalancerSourceRanges: " + ranges,
                "status: {loadBalancer: {ingress: [{ip: 1.1.1.1}, {ip: 'fd00::1'}]}}\n"),
        Origin::kServer);
    REQUIRE(result);
    return std::get<Service>(*result->object).load_balancer_ips;
  };
  CHECK(closed("[]").size() == 2);
  CHECK(closed("[10.0.0.0/8]").size() == 2);  // kube-proxy restricts a family by its own ranges only
  CHECK(closed("[10.0.0.0/8, x]") == std::vector{address("1.1.1.1")});
  CHECK(closed("['fd00::/64', 10.0.0.0]") == std::vector{address("fd00::1")});
  CHECK(closed("[x]").empty());
  CHECK(closed("[null]").empty());
  for (const char* ranges : {"10.0.0.0/8", "{10.0.0.0/8: null}", "[5]", "true", "[{cidr: 10.0.0.0/8}]"}) {
    INFO(ranges);
    const std::string text = service(
        "type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{port: 80}], "
        "loadBalancerSourceRanges: " +
        std::string(ranges));
    CHECK_FALSE(decode_yaml(text, Origin::kServer));
    CHECK_FALSE(decode_yaml(text, Origin::kFolder));
  }
}

TEST_CASE("five thousand ports are read") {
  std::string ports;
  for (int i = 1; i <= 5000; ++i)
    ports += (i > 1 ? ", " : "") + ("{name: p" + std::to_string(i)) + ", port: " + std::to_string(i) + "}";
  CHECK(decoded<Service>(service("clusterIP: 10.0.0.1, ports: [" + ports + "]")).ports.size() == 5000);
}

TEST_CASE("policy Local counts where kube-proxy lets it count") {
  const auto local = [](const std::string& spec) {
    return decoded<Service>(
        service("clusterIP: 10.0.0.1, externalTrafficPolicy: Local, healthCheckNodePort: 31000, " + spec + kPort),
        Origin::kServer);
  };
  CHECK_FALSE(local("").external_policy_local);
  CHECK(local("externalIPs: [1.2.3.4], ").external_policy_local);
  CHECK(local("type: NodePort, ").external_policy_local);
  CHECK(local("type: NodePort, ").health_check_node_port == 0);
  CHECK(local("type: LoadBalancer, ").health_check_node_port == 31000);
  CHECK(
      decoded<Service>(service("type: LoadBalancer, clusterIP: 10.0.0.1, healthCheckNodePort: 31000"), Origin::kServer)
          .health_check_node_port == 0);
  CHECK(decoded<Service>(service("clusterIP: 10.0.0.1, internalTrafficPolicy: Local")).internal_policy_local);
  // A word that is not known may restrict: it is never taken for the open one.
  for (const Origin origin : {Origin::kFolder, Origin::kServer}) {
    CHECK_FALSE(decode_yaml(service("clusterIP: 10.0.0.1, internalTrafficPolicy: local, " + kPort), origin));
    CHECK_FALSE(
        decode_yaml(service("type: NodePort, clusterIP: 10.0.0.1, externalTrafficPolicy: local, " + kPort), origin));
    CHECK_FALSE(decode_yaml(service("clusterIP: 10.0.0.1, sessionAffinity: clientIP, " + kPort), origin));
  }
  CHECK(refusal_of(service("type: NodePort, clusterIP: 10.0.0.1, externalTrafficPolicy: local, " + kPort)) ==
        "Service demo/web: spec.externalTrafficPolicy: Unsupported value: \"local\": supported values: \"Cluster\", "
        "\"Local\"");
}

TEST_CASE("ClientIP affinity has a time-out of three hours unless it is given") {
  const auto seconds = [](const std::string& spec) {
    return decoded<Service>(service("clusterIP: 10.0.0.1, " + spec)).affinity_seconds;
  };
  CHECK(seconds("sessionAffinity: ClientIP") == 10800);
  CHECK(seconds("sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}") == 5);
  CHECK(seconds("sessionAffinity: None, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}") == std::nullopt);
  const std::string zero =
      service("clusterIP: 10.0.0.1, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}");
  CHECK_THAT(refusal_of(zero), Catch::Contains("Invalid value: 0: must be greater than 0 and less than 86400"));
  const auto wrong = decode_yaml(zero, Origin::kServer);
  REQUIRE(wrong);
  CHECK(wrong->remarks.size() == 1);
  CHECK(std::get<Service>(*wrong->object).affinity_seconds == 10800);
}

TEST_CASE("names that cannot be in a rule's comment are refused") {
  const auto named = [](const std::string& metadata) {
    return refusal_of("apiVersion: v1\nkind: Service\nmetadata: " + metadata + "\n");
  };
  CHECK(named("{}") == "Service: metadata.name: Required value: name or generateName is required");
  CHECK_THAT(named("{name: 'a b'}"), Catch::Contains("must be a DNS name"));
  CHECK_THAT(named("{name: \"a\\e[31m\"}"), Catch::Contains("a\\x1b[31m") && !Catch::Contains("\x1b"));
  CHECK_THAT(named("{name: " + std::string(254, 'a') + "}"), Catch::Contains("must be no more than 253 characters"));
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
  const auto remarks = remarks_on(service("clusterIP: 10.0.0.1, externalIPs: [" + ips + "]"), Origin::kServer);
  CHECK(remarks.size() < 20);
  CHECK_THAT(remarks.back(), Catch::Contains("991 more"));
}
