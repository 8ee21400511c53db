#include <catch2/catch.hpp>

#include "test/unit/rules/service_port_builder.h"

using namespace kubenatd::rules;
using namespace kubenatd::rules::iptables;
using namespace kubenatd::rules::iptables::test;

namespace {

Lines fixed(const CompileOptions& options) {
  Lines lines;
  for (const ChainRules& chain : compile_fixed(options))
    for (const Rule& rule : chain.rules)
      lines.push_back(std::string(name_of(chain.id.table)) + " " + std::string(chain.id.name.view()) + " " +
                      to_text(rule, options.node.family));
  return lines;
}

Lines tail(const CompileOptions& options) {
  Lines lines;
  for (const Rule& rule : compile_node_port_tail(options)) lines.push_back(to_text(rule, options.node.family));
  return lines;
}

const std::string kTailComment =
    "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\"";

}  // namespace

TEST_CASE("the fixed chains are kube-proxy's") {
  CompileOptions options;
  options.node.localhost_node_ports = true;
  CHECK(fixed(options) ==
        Lines{"nat KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
              "nat KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
              "nat KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
              "nat KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" "
              "-j MASQUERADE --random-fully",
              "filter KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment "
              "--comment \"block incoming localnet connections\" "
              "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
              "filter KUBE-FORWARD -m conntrack --ctstate INVALID "
              "-m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP",
              "filter KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 "
              "-j ACCEPT",
              "filter KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" "
              "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"});
}

TEST_CASE("the guard of 127.0.0.0/8 is there only with localhost NodePorts, on IPv4") {
  CompileOptions options;
  CHECK(fixed(options).size() == 7);
  options.node.localhost_node_ports = true;
  options.node.family = Family::kIpv6;
  CHECK(fixed(options).size() == 7);
}

TEST_CASE("the mark is the configured one everywhere") {
  CompileOptions options;
  options.node.masquerade_mark = 0x80000000;
  const Lines lines = fixed(options);
  CHECK(lines[0] == "nat KUBE-MARK-MASQ -j MARK --set-xmark 0x80000000/0x80000000");
  CHECK(lines[1] == "nat KUBE-POSTROUTING -m mark ! --mark 0x80000000/0x80000000 -j RETURN");
  CHECK(lines[2] == "nat KUBE-POSTROUTING -j MARK --set-xmark 0x80000000/0x0");
  CHECK(lines[5].find("--mark 0x80000000/0x80000000") != std::string::npos);
}

TEST_CASE("invalid packets are dropped, counted or not, or left alone") {
  CompileOptions options;
  options.count_invalid = false;
  CHECK(fixed(options)[4] == "filter KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP");
  options.drop_invalid = false;
  CHECK(fixed(options).size() == 6);
  CHECK(fixed(options)[4].find("kubernetes forwarding rules") != std::string::npos);
}

TEST_CASE("NodePorts answer on every local address but loopback") {
  CompileOptions options;
  CHECK(tail(options) == Lines{"! -d 127.0.0.0/8 " + kTailComment + " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"});
  options.node.localhost_node_ports = true;
  CHECK(tail(options) == Lines{kTailComment + " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"});
  options.node.family = Family::kIpv6;
  CHECK(tail(options) == Lines{"! -d ::1/128 " + kTailComment + " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"});
}

TEST_CASE("NodePorts answer on the configured addresses only") {
  CompileOptions options;
  options.node.node_port_addresses = {*Address::parse("192.168.77.2"), *Address::parse("127.0.0.1"),
                                      *Address::parse("fd00:77::2"), *Address::parse("10.0.0.1")};
  const std::string first = "-d 192.168.77.2/32 " + kTailComment + " -j KUBE-NODEPORTS";
  const std::string last = "-d 10.0.0.1/32 " + kTailComment + " -j KUBE-NODEPORTS";
  CHECK(tail(options) == Lines{first, last});
  options.node.localhost_node_ports = true;
  CHECK(tail(options) == Lines{first, "-d 127.0.0.1/32 " + kTailComment + " -j KUBE-NODEPORTS", last});
  options.node.family = Family::kIpv6;
  CHECK(tail(options) == Lines{"-d fd00:77::2/128 " + kTailComment + " -j KUBE-NODEPORTS"});
  options.node.node_port_addresses = std::vector<Address>{};
  CHECK(tail(options).empty());
}

TEST_CASE("the jumps out of builtin chains stand as on a node that started empty") {
  Lines lines;
  for (const BuiltinJump& jump : builtin_jumps()) {
    lines.push_back(std::string(name_of(jump.table)) + " " + std::string(jump.chain) + " " +
                    to_text(jump.rule, Family::kIpv4));
    CHECK(jump.remove_on_cleanup == (jump_target(jump.rule) != "KUBE-FIREWALL"));
  }
  const std::string is_new = "-m conntrack --ctstate NEW ";
  const std::string firewall =
      is_new + "-m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL";
  const std::string external =
      is_new + "-m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES";
  const std::string portals = "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES";
  CHECK(lines == Lines{"filter INPUT -j KUBE-FIREWALL", "filter INPUT " + firewall,
                       "filter INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS",
                       "filter INPUT " + external, "filter FORWARD " + firewall,
                       "filter FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
                       "filter FORWARD " + is_new + portals, "filter FORWARD " + external,
                       "filter OUTPUT -j KUBE-FIREWALL", "filter OUTPUT " + firewall,
                       "filter OUTPUT " + is_new + portals, "nat PREROUTING " + portals, "nat OUTPUT " + portals,
                       "nat POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING"});
}

TEST_CASE("own chains are told from those of others") {
  CHECK(is_service_chain(Table::kNat, "KUBE-SVC-XPGD46QRK7WJZT7O"));
  CHECK(is_service_chain(Table::kNat, "KUBE-EXT-XPGD46QRK7WJZT7O"));
  CHECK_FALSE(is_service_chain(Table::kFilter, "KUBE-SVC-XPGD46QRK7WJZT7O"));
  CHECK_FALSE(is_service_chain(Table::kNat, "KUBE-SERVICES"));

  for (const std::string_view name : {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ",
                                      "KUBE-SVL-A", "KUBE-SEP-A", "KUBE-FW-A"})
    CHECK(is_own_chain(Table::kNat, name));
  for (const std::string_view name :
       {"KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"})
    CHECK(is_own_chain(Table::kFilter, name));
  for (const std::string_view name : {"KUBE-FIREWALL", "KUBE-MARK-MASQ", "KUBE-SVC-A", "KUBE-KUBELET-CANARY", "INPUT"})
    CHECK_FALSE(is_own_chain(Table::kFilter, name));
  for (const std::string_view name :
       {"KUBE-FORWARD", "KUBE-MARK-DROP", "CNI-HOSTPORT-DNAT", "PREROUTING", "KUBE-SVC", "MY-KUBE-SVC-A"})
    CHECK_FALSE(is_own_chain(Table::kNat, name));
  CHECK_FALSE(is_own_chain(Table::kMangle, "KUBE-SERVICES"));
}
