#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/refused.h"
#include "rules/iptables/desired_chains.h"
#include "rules/service_ports.h"

namespace kubenatd::agent::dataplane::iptables {

/// The service ports and pods of one family that the kernel refused: takes them out of what is wanted, and lets them in
/// again to be tried once more.
///
/// Threading: one thread. Failure: none. Cost: a refusal looks for its owner among all rules in shared chains.
class Refusals {
 public:
  /// `desired` must outlive this.
  Refusals(rules::Family family, rules::iptables::DesiredChains& desired) : family_(family), desired_(desired) {}

  /// Takes out what the refused message was for. False: it was for nothing that can be taken out.
  [[nodiscard]] bool take_out(const rules::Refusal& refusal, Time now, SyncReport& report);
  /// It was for something that was let in to be tried again.
  [[nodiscard]] bool is_trial(const rules::Refusal& refusal) const;
  /// Lets in what is due.
  void readmit_due(Time now);
  /// Everything is due.
  void hurry();
  /// A transaction with all that was let in is committed.
  void succeeded(SyncReport& report);
  [[nodiscard]] std::optional<Time> due() const;
  [[nodiscard]] std::vector<RefusedObject> all() const;

  /// The service port changed or went.
  void forget(const rules::ServicePortKey& port) { ports_.forget(port); }
  /// All pods with host ports, in place of those before.
  void set_pods(std::vector<rules::hostport::PodPorts> pods);

 private:
  using Owner = std::variant<std::monostate, rules::ServicePortKey, std::string>;
  [[nodiscard]] Owner owner_of(const rules::Refusal& refusal) const;

  rules::Family family_;
  rules::iptables::DesiredChains& desired_;
  Refused<rules::ServicePortKey> ports_;
  Refused<std::string> pods_;  ///< by PodPorts::id
};

}  // namespace kubenatd::agent::dataplane::iptables
