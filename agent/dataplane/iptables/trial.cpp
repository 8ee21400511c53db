#include "agent/dataplane/iptables/trial.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "agent/dataplane/iptables/options.h"
#include "agent/dataplane/trial.h"
#include "netlink/core/trial.h"
#include "netlink/iptables/writer.h"
#include "rules/iptables/compiler.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

namespace writer = netlink::iptables;
using rules::Family;
using rules::Rule;
using rules::Table;

constexpr std::uint16_t kPort = 1;
constexpr std::string_view kTarget = "kubenatd-trial-jump";  ///< what rules jump to

/// Writes a rule for each kind. A kind that has none here does not compile.
class TrialRules {
 public:
  TrialRules(netlink::Batch& batch, Family family, const NodeFacts& facts)
      : batch_(batch), family_(family), form_(rule_form(facts)), has_counters_(facts.environment.has_nfacct) {}

  void add(Table table, const Rule& rule) {
    writer::add_rule(batch_, family_, table, kTrialName, rule, {}, false, form_);
  }

  void operator()(rules::CommentMatch match) {
    match.text = kTrialName;
    add_match(std::move(match));
  }
  void operator()(rules::PortMatch match) {
    match.destination = kPort;
    for (const rules::Protocol protocol : {rules::Protocol::kTcp, rules::Protocol::kUdp, rules::Protocol::kSctp}) {
      match.protocol = protocol;
      add_match(match, protocol);
    }
    // Rules of endpoints have it without a port, in both forms by x_tables.
    add_match(rules::PortMatch{}, rules::Protocol::kTcp);
  }
  void operator()(rules::MarkMatch match) {
    match.mask = kPort;
    add_match(match);
  }
  void operator()(rules::ConntrackMatch match) {
    match.states = rules::kStateNew;
    add_match(match);
  }
  void operator()(rules::AddrTypeMatch match) {
    match.destination_local = true;
    add_match(match);
  }
  void operator()(const rules::StatisticMatch& match) { add_match(match); }
  void operator()(rules::RecentMatch match) {
    match.name = kTrialName;
    add_match(std::move(match));
  }
  void operator()(rules::NfacctMatch match) {
    // The match is refused as well when the counter is not there, and then no rule has it.
    if (!has_counters_) return;
    match.name = rules::iptables::kNfacctInvalid;
    add_match(std::move(match));
  }
  void operator()(rules::MultiportMatch match) {
    match.destinations = {kPort};
    add_match(std::move(match), rules::Protocol::kTcp);
  }

  void operator()(const rules::NoTarget& target) { add_target(Table::kFilter, target); }
  void operator()(rules::Verdict /*verdict*/) {
    for (const rules::Verdict verdict : {rules::Verdict::kAccept, rules::Verdict::kDrop, rules::Verdict::kReturn})
      add_target(Table::kFilter, verdict);
  }
  void operator()(rules::Jump jump) {
    jump.chain = kTarget;
    for (const bool is_goto : {false, true}) {
      jump.is_goto = is_goto;
      add_target(Table::kFilter, jump);
    }
  }
  void operator()(const rules::MarkTarget& target) { add_target(Table::kNat, target); }
  void operator()(rules::MasqueradeTarget target) {
    target.random_fully = true;
    add_target(Table::kNat, target);
  }
  void operator()(rules::DnatTarget target) {
    target.address.family = family_;
    target.port = kPort;
    Rule rule;
    rule.protocol = rules::Protocol::kTcp;
    rule.target = target;
    add(Table::kNat, rule);
  }
  void operator()(const rules::RejectTarget& target) { add_target(Table::kFilter, target); }

 private:
  void add_match(rules::Match match, std::optional<rules::Protocol> protocol = std::nullopt) {
    Rule rule;
    rule.protocol = protocol;
    rule.matches.push_back(std::move(match));
    add(Table::kFilter, rule);
  }
  void add_target(Table table, rules::Target target) {
    Rule rule;
    rule.target = std::move(target);
    add(table, rule);
  }

  netlink::Batch& batch_;
  Family family_;
  netlink::iptables::RuleForm form_;
  bool has_counters_;
};

/// Calls it with one of each kind.
template <class Variant, class Visit>
void for_each_kind(Visit&& visit) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (visit(std::variant_alternative_t<kIndex, Variant>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Variant>>());
}

/// What stands in front of the matches: addresses that end on a byte and others, interfaces.
void add_headers(TrialRules& rules, Family family) {
  Rule rule;
  rules::Prefix prefix;
  prefix.address.family = family;
  for (const std::uint8_t length : {8, 9}) {
    prefix.length = length;
    rule.source = rules::AddressMatch{prefix, false};
    rule.destination = rules::AddressMatch{prefix, true};
    rules.add(Table::kFilter, rule);
  }
  rule = {};
  rule.in_interface = rules::InterfaceMatch{"lo", false, false};
  rule.out_interface = rules::InterfaceMatch{"lo", true, true};
  rules.add(Table::kFilter, rule);
}

/// The builtin chains, each table's in one that no packet meets.
void add_base_chains(netlink::Batch& batch, Family family) {
  std::set<std::pair<Table, std::string_view>> chains;
  for (const rules::iptables::BuiltinJump& jump : rules::iptables::builtin_jumps())
    chains.insert({jump.table, jump.chain});
  for (const Table table : {Table::kFilter, Table::kNat}) {
    const std::string name = std::string(kTrialName).append("-").append(rules::name_of(table));
    netlink::add_dormant_table(batch, family, name);
    netlink::Batch own;
    for (const auto& [of, chain] : chains)
      if (of == table) writer::add_base_chain(own, family, table, chain);
    batch.append(own.in_table(name));
  }
}

}  // namespace

netlink::Batch make_trial(Family family, const NodeFacts& facts) {
  netlink::Batch batch;
  add_base_chains(batch, family);
  for (const Table table : {Table::kFilter, Table::kNat, Table::kMangle}) {
    writer::add_table(batch, family, table);
    for (const std::string_view chain : {std::string_view(kTrialName), kTarget})
      writer::add_chain(batch, family, table, chain);
  }
  TrialRules rules(batch, family, facts);
  add_headers(rules, family);
  for_each_kind<rules::Match>(rules);
  for_each_kind<rules::Target>(rules);
  for (const rules::ChainRules& chain : rules::iptables::compile_fixed(compile_options(facts, family)))
    for (const Rule& rule : chain.rules) rules.add(chain.id.table, rule);
  return batch;
}

}  // namespace kubenatd::agent::dataplane::iptables
