#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/api/event_recorder.h"
#include "agent/config/flags.h"
#include "agent/daemon/config_watch.h"
#include "agent/daemon/object_source.h"
#include "agent/dataplane/model.h"

namespace prometheus {
class Collectable;
}

namespace kubenatd::agent::daemon {

/// What the inputs are for.
enum class Purpose : std::uint8_t {
  kLook,     ///< at what would be in the kernel
  kExplain,  ///< the same, and Pods are looked at whatever is said of host ports
  kRun,      ///< to write to the kernel
};

/// Everything that a command works on.
struct Inputs {
  std::unique_ptr<dataplane::Model> model;
  std::unique_ptr<ObjectSource> source;
  std::unique_ptr<api::EventRecorder> events;  ///< only with an API server, for a command that changes the node
  std::vector<KnownFile> files;                ///< that decide about the two: another content asks for a new start
  std::shared_ptr<prometheus::Collectable> request_metrics;  ///< of the API server; none: there is none
  std::string objects_of;                                    ///< for people: the API server, or the folders
  bool prepare_again = false;  ///< the kernel had no connection tracking yet: prepare_node() after the first sync
};

/// Reads configuration and environment, opens the source of objects, and logs what there is to say about them.
/// To run, the node is also prepared for the rules: sysctls are set and counters made, as far as they are
/// asked for and possible; what was asked for and is not possible is an error. `previous` is the source of before a
/// reload, which goes on where it can.
[[nodiscard]] rules::Result<Inputs> read_inputs(const config::FlagValues& flags, Purpose purpose,
                                                std::unique_ptr<ObjectSource> previous = nullptr);

/// Whether a new start with what the files now hold would get as far as opening the source.
[[nodiscard]] rules::Status check_inputs(const config::FlagValues& flags);

/// Waits until the source has given all there is and hands it to the model: for commands that only look. The result is
/// how many objects were left out. `see` is shown every event before that, `left_out` every object that was refused,
/// passed over or taken in part. An API server that has not given everything within `patience` is an error.
[[nodiscard]] rules::Result<std::size_t> gather(Inputs& inputs,
                                                const std::function<void(const objects::ObjectEvent&)>& see = {},
                                                const std::function<void(objects::PassedOver)>& left_out = {},
                                                std::chrono::milliseconds patience = std::chrono::seconds(60));

/// What the first sync still has to wait for, as kube-proxy v1.35 and newer wait for it: the node's object, an address
/// in it, its podCIDRs in NodeCIDR mode. Empty: nothing.
[[nodiscard]] std::string missing_of_node(const dataplane::Model& model);

/// Makes the kernel settings of the configuration. One that was asked for and cannot be made is an error. True when
/// the kernel has no connection tracking yet.
[[nodiscard]] rules::Result<bool> prepare_node(const config::Config& config);

/// The node's circumstances as they are now.
[[nodiscard]] config::Environment read_environment(const config::Config& config, std::string node_name);

/// Who listens at the reserved ports now.
[[nodiscard]] std::vector<config::Listener> read_listeners(const config::Config& config);

/// Whether the packet counters that rules refer to are there already.
[[nodiscard]] bool counters_exist();

}  // namespace kubenatd::agent::daemon
