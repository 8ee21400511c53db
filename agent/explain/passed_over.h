#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/objects/passed_over.h"
#include "rules/address.h"

namespace kubenatd::agent::explain {

using objects::PassedOver;

/// All objects that were refused, passed over or taken in part, found by what a question asks for.
///
/// Threading: one thread. Failure: none. Cost: a look-up goes through all of them.
class Passed {
 public:
  void add(PassedOver one) { all_.push_back(std::move(one)); }
  [[nodiscard]] bool empty() const { return all_.empty(); }
  [[nodiscard]] const std::vector<PassedOver>& all() const { return all_; }

  /// Those that have the address; `is_local`: or the port as a NodePort.
  [[nodiscard]] std::vector<const PassedOver*> about(const rules::Address& address, std::uint16_t port,
                                                     bool is_local) const {
    return which([&](const PassedOver& one) {
      return std::ranges::find(one.addresses, address) != one.addresses.end() ||
             (is_local && std::ranges::find(one.node_ports, port) != one.node_ports.end());
    });
  }
  /// Those of that name ("Service demo/web").
  [[nodiscard]] std::vector<const PassedOver*> named(std::string_view object) const {
    return which([&](const PassedOver& one) { return one.object == object; });
  }
  /// Those whose name begins like that ("EndpointSlice demo/web-").
  [[nodiscard]] std::vector<const PassedOver*> named_like(std::string_view start) const {
    return which([&](const PassedOver& one) { return one.object.starts_with(start); });
  }

 private:
  [[nodiscard]] std::vector<const PassedOver*> which(auto&& wanted) const {
    std::vector<const PassedOver*> found;
    for (const PassedOver& one : all_)
      if (wanted(one)) found.push_back(&one);
    return found;
  }

  std::vector<PassedOver> all_;
};

}  // namespace kubenatd::agent::explain
