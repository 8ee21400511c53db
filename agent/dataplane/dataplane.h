#pragma once

#include <array>
#include <string>
#include <vector>

#include "agent/dataplane/iptables/live_tables.h"
#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane {

/// What one sync did.
struct SyncReport {
  bool wrote = false;
  bool audited = false;
  std::size_t chains = 0;    ///< written, made or removed
  std::size_t elements = 0;  ///< written or removed; nftables mode
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::size_t transactions = 0;
  std::size_t retries = 0;             ///< another writer came between
  std::array<std::size_t, 2> rules{};  ///< added, in filter and nat (rules::Table); iptables mode
  std::vector<std::string> found;      ///< "nat KUBE-SERVICES": chains of ours that somebody else had touched
  std::vector<std::string> healed;     ///< those that had to be written
  std::vector<std::string> remarks;    ///< one line each: host ports that were withheld, or came into force after that
  std::vector<std::string>
      problems;  ///< one line each: service ports that the kernel refused, chains it would not give up
};

/// One family of one mode: keeps what the kernel holds equal to what is wanted.
///
/// Threading: one thread. Failure: a failed sync leaves the kernel as it was and everything pending for the next one.
/// Cost: proportional to what changed; an audit reads everything.
class Dataplane {
 public:
  virtual ~Dataplane() = default;

  [[nodiscard]] virtual rules::Family family() const = 0;
  /// Takes a change by somebody else into account. True when it concerns something of ours.
  virtual bool note(const netlink::TableEvent& event) = 0;
  /// Everything must be read again before the next comparison.
  virtual void require_audit(bool because_of_events) = 0;
  [[nodiscard]] virtual bool has_work() const = 0;
  /// True when nothing but drift has to be looked at: such work may be held back when somebody fights over a chain.
  [[nodiscard]] virtual bool only_drift() const = 0;
  [[nodiscard]] virtual rules::Result<SyncReport> sync(NfSession& session, const NfSession::Visit& others) = 0;
  /// UDP destinations that the kernel served when it was first read.
  [[nodiscard]] virtual const std::vector<iptables::LiveTables::UdpFrontend>& found_at_start() const = 0;
};

}  // namespace kubenatd::agent::dataplane
