#pragma once

#include <memory>

#include "agent/cli/options.h"
#include "agent/sources/manifest_source.h"
#include "agent/sync/model.h"

namespace kubenatd::agent {

/// Everything that a command works on.
struct Inputs {
  std::unique_ptr<Model> model;
  ManifestSource source;
  SourceUpdate first;          ///< what the folders hold now; not yet applied
  bool prepare_again = false;  ///< the kernel had no connection tracking yet: prepare_node() after the first sync
};

/// Reads configuration, environment and manifests, and logs what there is to say about them.
/// With `for_kernel` the node is also prepared for the rules: sysctls are set and counters made, as far as they are
/// asked for and possible; `problems` counts what was asked for and is not possible.
[[nodiscard]] rules::Result<Inputs> read_inputs(const Options& options, bool for_kernel, std::size_t& problems);

/// Makes the connection tracking settings of the configuration. What was asked for and cannot be set is logged and
/// counted. True when the kernel has no connection tracking yet.
bool prepare_node(const Config& config, std::size_t& problems);

/// The node's circumstances as they are now.
[[nodiscard]] Environment read_environment(const Config& config, std::string node_name);

/// Whether the packet counters that rules refer to are there already.
[[nodiscard]] bool counters_exist();

void log_update(const SourceUpdate& update);

}  // namespace kubenatd::agent
