#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What the running agent knows of itself and of the node, as values for people and programs. Every list is bounded;
/// times are RFC 3339.
namespace kubenatd::agent::seen {

struct RuleCount {
  std::string table;
  std::size_t rules = 0;
};

/// One address family's part of the kernel.
struct FamilyStatus {
  std::string family;                        ///< "IPv4"
  std::optional<std::string> last_sync;      ///< when the kernel last had all that was asked for
  std::optional<std::string> last_write;     ///< when something was last written
  std::optional<std::string> waiting_since;  ///< changes that are not in the kernel
  std::string error;                         ///< of the last sync; empty: it succeeded
  std::optional<std::string> failing_since;
  std::size_t syncs = 0;
  std::size_t failed_syncs = 0;
  double last_sync_seconds = 0;
  std::vector<RuleCount> rules;  ///< owned; iptables mode
  std::size_t drift_found = 0;   ///< objects that others had changed
  std::size_t drift_healed = 0;
  std::optional<std::string> last_drift;
  std::string fast_path{};  ///< "TCP", "TCP and UDP"; "": connections bypass no rules
  std::vector<std::string> fast_path_devices{};
};

/// A kind of object, and whether what is known of it is up to date.
struct SourceStatus {
  std::string resource;  ///< "services"
  bool up = false;
  std::size_t objects = 0;
  std::string failure;               ///< why the last try failed
  std::string absent;                ///< why an optional resource is not there
  std::optional<std::string> since;  ///< it is up, or down
};

struct RefusedStatus {
  std::string family;
  std::string kind;  ///< "service-port", "pod"
  std::string name;
  std::string cause;
};

struct WithheldStatus {
  std::string family;
  std::string pod;
  std::string port;   ///< "8080/tcp"
  std::string owner;  ///< who serves it
  std::string text;
};

/// Several service ports claim one frontend.
struct ClashStatus {
  std::string family;
  std::string frontend;
  std::vector<std::string> claimants;
  std::string serves;  ///< empty: none of them, for want of endpoints
};

struct ObjectCounts {
  std::size_t services = 0;
  std::size_t endpoint_slices = 0;
  std::size_t endpoints = 0;
};

/// All but the list of Services.
struct Status {
  std::string schema;
  std::string version;
  std::string node;
  std::string mode;
  std::string kernel;  ///< uname -r
  std::string started;
  std::string now;
  bool ready = false;      ///< the first sync is done
  std::string waits_for;   ///< before that
  std::string objects_of;  ///< "API server https://..." or the folders
  std::string owner;       ///< of the agent's nft table: "none", or who; "" where there is no such table
  ObjectCounts objects;
  std::vector<std::string> problems;
  std::vector<FamilyStatus> families;
  std::vector<SourceStatus> sources;
  std::vector<RefusedStatus> refused;  ///< the first of them
  std::size_t refused_objects = 0;
  std::vector<WithheldStatus> withheld;
  std::size_t withheld_ports = 0;
  std::vector<ClashStatus> clashes;
  std::size_t clashing_frontends = 0;
  std::vector<std::string> other_proxies;  ///< "IPv4: table kube-proxy of nft"
  std::uint64_t last_happening = 0;        ///< number of the newest entry of the history
};

inline constexpr const char* kStatusSchema = "kubenatd.status/v1";

}  // namespace kubenatd::agent::seen
