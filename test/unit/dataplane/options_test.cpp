#include <catch2/catch.hpp>

#include "agent/dataplane/iptables/options.h"
#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::base;
using namespace kubenatd::agent::config;
using namespace kubenatd::agent::dataplane::iptables;
using namespace kubenatd::agent::objects;
using namespace kubenatd::test;
using rules::Address;
using rules::DetectByInterface;
using rules::DetectByPrefix;
using rules::Family;
using rules::LocalDetector;
using rules::Prefix;
using rules::iptables::CompileOptions;
using rules::iptables::DispatchForm;

namespace {

Address address(const std::string& text) {
  return Address::parse(text).value();
}

std::vector<Address> addresses(const std::vector<std::string>& texts) {
  std::vector<Address> all;
  for (const std::string& text : texts) all.push_back(address(text));
  return all;
}

Environment environment() {
  Environment environment;
  environment.node_name = "node-1";
  environment.local_addresses = addresses(
      {"127.0.0.1", "::1", "192.168.77.3", "192.168.77.2", "192.168.77.2", "10.0.0.9", "fd00:77::2", "fe80::1"});
  return environment;
}

Node node() {
  Node node;
  node.key.name = "node-1";
  node.addresses = addresses({"192.168.77.2", "192.168.77.3", "fd00:77::2"});
  node.pod_cidrs = {Prefix::parse("10.244.1.0/24").value(), Prefix::parse("fd00:10:244:1::/64").value()};
  return node;
}

CompileOptions options(const std::string& fields, Family family, const std::optional<Node>& here = node(),
                       std::size_t endpoints = 0) {
  const Config config = accepted(fields).config;
  const Environment around = environment();
  return compile_options({config, around, here, endpoints, {}}, family);
}

LocalDetector by_prefix(const std::string& text) {
  return DetectByPrefix{Prefix::parse(text).value()};
}

}  // namespace

TEST_CASE("the defaults of both families") {
  const CompileOptions v4 = options("", Family::kIpv4);
  CHECK(v4.node.masquerade_mark == 0x4000);
  CHECK_FALSE(v4.node.masquerade_all);
  CHECK_FALSE(v4.node.local_detector);
  CHECK(v4.node.localhost_node_ports);
  CHECK_FALSE(v4.node.node_port_addresses);
  CHECK(v4.drop_invalid);
  CHECK(v4.count_invalid);
  CHECK(v4.count_localhost);
  CHECK(v4.endpoint_comments);
  CHECK(v4.node.node_address == address("192.168.77.2"));
  CHECK(v4.form == DispatchForm::kAuto);
  CHECK(v4.tree_threshold == 1000);
  const CompileOptions v6 = options("", Family::kIpv6);
  CHECK_FALSE(v6.node.localhost_node_ports);
  CHECK_FALSE(v6.node.node_port_addresses);
  CHECK(v6.node.node_address == address("fd00:77::2"));
}

TEST_CASE("the mark is the masquerade bit, the highest one included") {
  CHECK(options("iptables: {masqueradeBit: 15}", Family::kIpv4).node.masquerade_mark == 0x8000);
  CHECK(options("iptables: {masqueradeBit: 0}", Family::kIpv4).node.masquerade_mark == 1);
  CHECK(options("iptables: {masqueradeBit: 31}", Family::kIpv6).node.masquerade_mark == 0x80000000U);
}

TEST_CASE("ClusterCIDR tells pods by the CIDR of the family") {
  const std::string both = "clusterCIDR: 10.244.0.0/16,fd00:10:244::/56";
  CHECK(options(both, Family::kIpv4).node.local_detector == by_prefix("10.244.0.0/16"));
  CHECK(options(both, Family::kIpv6).node.local_detector == by_prefix("fd00:10:244::/56"));
  CHECK_FALSE(options("clusterCIDR: 10.244.0.0/16", Family::kIpv6).node.local_detector);
}

TEST_CASE("NodeCIDR tells pods by the Node object") {
  const std::string mode = "detectLocalMode: NodeCIDR\nclusterCIDR: 10.0.0.0/8";
  CHECK(options(mode, Family::kIpv4).node.local_detector == by_prefix("10.244.1.0/24"));
  CHECK(options(mode, Family::kIpv6).node.local_detector == by_prefix("fd00:10:244:1::/64"));
  CHECK_FALSE(options(mode, Family::kIpv4, std::nullopt).node.local_detector);
}

