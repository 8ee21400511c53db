#pragma once

#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/kernel.h"
#include "agent/node/finding.h"

/// The whole check.
namespace kubenatd::agent::node {

/// What is asked.
struct Question {
  std::vector<config::Config::Mode> modes;
  const dataplane::NodeFacts& facts;
  bool localhost_node_ports = true;
  std::size_t least_descriptors = 0;
  std::string rival;  ///< what is known of another proxy that is alive
};

struct Report {
  std::string kernel;  ///< uname -r
  std::vector<config::Config::Mode> modes;
  Findings findings;
};

/// All that the modes need of this node, in both families as far as the kernel has them. Nothing on the node changes,
/// but that the kernel may load modules. Cost: a transaction for each mode and family, legacy tables are read whole.
[[nodiscard]] Report check_node(dataplane::Kernel& kernel, const Question& question);
/// Only what is tried out and what connection tracking says: for a start. Cost: a transaction for each family.
[[nodiscard]] Report check_kernel(dataplane::Kernel& kernel, const Question& question);

}  // namespace kubenatd::agent::node
