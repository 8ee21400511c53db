#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/environment.h"
#include "agent/dataplane/drift.h"
#include "agent/dataplane/nf_session.h"
#include "agent/objects/objects.h"
#include "agent/state/service_state.h"
#include "rules/change.h"
#include "rules/frontend_claims.h"
#include "rules/hostport/host_ports.h"
#include "rules/nftables/options.h"
#include "rules/node_options.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::dataplane {

/// What there is to know of the node besides service ports; a mode makes its options of it.
struct NodeFacts {
  const config::Config& config;
  const config::Environment& environment;
  const std::optional<objects::Node>& node;  ///< this node's object, when the source has it
  std::size_t known_endpoints = 0;           ///< of the family
  std::vector<rules::Prefix> service_cidrs;  ///< of the family, as the cluster's objects say
};

/// A UDP destination that rules in the kernel serve; no address for a NodePort or hostPort.
struct UdpFrontend {
  std::optional<rules::Address> address;
  std::uint16_t port = 0;
  bool is_host_port = false;
  auto operator<=>(const UdpFrontend&) const = default;
};

/// Something wanted that the kernel did not take.
struct RefusedObject {
  enum class Kind : std::uint8_t { kServicePort, kPod };
  Kind kind = Kind::kServicePort;
  std::string name;  ///< service port name string, or PodPorts::id
  rules::Refusal refusal;
};

/// What one sync did.
struct SyncReport {
  bool wrote = false;
  bool audited = false;
  std::size_t chains = 0;    ///< written, made or removed
  std::size_t elements = 0;  ///< written or removed; nftables mode
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::size_t transactions = 0;
  std::size_t retries = 0;                ///< another writer came between
  std::array<std::size_t, 2> rules{};     ///< added, in filter and nat (rules::Table); iptables mode
  std::size_t table_rules = 0;            ///< added, in the table of nftables mode
  Drift::Report drift;                    ///< what others changed, and what was written because of that
  std::vector<RefusedObject> refused;     ///< news: refused for the first time, or for another reason
  std::vector<std::string> in_force;      ///< names of those that were refused before and are taken now
  std::vector<rules::ObjectRef> emptied;  ///< chains that are not wanted, but a rule of another program jumps to
  std::vector<rules::hostport::Remark> host_ports;  ///< withheld, or in force after that
  std::vector<rules::hostport::Claim> removed;      ///< dead entries of others for host ports
};

/// How one chain, set or table differs from what is wanted.
struct ObjectDiff {
  rules::ObjectRef object;
  bool is_map = false;  ///< of a set: it has data
  enum class Presence : std::uint8_t { kBoth, kMissing, kUnwanted } presence = Presence::kBoth;
  struct Line {
    char sign = ' ';  ///< '-' live and not wanted, '+' wanted and not live
    std::string rule;
  };
  std::vector<Line> lines;
};

struct CleanupReport {
  std::size_t chains = 0;                 ///< removed
  std::size_t jumps = 0;                  ///< removed from builtin chains
  std::size_t tables = 0;                 ///< removed
  std::vector<rules::ObjectRef> emptied;  ///< chains that rules of others jump to: emptied, not removed
};

/// Rules that the agent owns in a table, for metrics.
struct OwnedRules {
  rules::Table table = rules::Table::kFilter;
  std::size_t count = 0;
};

/// Who may change the table of a mode that has one of its own.
struct TableOwnership {
  enum class State : std::uint8_t {
    kUnknown,      ///< nothing was written yet, or the mode has no table of its own
    kOwned,        ///< this agent alone
    kOff,          ///< everybody, as it is wanted
    kUnsupported,  ///< everybody, as the kernel cannot have it otherwise, or it is not known yet whether it can
    kForeign,      ///< another program alone
  } state = State::kUnknown;
  /// How this agent came by it.
  enum class How : std::uint8_t {
    kMade,      ///< made with the table
    kAdopted,   ///< taken over from an owner that is gone
    kReplaced,  ///< made anew in place of one that cannot be owned
  } how = How::kMade;
  std::uint32_t port = 0;  ///< netlink port of the owner
  std::string owner;       ///< kForeign: its name, for people
  bool operator==(const TableOwnership&) const = default;
};

