#pragma once

#include <map>
#include <vector>

#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk {

/// Something that runs at a hook: a base chain, or the end of the kernel's nat after its chains.
struct AtHook {
  const WalkTable* table = nullptr;
  const WalkChain* chain = nullptr;  ///< none: nat has had its say
  std::int32_t priority = 0;         ///< where it runs; of nat chains, the place of nat
  bool is_nat = false;
};

/// What packets of one family meet at each hook, in the kernel's order.
///
/// Of equal priorities, who was registered later comes first (nf_hook_entries_grow). The chains of nat run together at
/// one place, in the order of their own priorities (nf_nat_register_fn).
class Hooks {
 public:
  Hooks(const Ruleset& ruleset, Family family);
  [[nodiscard]] const std::vector<AtHook>& at(Hook hook) const { return hooks_.at(static_cast<std::size_t>(hook)); }

 private:
  std::vector<std::vector<AtHook>> hooks_;
};

/// Whether a chain of a device's hook is for that device ("eth*" is a beginning).
[[nodiscard]] bool is_for_device(const Base& base, std::string_view device);

}  // namespace kubenatd::rules::walk
