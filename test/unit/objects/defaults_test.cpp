#include "agent/objects/quantity.h"
#include "agent/sources/unallocated.h"
#include "test/unit/objects/objects_support.h"

/// What an API server and controllers would add to objects of a folder, and what of it is done without.
namespace kubenatd::agent::objects {
namespace {

using rules::Family;
using Families = std::vector<Family>;
using Lines = std::vector<std::string>;

Service service(const std::string& spec, const std::string& more = "") {
  return decoded<Service>("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: demo}\nspec: {" + spec +
                          "}\n" + more);
}

}  // namespace

TEST_CASE("families of a Service without a cluster IP are those of its addresses or the ones it asks for") {
  CHECK(service("ports: [{port: 80}]").ip_families == Families{Family::kIpv4});
  CHECK(service("externalIPs: ['2001:db8::1']").ip_families == Families{Family::kIpv6});
  CHECK(service("type: LoadBalancer", "status: {loadBalancer: {ingress: [{ip: '2001:db8::1'}]}}").ip_families ==
        Families{Family::kIpv6});
  CHECK(service("externalIPs: [192.0.2.1, '2001:db8::1']").ip_families == Families{Family::kIpv4, Family::kIpv6});
  CHECK(service("ipFamilies: [IPv6], externalIPs: [192.0.2.1]").ip_families == Families{Family::kIpv6});
  CHECK(service("ipFamilyPolicy: PreferDualStack").ip_families == Families{Family::kIpv4, Family::kIpv6});
  CHECK(service("ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]").ip_families ==
        Families{Family::kIpv6, Family::kIpv4});
  CHECK(service("ipFamilyPolicy: SingleStack").ip_families == Families{Family::kIpv4});
  CHECK(service("clusterIP: 10.0.0.1").ip_families.empty());
  CHECK(service("clusterIP: None").ip_families.empty());
}

TEST_CASE("what nobody allocates is told by name") {
  const auto told = [](const std::string& spec, const std::string& more = "") {
    return sources::unallocated(service(spec, more));
  };
  CHECK(told("clusterIP: 10.0.0.1, ports: [{port: 80}]").empty());
  CHECK(told("clusterIP: None, ports: [{port: 80}]").empty());
  CHECK(told("ports: [{port: 80}]") ==
        Lines{"Service demo/web: spec.clusterIP: is not set and nothing here allocates one: no rules are made for it"});
  CHECK(told("type: NodePort, ports: [{port: 80, nodePort: 30080}]") ==
        Lines{"Service demo/web: spec.clusterIP: is not set and nothing here allocates one: only its NodePorts, "
              "external and load balancer addresses are served"});
  CHECK(told("type: NodePort, clusterIP: 10.0.0.1, ports: [{name: a, port: 80}, {name: b, port: 53, protocol: UDP},"
             " {name: c, port: 81, nodePort: 30081}]") ==
        Lines{"Service demo/web: spec.ports: nodePort is not set and nothing here allocates one: no NodePort leads to "
              "port 80/tcp, 53/udp"});
  const std::string status = "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}";
  CHECK(
      told("type: LoadBalancer, clusterIP: 10.0.0.1, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]", status)
          .empty());
  CHECK(told("type: LoadBalancer, clusterIP: 10.0.0.1, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: "
             "30080}]") ==
        Lines{"Service demo/web: status.loadBalancer: has no IP address of mode VIP, and no load balancer is made here",
              "Service demo/web: spec.healthCheckNodePort: is not set and nothing here allocates one"});
}

TEST_CASE("a distribution that the API server does not take is refused") {
  CHECK(service("trafficDistribution: PreferClose").distribution == Service::Distribution::kSameZone);
  CHECK(service("trafficDistribution: PreferSameNode").distribution == Service::Distribution::kSameNode);
  CHECK(refusal_of("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.0.0.1,"
                   " trafficDistribution: preferclose}}") ==
        "Service default/web: spec.trafficDistribution: Unsupported value: \"preferclose\": supported values: "
        "\"PreferClose\", \"PreferSameZone\", \"PreferSameNode\"");
}

TEST_CASE("quantities are read as Kubernetes reads them") {
  constexpr std::int64_t kOne = 1'000'000'000;
  CHECK(parse_quantity("4") == 4 * kOne);
  CHECK(parse_quantity("+4") == 4 * kOne);
  CHECK(parse_quantity("3920m") == 3'920'000'000);
  CHECK(parse_quantity("0.5") == kOne / 2);
  CHECK(parse_quantity("1.") == kOne);
  CHECK(parse_quantity("2e3") == 2000 * kOne);
  CHECK(parse_quantity("2E+1") == 20 * kOne);
  CHECK(parse_quantity("2E-1") == kOne / 5);
  CHECK(parse_quantity("1Ki") == 1024 * kOne);
  CHECK(parse_quantity("1.5k") == 1500 * kOne);
  CHECK(parse_quantity("1n") == 1);
  CHECK(parse_quantity("0.0000000001") == 1);  // rounded up
  CHECK(parse_quantity("1E") == INT64_MAX);
  CHECK(parse_quantity("99999999999999999999999999") == INT64_MAX);
  CHECK(parse_quantity("1e999999999999") == INT64_MAX);
  CHECK(parse_quantity("0") == 0);
  for (const char* wrong : {"", "m", "-1", "1e", "1 m", "1mm", "1Kk", "0x1", "one", "1e+-3", "1.2.3"}) {
    INFO(wrong);
    CHECK_FALSE(parse_quantity(wrong));
  }
}

TEST_CASE("Endpoints are taken or refused as the API server does it") {
  const auto endpoints = [](const std::string& subset) {
    return "{apiVersion: v1, kind: Endpoints, metadata: {name: db, namespace: demo}, subsets: [" + subset + "]}";
  };
  const auto good = decoded<Endpoints>(endpoints(
      "{addresses: [{ip: 192.0.2.1, nodeName: n1, targetRef: {uid: u1}}], notReadyAddresses: [{ip: '2001:db8::1'}],"
      " ports: [{name: a, port: 1}, {name: b, port: 2, protocol: UDP}]}"));
  CHECK(good.is_mirrored);
  REQUIRE(good.subsets.size() == 1);
  CHECK(good.subsets[0].addresses == std::vector<EndpointsAddress>{{address("192.0.2.1"), true, "n1", "u1"},
                                                                   {address("2001:db8::1"), false, "", ""}});
  CHECK(good.subsets[0].ports.size() == 2);
  const std::string begin = "Endpoints demo/db: subsets[0]";
  CHECK(refusal_of(endpoints("{ports: [{port: 1}]}")) ==
        begin + ": Required value: must specify `addresses` or `notReadyAddresses`");
  CHECK(refusal_of(endpoints("{addresses: [{ip: 127.0.0.1}]}")) ==
        begin +
            ".addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)");
  CHECK(refusal_of(endpoints("{addresses: [{ip: 169.254.1.1}]}")).find("link-local range") != std::string::npos);
  CHECK(refusal_of(endpoints("{addresses: [{ip: 'fe80::1'}]}")).find("link-local range") != std::string::npos);
  CHECK(refusal_of(endpoints("{addresses: [{ip: 224.0.0.5}]}")).find("multicast") != std::string::npos);
  CHECK(refusal_of(endpoints("{addresses: [{hostname: a}]}")) ==
        begin + ".addresses[0].ip: Invalid value: \"\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  CHECK(refusal_of(endpoints("{addresses: [{ip: 192.0.2.1}], ports: [{port: 1}, {port: 2}]}")) ==
        begin + ".ports[0].name: Required value");
  CHECK(refusal_of(endpoints("{addresses: [{ip: 192.0.2.1}], ports: [{port: 0}]}")).find("ports[0].port") !=
        std::string::npos);
  for (const char* metadata : {"labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}",
                               "annotations: {control-plane.alpha.kubernetes.io/leader: '{}'}"})
    CHECK_FALSE(
        decoded<Endpoints>(std::string("{apiVersion: v1, kind: Endpoints, metadata: {name: db, ") + metadata + "}}")
            .is_mirrored);
}

}  // namespace kubenatd::agent::objects
