#pragma once

#include <cstddef>
#include <string>

namespace kubenatd::bench {

/// The program itself against an API server that has a cluster of `services` Services, each with a slice of endpoints:
/// one line of a table on standard output. `program` is its path. In a network namespace of its own. The objects carry
/// managedFields and what else a real server sends, about 1.3 kB each.
void measure_api_load(std::size_t services, const std::string& program);

}  // namespace kubenatd::bench
