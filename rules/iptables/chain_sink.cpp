#include "rules/iptables/chain_sink.h"

#include <utility>

#include "rules/iptables/compiler.h"

namespace kubenatd::rules::iptables {

std::vector<Digest> SharedChain::digests() const {
  std::vector<Digest> all;
  all.reserve(slots.size());
  for (const Slot& slot : slots) all.push_back(slot.digest);
  return all;
}

void SharedChain::add_literal(Rule rule) {
  const auto index = static_cast<std::uint32_t>(literals.size());
  slots.push_back({digest_of(rule), nullptr, index});
  literals.push_back(std::move(rule));
}

Rule rule_of(const SharedChain& chain, const Slot& slot, const CompileOptions& options) {
  if (slot.view == nullptr) return chain.literals[slot.index];
  return std::move(compile_dispatch(*slot.view, options)[slot.index].rule);
}

}  // namespace kubenatd::rules::iptables
