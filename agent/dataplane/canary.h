#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane {

/// kube-proxy's KUBE-PROXY-CANARY chains. They are empty chains in mangle, nat and filter; when they are gone,
/// kube-proxy knows that somebody flushed the tables. A running kube-proxy makes them again within its syncPeriod (30
/// s). So we remove them once: whoever makes them again is a kube-proxy that still runs.
///
/// Threading: one thread. Failure: take_away() leaves what it cannot remove for the next call. Cost: three questions
/// for each family, once.
class Canary {
 public:
  /// Removes those of a family, once: later calls do nothing.
  [[nodiscard]] rules::Status take_away(NfSession& session, rules::Family family);

  /// Takes note of an event by somebody else. The writer is named only by the event that ends the transaction.
  void note(const netlink::TableEvent& event);
  /// Who has made a canary chain since the last call: "iptables (4711)".
  [[nodiscard]] std::optional<std::string> take_maker();

 private:
  std::vector<rules::Family> taken_;
  bool made_ = false;  ///< in a transaction whose end has not come yet
  std::optional<std::string> maker_;
};

}  // namespace kubenatd::agent::dataplane
