#pragma once

#include <string_view>

#include "agent/dataplane/commit_loop.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// The table that stands in while the table `kubenatd` is replaced.
inline constexpr std::string_view kCoverTable = "kubenatd-cover";

/// Holds the rules a second time while the table is deleted and made anew.
///
/// Purpose: one transaction deletes the old chains and fills the new ones, but a packet asks the chains of a hook one
/// after the other, the new ones first. One that is between the two at that moment finds the new chain still empty and
/// the old one already so (nft_do_chain takes the generation anew for each base chain, 6.18), and its connection goes
/// on without a destination. With a third table whose rules stand before and after, it meets those. Threading: one
/// thread. Failure: without a cover the table is replaced all the same; one that cannot be taken down is an error, and
/// is tried again. The kernel removes it with the socket, so that nothing is left when the agent ends in between (flag
/// owner without persist, Linux 5.12; older kernels have no cover). Cost: a table with all elements, for that long.
class Cover {
 public:
  explicit Cover(rules::Family family) : family_(family) {}

  /// Replaces the cover that is up, if there is one.
  void put_up(NfSession& session, const SyncSteps::Stage& stage, const rules::nftables::Ruleset& ruleset,
              const rules::nftables::DesiredElements& desired);
  /// Nothing when none is up.
  [[nodiscard]] rules::Status take_down(NfSession& session);
  [[nodiscard]] bool is_up() const { return is_up_; }

 private:
  rules::Family family_;
  bool is_up_ = false;  ///< it may be
};

}  // namespace kubenatd::agent::dataplane::nftables
