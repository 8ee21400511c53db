#include <linux/netfilter/nf_tables.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "agent/dataplane/kernel_features.h"
#include "agent/dataplane/nftables/found_at_start.h"
#include "agent/dataplane/nftables/sync.h"
#include "netlink/core/attributes.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;

rules::ServicePortView service(const std::string& name, const std::string& address, rules::Protocol protocol) {
  rules::ServicePortView view;
  view.name = name;
  view.protocol = protocol;
  view.cluster_ip = rules::Address::parse(address).value();
  view.port = 80;
  view.has_endpoints = true;
  rules::Endpoint endpoint;
  endpoint.address = rules::Address::parse("10.244.0.1").value();
  endpoint.port = 8080;
  endpoint.is_ready = endpoint.is_serving = endpoint.for_cluster = endpoint.reachable = true;
  view.endpoints.push_back(endpoint);
  return view;
}

rules::hostport::PodPorts pod() {
  return {.id = "demo/pod",
          .address = rules::Address::parse("10.244.0.9").value(),
          .mappings = {{.protocol = rules::Protocol::kUdp, .host_port = 5353, .container_port = 53, .host_ip = {}}}};
}

/// As the kernel names an element that it refused.
rules::Refusal refusal_of(const ElementKey& key, int code) {
  std::array<char, 256> bytes{};
  netlink::AttributeWriter out(bytes.data());
  char* nest = out.open();
  out.raw(NFTA_DATA_VALUE, key.key.view().data(), static_cast<std::uint16_t>(key.key.view().size()));
  out.close(nest, NFTA_SET_ELEM_KEY);
  rules::Refusal refusal;
  refusal.operation = rules::Operation::kAddElement;
  refusal.object = rules::set_ref(rules::Family::kIpv4, kTable, name_of(key.set));
  refusal.object.kind = rules::ObjectRef::Kind::kElement;
  refusal.code = code;
  refusal.attributes.assign(bytes.data(), out.at());
  return refusal;
}

ElementKey first_of(const DesiredElements& elements, SetId id) {
  ElementKey key;
  elements.for_each_element([&](const SetRef& set) { return set.id == id; },
                            [&](const ElementKey& one, const ElementValue& /*value*/) { key = one; });
  return key;
}

struct Scene {
  Wanted wanted{.elements = DesiredElements({}), .host_ports = {}, .refused_ports = {}, .refused_pods = {}};
  NftablesSync sync{rules::Family::kIpv4, wanted, config::Settings::OwnTable::kOff};
  SyncReport report;
};

}  // namespace

TEST_CASE("a service port or a pod whose element is refused is taken out and named, and waits for another try") {
  Scene scene;
  scene.wanted.elements.upsert(service("demo/web:http", "10.96.0.1", rules::Protocol::kTcp));
  scene.wanted.host_ports.set_pods({pod()});
  scene.wanted.elements.set_host_ports(scene.wanted.host_ports.in_force());
  const rules::Refusal port = refusal_of(first_of(scene.wanted.elements, SetId::kEndpoints), ENOENT);
  const rules::Refusal host_port = refusal_of(first_of(scene.wanted.elements, SetId::kHostPorts), EINVAL);
  CHECK_FALSE(scene.sync.is_trial(port));

  CHECK(scene.sync.take_out({port}, scene.report));
  CHECK(scene.sync.take_out({host_port}, scene.report));
  REQUIRE(scene.report.refused.size() == 2);
  CHECK(scene.report.refused[0].kind == RefusedObject::Kind::kServicePort);
  CHECK(scene.report.refused[0].name == "demo/web:http");
  CHECK(scene.report.refused[0].refusal.code == ENOENT);
  CHECK(scene.report.refused[1].kind == RefusedObject::Kind::kPod);
  CHECK(scene.report.refused[1].name == "demo/pod");
  CHECK(scene.wanted.host_ports.in_force().empty());
  CHECK(first_of(scene.wanted.elements, SetId::kEndpoints).key.size == 0);
  CHECK(scene.wanted.refused_ports.due());
  CHECK(scene.wanted.refused_pods.due());

  // Tried again in vain, for the same reason: no news.
  for (const auto& key : scene.wanted.refused_ports.take_due(Time::max())) scene.wanted.elements.readmit(key);
  CHECK(scene.sync.is_trial(port));
  CHECK(scene.sync.take_out({port}, scene.report));
  CHECK(scene.report.refused.size() == 2);
  CHECK_FALSE(scene.sync.is_trial(port));
}

TEST_CASE("what belongs to no service port cannot be taken out") {
  Scene scene;
  rules::Refusal rule;
  rule.operation = rules::Operation::kAddRule;
  rule.object = rules::chain_ref(rules::Family::kIpv4, kTable, "services");
  rule.object.kind = rules::ObjectRef::Kind::kRule;
  rule.code = ENOENT;
  CHECK_FALSE(scene.sync.take_out({rule}, scene.report));
  CHECK(scene.report.refused.empty());
}

TEST_CASE("a missing part of the kernel is named from the refusal's values") {
  rules::Refusal refusal;
  refusal.operation = rules::Operation::kAddRule;
  refusal.code = ENOENT;
  refusal.expression = "fib";
  CHECK(missing_feature(refusal) == "the kernel lacks CONFIG_NFT_FIB_IPV4 (Linux 4.10 and later)");
  refusal.object.family = rules::Family::kIpv6;
  CHECK(missing_feature(refusal) == "the kernel lacks CONFIG_NFT_FIB_IPV6 (Linux 4.10 and later)");
  refusal.expression = "lookup";
  CHECK(missing_feature(refusal).empty());
  refusal.operation = rules::Operation::kCreateTable;
  refusal.code = EAFNOSUPPORT;
  CHECK(missing_feature(refusal) == "the kernel lacks CONFIG_NF_TABLES_IPV6");
  refusal.operation = rules::Operation::kCreateSet;
  refusal.code = EOPNOTSUPP;
  CHECK(missing_feature(refusal) == "the kernel lacks sets of concatenated ranges (Linux 5.6 and later)");
  refusal.code = EPERM;
  CHECK(missing_feature(refusal).empty());
}

TEST_CASE("UDP destinations are read from the elements that serve them") {
  DesiredElements desired{{}};
  desired.upsert(service("demo/dns", "10.96.0.10", rules::Protocol::kUdp));
  desired.upsert(service("demo/web", "10.96.0.11", rules::Protocol::kTcp));
  desired.set_host_ports({pod()});
  LiveElements live;
  desired.for_each_element([](const SetRef& /*set*/) { return true; },
                           [&](const ElementKey& key, const ElementValue& value) {
                             live.emplace(key, LiveValue{value.data, "", true});
                           });
  std::vector<UdpFrontend> found = udp_frontends_of(live, rules::Family::kIpv4);
  std::ranges::sort(found);
  CHECK(found ==
        std::vector<UdpFrontend>{{std::nullopt, 5353, true}, {rules::Address::parse("10.96.0.10").value(), 80, false}});
}

TEST_CASE("before the first commit everything has to be read, whatever is told") {
  Scene scene;
  CHECK(scene.sync.due() == Time{});
  CHECK_FALSE(scene.sync.settled());
  netlink::TableEvent event;
  event.table_name = kTable;
  event.set = "endpoints";
  CHECK(scene.sync.note(event, Clock::now()));
  CHECK(scene.sync.is_outdated());
  event.table_name = "theirs";
  CHECK_FALSE(scene.sync.note(event, Clock::now()));
}

}  // namespace kubenatd::agent::dataplane::nftables
