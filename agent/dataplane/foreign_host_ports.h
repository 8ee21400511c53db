#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "rules/hostport/mapping.h"
#include "rules/rule.h"

namespace kubenatd::agent::dataplane {

/// The table of the portmap plugin's nftables backend (v1.6.0 and later).
inline constexpr std::string_view kPortmapTable = "cni_hostport";

/// Tells, from the live rules of nat, which container chains are kubenatd's and which ports others serve.
///
/// CNI-HOSTPORT-DNAT and the names CNI-DN-* are the portmap plugin's, which may run beside kubenatd. Only the rules in
/// CNI-HOSTPORT-DNAT say whose a chain is. A port counts as served when a rule there leads to a chain that translates
/// it; what portmap has left half done does not count.
///
/// Threading: one thread. Failure: none. Cost: a few words of memory for each rule of those chains.
class ForeignHostPorts {
 public:
  /// A rule of any chain of nat; only those of host ports are looked at.
  void note(std::string_view chain, const rules::Rule& rule);
  void clear();

  /// Chains that rules of ours lead to.
  [[nodiscard]] const std::set<std::string, std::less<>>& own_chains() const { return own_; }
  /// Chains that rules of others lead to.
  [[nodiscard]] std::set<std::string> foreign_chains() const;
  /// Forgets what stands in a container chain.
  void forget(std::string_view chain);
  /// Somebody else uses the shared chains.
  [[nodiscard]] bool has_foreign_rules() const { return foreign_rules_; }

  [[nodiscard]] std::vector<rules::hostport::Claim> claims() const;

 private:
  struct Entry {
    rules::Protocol protocol = rules::Protocol::kTcp;
    std::vector<std::uint16_t> ports;  ///< empty: every port
    std::string chain;
    std::string owner;
  };
  struct Served {
    rules::Protocol protocol = rules::Protocol::kTcp;
    std::uint16_t port = 0;
    std::optional<rules::Address> address;
  };

  std::set<std::string, std::less<>> own_;
  std::vector<Entry> entries_;
  std::map<std::string, std::vector<Served>, std::less<>> served_;
  bool foreign_rules_ = false;
};

/// The host ports that others serve in one family, read from the kernel.
[[nodiscard]] rules::Result<std::vector<rules::hostport::Claim>> read_foreign_host_ports(netlink::NfTables& kernel,
                                                                                         rules::Family family);

}  // namespace kubenatd::agent::dataplane
