#include "rules/text.h"
#include "rules/walk/xt/rule_text.h"
#include "rules/walk/xt/save_text.h"
#include "test/fuzz/packets.h"

/// What iptables-save printed, or somebody pasted.
namespace kubenatd::fuzz {
namespace {

/// A rule of the model is written as iptables-save has it, and read as it was.
void check_model(const rules::Rule& rule, rules::Family family, const rules::walk::WalkTable& table) {
  const std::string text = to_text(rule, family);
  const auto is_chain = [&](std::string_view name) { return table.chain(name) != nullptr; };
  const auto again = rules::walk::xt::read_rule(text, family, is_chain);
  require(again.model == rule, "a rule that was written is read as it was", text);
}

}  // namespace

void check(std::string_view input) {
  rules::walk::Ruleset ruleset;
  rules::walk::xt::Remarks remarks;
  if (const auto read = rules::walk::xt::read_save_text(input, ruleset, remarks); !read) require_short(read.error());
  for (const auto& table : ruleset.tables()) {
    const auto family = table.family == rules::walk::TableFamily::kIp ? rules::Family::kIpv4 : rules::Family::kIpv6;
    for (const auto& [name, chain] : table.chains)
      for (const auto& rule : chain.rules)
        if (rule.model) check_model(*rule.model, family, table);
  }
  walk_all(ruleset);
}

}  // namespace kubenatd::fuzz
