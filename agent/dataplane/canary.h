#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane {

/// kube-proxy's KUBE-PROXY-CANARY chains: empty ones in mangle, nat and filter, by whose absence it notices that
/// somebody flushed the tables. A running kube-proxy makes them again within its syncPeriod (30 s), which gives it
/// away once they were taken.
///
/// Threading: one thread. Failure: take_away() leaves what it cannot remove for the next call. Cost: three questions a
/// family, once.
class Canary {
 public:
  /// Removes those of a family, once: later calls do nothing.
  [[nodiscard]] rules::Status take_away(NfSession& session, rules::Family family);

  /// An event by somebody else. Who it was, the event tells that ends the transaction.
  void note(const netlink::TableEvent& event);
  /// Who has made a canary chain since the last call: "iptables (4711)".
  [[nodiscard]] std::optional<std::string> take_maker();

 private:
  std::vector<rules::Family> taken_;
  bool made_ = false;  ///< in the transaction whose end is still to come
  std::optional<std::string> maker_;
};

}  // namespace kubenatd::agent::dataplane
