#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/state/endpoint_choice.h"

namespace kubenatd::agent::state {

/// The ports of a Service's slices in one family, by name and protocol. Views into the slices, which must outlive it.
///
/// Threading: one thread. Failure: none.
/// Cost: made once for each change of a Service; a Service may have thousands of ports, and as many in each slice.
class SlicePorts {
 public:
  SlicePorts(const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices, rules::Family family);

  struct Place {
    const objects::EndpointSlice* slice = nullptr;
    std::uint16_t port = 0;
  };
  [[nodiscard]] const std::vector<Place>& of(const objects::ServicePort& port) const;

 private:
  std::map<std::pair<std::string_view, rules::Protocol>, std::vector<Place>> places_;
};

struct Candidates {
  std::vector<Candidate> found;  ///< each address and port once
  std::size_t impossible = 0;    ///< endpoints that are left out: by their address
  std::size_t too_many = 0;
};

/// Endpoints of one port of a Service out of its slices. The same address and port in several slices is one endpoint: a
/// later one replaces an earlier one unless it is terminating. `most`: others than this node's that are looked at.
[[nodiscard]] Candidates candidates_of(const std::vector<SlicePorts::Place>& places, const std::string& node_name,
                                       std::size_t most);

}  // namespace kubenatd::agent::state
