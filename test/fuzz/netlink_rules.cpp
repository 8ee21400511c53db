#include <linux/netfilter/nf_tables.h>

#include "netlink/core/attributes.h"
#include "netlink/core/rule_attributes.h"
#include "netlink/iptables/rule_decoder.h"
#include "netlink/iptables/rule_encoder.h"
#include "netlink/nftables/codec.h"
#include "netlink/walk/rule_reader.h"
#include "test/fuzz/packets.h"

/// The expressions of a rule, as the kernel lists them: for the sync of iptables mode, and for a walk of anybody's.
namespace kubenatd::fuzz {
namespace {

/// All that is not opaque is within the model: it is written, in either form, and read as it was.
void check_decoded(std::string_view expressions, rules::Family family) {
  using namespace netlink::iptables;
  rules::Rule rule;
  RuleCounters counters;
  decode_rule(expressions, family, rule, counters);
  if (!rule.opaque.empty()) {
    require(rule.opaque.size() < 512 && rule.matches.empty(), "an opaque rule has a short description alone");
    return;
  }
  if (!refusal_of(rule, family).empty()) return;
  for (const RuleForm form : {RuleForm::kPortable, RuleForm::kNative}) {
    std::vector<char> bytes(encoded_bound(rule));
    const char* end = encode_rule(bytes.data(), rule, family, form);
    const std::string_view written{bytes.data(), static_cast<std::size_t>(end - bytes.data())};
    require(written.size() <= bytes.size(), "a rule takes no more than was said");
    rules::Rule again;
    decode_rule(netlink::find_attribute(written, NFTA_RULE_EXPRESSIONS).payload, family, again, counters);
    require(again == rule, "a rule that was written is read as it was");
  }
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t choice = take_byte(input);
  const auto family = (choice & 1U) == 0 ? rules::Family::kIpv4 : rules::Family::kIpv6;
  check_decoded(input, family);
  (void)netlink::jump_of(input);
  const std::string_view half = input.substr(input.size() / 2);
  require(netlink::nftables::same_expressions(input, half) == netlink::nftables::same_expressions(half, input),
          "expressions are as equal the other way round");

  rules::walk::Ruleset ruleset;
  const bool nat = (choice & 2U) != 0;
  auto& table =
      ruleset.table(family == rules::Family::kIpv4 ? rules::walk::TableFamily::kIp : rules::walk::TableFamily::kIp6,
                    nat ? "nat" : "filter");
  const std::string name = nat ? "PREROUTING" : "INPUT";
  auto& chain = table.chains[name];
  chain.name = name;
  chain.base = rules::walk::iptables_base(table.name, name);
  chain.rules.push_back(netlink::walk::read_rule(input, {}, table));
  walk_all(ruleset);
}

}  // namespace kubenatd::fuzz
