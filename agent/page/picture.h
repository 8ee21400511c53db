#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/model.h"
#include "netlink/core/nf_tables.h"
#include "rules/hostport/mapping.h"
#include "rules/walk/ruleset.h"

/// The rules of one Service, as they should be and as the kernel has them.
namespace kubenatd::agent::page {

/// What is wanted for one Service.
struct WantedService {
  struct Family {
    rules::Family family = rules::Family::kIpv4;
    std::vector<rules::ServicePortView> ports;
    rules::walk::Ruleset rules;  ///< as if the node had this Service alone
    rules::walk::Ruleset none;   ///< as if it had no Service: what both have is not the Service's
    std::vector<rules::hostport::PodPorts> host_ports;  ///< of pods that are endpoints of it
  };
  bool iptables = true;
  std::vector<Family> families;  ///< those in which it has rules
  std::string error;
};

/// In the run loop. Cost: a look at every service port, and the rules of one Service, about a millisecond.
[[nodiscard]] std::shared_ptr<const WantedService> wanted_of(const dataplane::Model& model, const std::string& ns,
                                                             const std::string& name);

/// Boxes of rules with what is missing and unwanted among them: "families" of the page's document.
///
/// Threading: one thread, not the run loop's. Failure: told in the document. Cost: in iptables mode the dumps of the
/// Service's own chains and of the shared chain in front of them; in nftables mode the tables of all programs, but no
/// large set, at most every few seconds.
class Picture {
 public:
  [[nodiscard]] nlohmann::ordered_json draw(const WantedService& wanted);

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] nlohmann::ordered_json draw_chains(const WantedService::Family& wanted);
  [[nodiscard]] nlohmann::ordered_json draw_elements(const WantedService::Family& wanted);
  [[nodiscard]] rules::Status read_ruleset();

  std::optional<netlink::NfTables> kernel_;
  std::optional<rules::walk::Ruleset> ruleset_;  ///< nftables mode
  Clock::time_point read_at_;
};

}  // namespace kubenatd::agent::page