/// Where connections enter the flowtable of a mode that has one.
struct FastPathState {
  rules::nftables::FastPath in_force = rules::nftables::FastPath::kOff;
  std::vector<std::string> devices;  ///< that it has
  std::string problem;               ///< why it has not all that are wanted; empty: it has
  bool operator==(const FastPathState&) const = default;
};

/// What a sync has to know besides the kernel.
struct SyncRequest {
  Time now{};
  bool everything = false;  ///< also what is held back or waits for another try
};

/// One family of one mode: knows what is wanted, and keeps what the kernel holds equal to it.
///
/// Purpose: the one face of both modes for the reconciler and the commands. Threading: one thread. Failure: a failed
/// sync leaves the kernel as it was and everything pending for the next one; what the kernel refuses is kept out, named
/// and tried again, and the rest is applied. Commands that only look (const members) change nothing here. Cost:
/// proportional to what changed; an audit, a diff and a listing read everything.
class Dataplane {
 public:
  virtual ~Dataplane() = default;

  [[nodiscard]] virtual rules::Family family() const = 0;

  // What is wanted.
  virtual void set_node(const NodeFacts& facts) = 0;
  virtual void apply(const state::ViewChange& change) = 0;
  /// All pods of this node with host ports, in place of those before.
  virtual void set_pods(std::vector<rules::hostport::PodPorts> pods) = 0;
  /// What host ports of others are judged by.
  virtual void set_known_pods(rules::hostport::KnownPods pods) = 0;
  [[nodiscard]] virtual const rules::NodeOptions& node_options() const = 0;
  [[nodiscard]] virtual const rules::hostport::HostPorts& host_ports() const = 0;
  /// Service ports that are wanted and not refused.
  virtual void for_each_view(const std::function<void(const rules::ServicePortView&)>& visit) const = 0;
  /// Service ports that claim one frontend: what there is to tell of them since the last call.
  [[nodiscard]] virtual std::vector<rules::Clash> take_clashes() = 0;
  /// All that is refused at present.
  [[nodiscard]] virtual std::vector<RefusedObject> refused() const = 0;
  [[nodiscard]] virtual std::vector<OwnedRules> owned_rules() const = 0;

  // Following the kernel.
  /// Takes a change by somebody else into account. True when it concerns something of ours.
  virtual bool note(const netlink::TableEvent& event, Time now) = 0;
  enum class Audit : std::uint8_t {
    kPeriodic,    ///< the time has come: what was refused is tried again, too
    kEventsLost,  ///< somebody may have changed anything
  };
  /// Everything must be read again before the next comparison.
  virtual void require_audit(Audit why, Time now) = 0;
  /// When there is something to do: the past for at once; none: nothing.
  [[nodiscard]] virtual std::optional<Time> due() const = 0;
  /// What the objects want is committed; only drift and what the kernel refused may be left.
  [[nodiscard]] virtual bool settled() const = 0;
  [[nodiscard]] virtual rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others,
                                                       const SyncRequest& request) = 0;
  /// Who may change the mode's table, as far as the syncs have found out.
  [[nodiscard]] virtual TableOwnership table_ownership() const { return {}; }
  /// As the syncs have found it or left it.
  [[nodiscard]] virtual FastPathState fast_path() const { return {}; }
  /// UDP destinations that the kernel served when it was first read.
  [[nodiscard]] virtual const std::vector<UdpFrontend>& found_at_start() const = 0;

  // Looking.
  /// What is wanted, as iptables-save or nft would print it.
  [[nodiscard]] virtual std::string render() const = 0;
  struct Difference {
    std::vector<ObjectDiff> objects;
    std::vector<rules::hostport::Remark> host_ports;  ///< those that are withheld beside what others serve
  };
  [[nodiscard]] virtual rules::Result<Difference> diff(netlink::NfTables& kernel) const = 0;
  /// The tables that are wanted now, for a walk; beside what others serve, when `kernel` is given. It keeps what it
  /// needs: this may change or go.
  [[nodiscard]] virtual rules::Result<rules::walk::Ruleset> desired_ruleset(netlink::NfTables* kernel) const = 0;
};

/// The strategy of a mode for one family, with nothing wanted yet.
[[nodiscard]] std::unique_ptr<Dataplane> make_dataplane(config::Config::Mode mode, rules::Family family,
                                                        const NodeFacts& facts);

}  // namespace kubenatd::agent::dataplane