TEST_CASE("interface modes tell pods in both families") {
  const Family family = GENERATE(Family::kIpv4, Family::kIpv6);
  const CompileOptions bridge =
      options("detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}", family);
  CHECK(bridge.node.local_detector == LocalDetector(DetectByInterface{"cni0", false}));
  const CompileOptions prefix =
      options("detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}", family);
  CHECK(prefix.node.local_detector == LocalDetector(DetectByInterface{"veth", true}));
}

TEST_CASE("NodePort CIDRs choose among the local addresses, sorted and without doubles") {
  const std::string fields = "nodePortAddresses: [192.168.77.0/24, 192.168.0.0/16]";
  const CompileOptions v4 = options(fields, Family::kIpv4);
  CHECK(v4.node.node_port_addresses == addresses({"192.168.77.2", "192.168.77.3"}));
  CHECK_FALSE(v4.node.localhost_node_ports);
  CHECK_FALSE(options(fields, Family::kIpv6).node.node_port_addresses);
}

TEST_CASE("NodePort CIDRs without a local address match nothing") {
  const CompileOptions v4 = options("nodePortAddresses: [203.0.113.0/24]", Family::kIpv4);
  REQUIRE(v4.node.node_port_addresses);
  CHECK(v4.node.node_port_addresses->empty());
}

TEST_CASE("a NodePort CIDR of length zero matches everything of its family") {
  const std::string fields = "nodePortAddresses: [192.168.77.0/24, 0.0.0.0/0, 'fd00::/8']";
  const CompileOptions v4 = options(fields, Family::kIpv4);
  CHECK_FALSE(v4.node.node_port_addresses);
  CHECK(v4.node.localhost_node_ports);
  CHECK(options(fields, Family::kIpv6).node.node_port_addresses == addresses({"fd00:77::2"}));
}

TEST_CASE("localhost NodePorts need a loopback address among the NodePort addresses") {
  const std::string cidr = GENERATE("127.0.0.0/8", "127.0.0.1/32", "127.4.0.0/16", "112.0.0.0/4");
  CAPTURE(cidr);
  const CompileOptions on = options("nodePortAddresses: [192.168.77.2/32, " + cidr + "]", Family::kIpv4);
  CHECK(on.node.localhost_node_ports);
  if (cidr != "127.4.0.0/16") CHECK(on.node.node_port_addresses == addresses({"127.0.0.1", "192.168.77.2"}));
  const CompileOptions off = options(
      "iptables: {localhostNodePorts: false}\nnodePortAddresses: [192.168.77.2/32, " + cidr + "]", Family::kIpv4);
  CHECK_FALSE(off.node.localhost_node_ports);
  CHECK(off.node.node_port_addresses == addresses({"192.168.77.2"}));
}

TEST_CASE("localhost NodePorts that are switched off stay off when everything matches") {
  const CompileOptions v4 = options("iptables: {localhostNodePorts: false}", Family::kIpv4);
  CHECK_FALSE(v4.node.localhost_node_ports);
  CHECK_FALSE(v4.node.node_port_addresses);
}

TEST_CASE("the IPv6 loopback address never takes NodePorts") {
  CHECK(options("nodePortAddresses: ['::1/128', 'fd00:77::/64']", Family::kIpv6).node.node_port_addresses ==
        addresses({"fd00:77::2"}));
}

TEST_CASE("primary is the node's address of the family") {
  const std::string fields = "nodePortAddresses: [primary]";
  const CompileOptions v4 = options(fields, Family::kIpv4);
  CHECK(v4.node.node_port_addresses == addresses({"192.168.77.2"}));
  CHECK_FALSE(v4.node.localhost_node_ports);
  CHECK(options(fields, Family::kIpv6).node.node_port_addresses == addresses({"fd00:77::2"}));
  CHECK(options(fields + "\nbindAddress: 10.0.0.9", Family::kIpv4, std::nullopt).node.node_port_addresses ==
        addresses({"10.0.0.9"}));
}

TEST_CASE("primary without a known address, or with a loopback one, matches everything") {
  CHECK_FALSE(options("nodePortAddresses: [primary]", Family::kIpv4, std::nullopt).node.node_port_addresses);
  CHECK_FALSE(options("nodePortAddresses: [primary]\nbindAddress: 127.0.0.1", Family::kIpv4).node.node_port_addresses);
}

