#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "agent/dataplane/drift.h"
#include "rules/chain_name.h"
#include "rules/hostport/host_ports.h"

namespace kubenatd::agent::dataplane {

/// When dead entries of another portmap, which hold a hostPort back from a Pod, are to go.
///
/// Purpose: an entry has to be dead for a while, without a break, and only time in which changes of Pods are heard of
/// counts: portmap writes an entry before the API tells of the Pod's address. Threading: one thread; the caller gives
/// the time. Failure: none. Cost: a look goes through the claims of others, on a node a few dozen.
class Takeover {
 public:
  /// The kubelet tells of a Pod's address some seconds after the plugins were called; a Pod that waits for its image
  /// has none yet, and holds the entry by that. Help and `explain` say "a minute".
  static constexpr Clock::duration kGrace = std::chrono::seconds(60);

  /// Something that entries are judged by has changed.
  void look_again() { again_ = true; }
  /// Whether a look could say something else than the last one, as far as claims and time go: look_again() was called,
  /// or something dead is due.
  [[nodiscard]] bool must_look(Time now) const;
  /// Looks at all claims that others have now, and returns those that stay; ripe() are the others.
  [[nodiscard]] std::vector<rules::hostport::Claim> look(std::vector<rules::hostport::Claim> claims,
                                                         const rules::hostport::HostPorts& host_ports, Time now);
  [[nodiscard]] const std::vector<rules::hostport::Claim>& ripe() const { return ripe_; }
  /// Rules of other programs jump to a chain of a dead entry: it is emptied, not removed. False: that is known.
  [[nodiscard]] bool keep(const rules::ChainId& chain) { return kept_.insert(chain).second; }
  [[nodiscard]] const std::set<rules::ChainId>& kept() const { return kept_; }
  /// The rules of ripe() are removed. Returns them.
  std::vector<rules::hostport::Claim> removed();
  /// When to look the next time; none: nothing is dead.
  [[nodiscard]] std::optional<Time> due() const;

 private:
  std::map<rules::hostport::Claim, Time> dead_since_;
  std::vector<rules::hostport::Claim> ripe_;
  std::set<rules::ChainId> kept_;
  bool any_claims_ = false;  ///< when looked at last
  bool again_ = false;
};

}  // namespace kubenatd::agent::dataplane
