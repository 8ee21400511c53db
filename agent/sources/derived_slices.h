#pragma once

#include <cstddef>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::sources {

/// The EndpointSlices that controllers make of other objects, as pure functions. There is one slice for each family and
/// set of ports. Its name ("web~ipv4~8080,9153") contains "~", so it cannot be the name of a real object; it stays the
/// same while the ports do. Slices are sorted by name.

/// Whether all of the selector's labels are there. An empty selector selects nothing here.
[[nodiscard]] bool selects(const objects::Labels& selector, const objects::Labels& labels);

/// As the EndpointSlice controller v1.36 makes them of the Pods that the selector selects, in the order given; without
/// hints. A Pod counts on whichever Node it is; the controller waits for a Node that it does not know. Pods that have
/// none of the ports are in a slice without ports: no proxy can use it, but its endpoints count when hints are given.
[[nodiscard]] std::vector<objects::EndpointSlice> slices_of_pods(const objects::Service& service,
                                                                 const std::vector<const objects::Pod*>& pods);

struct Mirrored {
  std::vector<objects::EndpointSlice> slices;
  std::size_t left_out = 0;  ///< addresses beyond the controller's limit of 1000 for each subset
};

/// As the EndpointSliceMirroring controller v1.36 makes them of Endpoints. Subsets are brought into their canonical
/// form first: ports with the same addresses belong together, and an address that is both ready and not is not. What
/// has no ports is left out.
[[nodiscard]] Mirrored mirror(const objects::Endpoints& endpoints);

}  // namespace kubenatd::agent::sources
