#include "test/kernel/fake/random_transactions.h"

#include <memory>
#include <string_view>

#include "netlink/iptables/writer.h"
#include "netlink/nftables/codec.h"
#include "test/unit/netlink/sample_rules.h"

namespace kubenatd::test {

using namespace rules::nftables;
using netlink::Batch;
using netlink::iptables::Placement;
using rules::Family;
using rules::Table;

std::vector<SetSpec> RandomTransactions::sets() {
  using enum FieldType;
  std::vector<SetSpec> sets;
  const auto add = [&](SetId id, std::vector<FieldType> key, std::vector<FieldType> data) -> SetSpec& {
    SetSpec& set = sets.emplace_back();
    set.ref = {id, 0};
    set.name = name_of(set.ref);
    set.key = std::move(key);
    set.data = std::move(data);
    return set;
  };
  add(SetId::kClusterIps, {kAddress}, {});
  add(SetId::kEndpoints, {kAddress, kProtocol, kPort}, {kAddress, kPort}).counted = true;
  add(SetId::kExternal, {kAddress, kProtocol, kPort}, {kClassId}).size = 3;
  add(SetId::kSourceRanges, {kAddress, kProtocol, kPort, kAddress}, {}).interval = true;
  SetSpec& affinity = add(SetId::kAffinity, {kAddress, kProtocol, kClassId}, {kClassId});
  affinity.dynamic = true;
  affinity.size = 1000;
  return sets;
}

ElementKey RandomTransactions::key(const SetSpec& set, Family family) {
  ElementKey key;
  key.set = set.ref;
  const auto address = [&](int last) {
    const std::string text = (family == Family::kIpv4 ? "10.0.0." : "fd00::") + std::to_string(last);
    key.key.address(*rules::Address::parse(text));
  };
  address(below(4));
  if (set.key.size() == 1) return key;
  key.key.protocol(rules::Protocol::kTcp);
  if (set.ref.id == SetId::kAffinity) {
    key.key.number(1);
    return key;
  }
  key.key.port(80);
  if (!set.interval) return key;
  const std::uint8_t bits = static_cast<std::uint8_t>(below(3) * 2);
  address(below(4) << bits);
  key.range = bits;
  return key;
}

void RandomTransactions::elements(Batch& batch, Family family) {
  using netlink::nftables::ElementWriter;
  const auto all = sets();
  const bool add = below(3) != 0;
  ElementWriter writer(batch, family, add ? ElementWriter::Change::kAdd : ElementWriter::Change::kRemove);
  const SetSpec& set = all[static_cast<std::size_t>(below(static_cast<int>(all.size()) - 1))];
  for (int left = 1 + below(3); left > 0; --left) {
    ElementValue value;
    if (set.ref.id == SetId::kEndpoints) {
      const std::string text = (family == Family::kIpv4 ? "10.1.0." : "fd01::") + std::to_string(below(2));
      value.data.address(*rules::Address::parse(text)).port(8080);
    }
    if (set.ref.id == SetId::kExternal) value.data.number(static_cast<std::uint32_t>(1 + below(2)));
    if (below(4) == 0) value.data = {};  // a map refuses it
    if (below(2) == 0) value.comment = std::make_shared<const std::string>("ns/name:port");
    writer.write(key(set, family), value);
  }
  writer.end();
}

NftRule RandomTransactions::nft_rule() {
  NftRule rule;
  using enum Operand::Kind;
  switch (below(7)) {
    case 0: rule.statements = {InSet{{{kDestination}}, {SetId::kClusterIps, 0}, below(2) == 0}}; break;
    case 1: rule.statements = {Translate{{{kDestination}, {kProtocol}, {kPort}}, {SetId::kEndpoints, 0}}}; break;
    case 2: rule.statements = {IsNew{}, HasMark{0x4000}}; break;
    case 3: rule.statements = {Remember{Remember::What::kEndpoint, 60}}; break;
    case 4: rule.statements = {ChangeMark{0x4000, below(2) == 0}}; break;
    default: break;
  }
  if (below(2) == 0) rule.statements.emplace_back(GoTo{chain_name(below(kChains)), below(2) == 0});
  if (below(3) == 0) rule.comment = "why";
  return rule;
}

void RandomTransactions::nftables_message(Batch& batch) {
  using namespace netlink::nftables;
  const Family family = this->family();
  const auto all = sets();
  SetSpec set = all[static_cast<std::size_t>(below(static_cast<int>(all.size())))];
  Chain chain;
  chain.name = chain_name(below(kChains));
  switch (below(18)) {
    case 0:
    case 1: add_nft_table(batch, family); break;
    case 2:
      if (below(6) == 0) delete_nft_table(batch, family, kTable);
      break;
    case 3:
    case 4:
    case 5:
      // Another type than before; not of keys, for which the kernel checks what the rules load.
      if (below(8) == 0 && !set.dynamic) set.data.push_back(FieldType::kClassId);
      add_nft_set(batch, family, set);
      break;
    case 6: delete_nft_set(batch, family, set.name); break;
    case 7:
    case 8: add_nft_chain(batch, family, chain); break;
    case 9:
      chain.name = "nat-output";
      chain.hook = below(3) == 0 ? Hook::kPrerouting : Hook::kOutput;
      chain.nat = true;
      chain.priority = below(8) == 0 ? -300 : -100;
      add_nft_chain(batch, family, chain);
      break;
    case 10: delete_nft_chain(batch, family, below(4) == 0 ? "nat-output" : chain.name); break;
    case 11: flush_nft_chain(batch, family, chain.name); break;
    case 12:
    case 13: add_nft_rule(batch, family, below(3) == 0 ? "nat-output" : chain.name, nft_rule()); break;
    default: elements(batch, family); break;
  }
}

rules::Rule RandomTransactions::rule(Family family) {
  rules::Rule rule;
  if (below(3) != 0) {
    rule.target = rules::Jump{chain_name(below(kChains)), below(4) == 0};
    rule.matches = {rules::CommentMatch{std::to_string(below(100))}};
    return rule;
  }
  static const std::vector<SampleRule> samples[2] = {sample_rules(Family::kIpv4), sample_rules(Family::kIpv6)};
  const auto& of_family = samples[family == Family::kIpv4 ? 0 : 1];
  for (;;) {
    const SampleRule& sample = of_family[static_cast<std::size_t>(below(static_cast<int>(of_family.size())))];
    // What a match or target of x_tables allows is not the fake's to know.
    bool is_simple = true;
    for (const rules::Match& match : sample.rule.matches)
      if (std::holds_alternative<rules::NfacctMatch>(match) || std::holds_alternative<rules::RecentMatch>(match))
        is_simple = false;
    const bool everywhere = std::holds_alternative<rules::NoTarget>(sample.rule.target) ||
                            std::holds_alternative<rules::Jump>(sample.rule.target) ||
                            std::holds_alternative<rules::Verdict>(sample.rule.target);
    if (!is_simple || !everywhere || sample.rule.out_interface) continue;
    rule = sample.rule;
    if (auto* jump = std::get_if<rules::Jump>(&rule.target)) jump->chain = chain_name(below(kChains));
    return rule;
  }
}

void RandomTransactions::iptables_message(Batch& batch) {
  using namespace netlink::iptables;
  const Family family = this->family();
  const Table table = below(5) == 0 ? Table::kFilter : Table::kNat;
  const std::string chain = below(6) == 0 ? "OUTPUT" : chain_name(below(kChains));
  const auto handle = static_cast<std::uint64_t>(1 + below(60));
  switch (below(16)) {
    case 0:
    case 1: add_table(batch, family, table); break;
    case 2:
      if (below(6) == 0) delete_table(batch, family, table);
      break;
    case 3: add_base_chain(batch, family, table, "OUTPUT"); break;
    case 4:
    case 5: add_chain(batch, family, table, chain, below(3) == 0); break;
    case 6: delete_chain(batch, family, table, chain); break;
    case 7: flush_chain(batch, family, table, chain); break;
    case 8:
    case 9: delete_rule(batch, family, table, chain, handle); break;
    default: {
      const Placement places[] = {Placement::last(), Placement::first(), Placement::before(handle),
                                  Placement::after(handle)};
      add_rule(batch, family, table, chain, rule(family), below(3) != 0 ? Placement::last() : places[below(4)],
               below(4) == 0);
      break;
    }
  }
}

void RandomTransactions::fill(Batch& batch, int most) {
  const bool mixed = below(4) == 0;
  const bool is_iptables = below(2) == 0;
  for (int left = 1 + below(most); left > 0; --left) {
    if (mixed ? below(2) == 0 : is_iptables) {
      iptables_message(batch);
    } else {
      nftables_message(batch);
    }
  }
}

}  // namespace kubenatd::test
