#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/batch.h"
#include "netlink/core/nf_tables.h"
#include "rules/chain_name.h"
#include "rules/hostport/known_pods.h"
#include "rules/hostport/mapping.h"
#include "rules/rule.h"

namespace kubenatd::agent::dataplane {

/// The table of the portmap plugin's nftables backend (v1.6.0 and later).
inline constexpr std::string_view kPortmapTable = "cni_hostport";

/// The rules of dead entries, which are to go.
struct DeadEntries {
  struct Place {
    std::string chain;
    std::uint64_t handle = 0;
  };
  std::vector<Place> rules;         ///< in nat
  std::vector<std::string> chains;  ///< in nat: all of their rules are among those
  std::vector<Place> plain;         ///< in the portmap plugin's own table
};
/// Adds their removal to a transaction. `kept` are chains that rules of others jump to: they stay, and are empty then.
void remove_entries(netlink::Batch& batch, rules::Family family, const DeadEntries& dead,
                    const std::set<rules::ChainId>& kept);

/// Tells, from the live rules of nat, which container chains are kubenatd's and which ports others serve.
///
/// CNI-HOSTPORT-DNAT and the names CNI-DN-* are the portmap plugin's, which may run beside kubenatd. Only the rules in
/// CNI-HOSTPORT-DNAT say whose a chain is. A port counts as served when a rule there leads to a chain that translates
/// it; what portmap has left half done does not count.
///
/// Threading: one thread. Failure: none. Cost: a few words of memory for each rule of those chains.
class ForeignHostPorts {
 public:
  /// A rule of any chain of nat; only those of host ports are looked at. Without its handle it can be looked at only.
  void note(std::string_view chain, const rules::Rule& rule, std::uint64_t handle = 0);
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
  /// The rules that make these claims; of an entry with nothing but dead claims, all of them.
  using IsDead = std::function<bool(const rules::hostport::Claim&)>;
  void add_dead(const std::vector<rules::hostport::Claim>& claims, const IsDead& is_dead, DeadEntries& dead) const;

 private:
  struct Entry {
    rules::Protocol protocol = rules::Protocol::kTcp;
    std::vector<std::uint16_t> ports;  ///< empty: every port
    std::string chain;
    std::string owner;
    std::uint64_t handle = 0;
  };
  /// A rule of a container chain.
  struct Served {
    rules::hostport::Claim claim;  ///< without its owner
    std::uint64_t handle = 0;
    bool has_port = false;
    bool is_understood = false;  ///< it is about that one port
    bool translates = false;
  };
  using Rules = std::vector<Served>;
  [[nodiscard]] static bool leads_to(const Entry& entry, const Served& served);
  [[nodiscard]] rules::hostport::Claim claim_of(const Entry& entry, const Served& served) const;
  /// Of an entry that does not go whole: the rule is there for nothing but dead claims.
  [[nodiscard]] static bool is_needless(const Served& served, const Rules& chain, const IsDead& is_dead);

  std::set<std::string, std::less<>> own_;
  std::vector<Entry> entries_;
  std::map<std::string, Rules, std::less<>> served_;
  bool foreign_rules_ = false;
};

/// The host ports in the portmap plugin's own table of nft, in one family.
///
/// Threading: one thread. Failure: a failed reading leaves the former content. Cost: a dump of that table.
class PlainHostPorts {
 public:
  [[nodiscard]] rules::Status read(netlink::NfTables& kernel, rules::Family family);
  [[nodiscard]] std::vector<rules::hostport::Claim> claims() const;
  /// The rules that make these claims.
  void add_dead(const std::vector<rules::hostport::Claim>& claims, DeadEntries& dead) const;

 private:
  struct Rule {
    rules::hostport::Claim claim;
    DeadEntries::Place place;
  };
  std::vector<Rule> rules_;
};

/// All host ports that others serve in one family.
struct AllForeignHostPorts {
  ForeignHostPorts nat;
  PlainHostPorts plain;

  [[nodiscard]] std::vector<rules::hostport::Claim> claims() const;
};
[[nodiscard]] rules::Result<AllForeignHostPorts> read_foreign_host_ports(netlink::NfTables& kernel,
                                                                         rules::Family family);
/// What is to go for `claims`, which are dead.
[[nodiscard]] DeadEntries dead_entries(const AllForeignHostPorts& all,
                                       const std::vector<rules::hostport::Claim>& claims,
                                       const rules::hostport::KnownPods& pods);

}  // namespace kubenatd::agent::dataplane
