#include "rules/hostport/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "rules/hostport/names.h"

namespace kubenatd::rules::hostport {
namespace {

constexpr std::size_t kPortsOfARule = 15;  // XT_MULTI_PORTS

Rule match_of(const Mapping& mapping) {
  Rule rule;
  rule.protocol = mapping.protocol;
  if (mapping.host_ip) rule.destination = AddressMatch{Prefix::host(*mapping.host_ip)};
  rule.matches.emplace_back(PortMatch{mapping.protocol, mapping.host_port});
  return rule;
}

Rule mark_rule(const Mapping& mapping, const Address& source) {
  Rule rule = match_of(mapping);
  rule.source = AddressMatch{Prefix::host(source)};
  rule.target = Jump{std::string(kMarkChain)};
  return rule;
}

Rule dnat_rule(const Mapping& mapping, const Address& address) {
  Rule rule = match_of(mapping);
  rule.target = DnatTarget{address, mapping.container_port};
  return rule;
}

}  // namespace

std::string to_text(const Mapping& mapping) {
  const std::string port =
      mapping.host_ip ? join_host_port(*mapping.host_ip, mapping.host_port) : std::to_string(mapping.host_port);
  return fmt::format("{}/{}", port, name_of(mapping.protocol));
}

ChainRules compile_container(const PodPorts& pod) {
  Address localhost;
  localhost.bytes = {127, 0, 0, 1};
  ChainRules chain{{Table::kNat, container_chain(kNetwork, pod.id)}, {}};
  for (const Mapping& mapping : pod.mappings) {
    chain.rules.push_back(mark_rule(mapping, pod.address));
    // A packet from 127.0.0.1 is never answered from outside the node. Linux does not route ::1 at all.
    if (pod.address.family == Family::kIpv4) chain.rules.push_back(mark_rule(mapping, localhost));
    chain.rules.push_back(dnat_rule(mapping, pod.address));
  }
  return chain;
}

std::vector<Rule> compile_entries(const PodPorts& pod) {
  std::vector<Rule> rules;
  // By name, as portmap sorts them.
  for (const Protocol protocol : {Protocol::kSctp, Protocol::kTcp, Protocol::kUdp}) {
    std::vector<std::uint16_t> ports;
    for (const Mapping& mapping : pod.mappings)
      if (mapping.protocol == protocol) ports.push_back(mapping.host_port);
    for (auto first = ports.begin(); first != ports.end();) {
      const auto last = first + std::min<std::ptrdiff_t>(kPortsOfARule, ports.end() - first);
      Rule& rule = rules.emplace_back();
      rule.protocol = protocol;
      rule.matches = {CommentMatch{entry_comment(kNetwork, pod.id)}, MultiportMatch{{first, last}}};
      rule.target = Jump{std::string(container_chain(kNetwork, pod.id).view())};
      first = last;
    }
  }
  return rules;
}

const std::vector<ChainRules>& compile_shared() {
  static const std::vector<ChainRules> chains = [] {
    Rule mark;
    mark.matches = {CommentMatch{"CNI portfwd masquerade mark"}};
    mark.target = MarkTarget{kMasqueradeMark, kMasqueradeMark};
    Rule masquerade;
    masquerade.matches = {MarkMatch{kMasqueradeMark, kMasqueradeMark, false}};
    masquerade.target = MasqueradeTarget{};
    return std::vector<ChainRules>{{{Table::kNat, ChainName(kMarkChain)}, {std::move(mark)}},
                                   {{Table::kNat, ChainName(kMasqueradeChain)}, {std::move(masquerade)}}};
  }();
  return chains;
}

const std::vector<EntryJump>& entry_jumps() {
  static const std::vector<EntryJump> jumps = [] {
    Rule dnat;
    dnat.matches = {AddrTypeMatch{.source_local = false, .destination_local = true}};
    dnat.target = Jump{std::string(kDnatChain)};
    Rule masquerade;
    masquerade.matches = {CommentMatch{"CNI portfwd requiring masquerade"}};
    masquerade.target = Jump{std::string(kMasqueradeChain)};
    return std::vector<EntryJump>{
        {"PREROUTING", dnat, false}, {"OUTPUT", dnat, false}, {"POSTROUTING", masquerade, true}};
  }();
  return jumps;
}

bool is_entry_jump(std::string_view chain, const Rule& rule) {
  return std::ranges::any_of(entry_jumps(),
                             [&](const EntryJump& jump) { return jump.chain == chain && jump.rule == rule; });
}

}  // namespace kubenatd::rules::hostport
