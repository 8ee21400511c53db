#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "rules/address.h"
#include "rules/change.h"

/// Parts of the kernel that the rules of a mode need, each of which a kernel may lack.
namespace kubenatd::agent::dataplane {

/// One of them. Where both families have it from one place, both texts are the same.
struct KernelFeature {
  std::string_view name;  ///< as netlink::TriedMessage::features has it
  std::array<std::string_view, 2> options;
  std::array<std::string_view, 2> modules;
  std::string_view since;          ///< the first version whose form of it is used here
  std::string_view only_for = {};  ///< what alone is not served without it; empty: the mode needs it

  [[nodiscard]] std::string_view option(rules::Family family) const { return options[index(family)]; }
  [[nodiscard]] std::string_view module(rules::Family family) const { return modules[index(family)]; }
  /// It is in nf_tables itself: a kernel that has that lacks it only when it is older.
  [[nodiscard]] bool is_core() const { return modules[0] == "nf_tables"; }

 private:
  [[nodiscard]] static constexpr std::size_t index(rules::Family family) {
    return family == rules::Family::kIpv4 ? 0 : 1;
  }
};

[[nodiscard]] std::span<const KernelFeature> kernel_features();
/// Nothing when it is not known.
[[nodiscard]] const KernelFeature* find_kernel_feature(std::string_view name);

/// In words which part of the kernel is missing when it refused a message for that reason; empty when it was another
/// reason. Pure.
[[nodiscard]] std::string missing_feature(const rules::Refusal& refusal);

}  // namespace kubenatd::agent::dataplane