TEST_CASE("primary and localhost and prefixes are taken together") {
  const std::string fields = "nodePortAddresses: [localhost, 192.168.77.3/32, primary]";
  const CompileOptions v4 = options(fields, Family::kIpv4);
  CHECK(v4.node.node_port_addresses == addresses({"127.0.0.1", "192.168.77.2", "192.168.77.3"}));
  CHECK(v4.node.localhost_node_ports);
  CHECK(options(fields, Family::kIpv6).node.node_port_addresses == addresses({"fd00:77::2"}));
  const CompileOptions nft = options("mode: nftables\n" + fields, Family::kIpv4);
  CHECK(nft.node.node_port_addresses == addresses({"127.0.0.1", "192.168.77.2", "192.168.77.3"}));
  CHECK(nft.node.localhost_node_ports);
  const CompileOptions wide = options("mode: nftables\nnodePortAddresses: [112.0.0.0/4, primary]", Family::kIpv4);
  CHECK(wide.node.node_port_addresses == addresses({"192.168.77.2"}));
  CHECK_FALSE(wide.node.localhost_node_ports);
}

TEST_CASE("localhost alone leaves nothing in IPv6") {
  const auto v6 = options("nodePortAddresses: [localhost]", Family::kIpv6).node.node_port_addresses;
  REQUIRE(v6);
  CHECK(v6->empty());
  const auto nft = options("mode: nftables\nnodePortAddresses: [localhost]", Family::kIpv4).node.node_port_addresses;
  CHECK(nft == addresses({"127.0.0.1"}));
}

TEST_CASE("the word all is every address of both families") {
  const std::string mode = GENERATE("", "mode: nftables\n");
  CHECK_FALSE(options(mode + "nodePortAddresses: [primary, all]", Family::kIpv4).node.node_port_addresses);
  CHECK_FALSE(options(mode + "nodePortAddresses: [all, 10.0.0.0/8]", Family::kIpv6).node.node_port_addresses);
}

TEST_CASE("bindAddress is the node's address of its own family") {
  const std::string fields = "bindAddress: 10.0.0.9";
  CHECK(options(fields, Family::kIpv4).node.node_address == address("10.0.0.9"));
  CHECK(options(fields, Family::kIpv6).node.node_address == address("fd00:77::2"));
  CHECK(options("bindAddress: '::'", Family::kIpv6).node.node_address == address("fd00:77::2"));
  CHECK_FALSE(options("", Family::kIpv4, std::nullopt).node.node_address);
}

TEST_CASE("comments of endpoints end past 1000 endpoints") {
  CHECK(options("", Family::kIpv4, node(), 1000).endpoint_comments);
  CHECK_FALSE(options("", Family::kIpv4, node(), 1001).endpoint_comments);
}

TEST_CASE("what the kernel has decides about counters and invalid packets") {
  Environment here = environment();
  here.conntrack_be_liberal = true;
  here.has_nfacct = false;
  Config config = default_config();
  config.masquerade_all = true;
  config.dispatch = Config::Dispatch::kTree;
  config.tree_threshold = 7;
  const std::optional<Node> this_node = node();
  const CompileOptions v4 = compile_options({config, here, this_node, 0, {}}, Family::kIpv4);
  CHECK_FALSE(v4.drop_invalid);
  CHECK_FALSE(v4.count_invalid);
  CHECK_FALSE(v4.count_localhost);
  CHECK(v4.node.masquerade_all);
  CHECK(v4.form == DispatchForm::kTree);
  CHECK(rule_form({config, here, this_node, 0, {}}) == netlink::iptables::RuleForm::kPortable);
  config.rule_form = Config::RuleForm::kNative;
  CHECK(rule_form({config, here, this_node, 0, {}}) == netlink::iptables::RuleForm::kNative);
  CHECK(v4.tree_threshold == 7);
}

TEST_CASE("the node's name is the flag, the file or the host's, trimmed and in lower case") {
  const Config named = accepted("hostnameOverride: ' Node-File '").config;
  CHECK(node_name(named, " Node-FLAG\n") == "node-flag");
  CHECK(node_name(named, std::nullopt) == "node-file");
  CHECK(node_name(named, "") == "node-file");
  const auto own = node_name(default_config(), std::nullopt);
  REQUIRE(own);
  CHECK_FALSE(own->empty());
  const auto blank = node_name(named, "  ");
  REQUIRE_FALSE(blank);
  CHECK(blank.error().object == "node name");
}
