#pragma once

#include <compare>
#include <string>

namespace kubenatd::agent::objects {

struct ObjectKey {
  std::string ns;  ///< empty for cluster-scoped objects
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
  [[nodiscard]] std::string to_string() const { return ns.empty() ? name : ns + "/" + name; }
};

}  // namespace kubenatd::agent::objects
