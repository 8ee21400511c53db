#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "rules/digest.h"
#include "rules/frontend_claims.h"
#include "rules/iptables/chain_sink.h"
#include "rules/iptables/compiler.h"
#include "rules/iptables/options.h"
#include "rules/service_ports.h"

namespace kubenatd::rules::iptables {

/// The chains that follow from the service ports of one family in iptables mode.
///
/// Purpose: keeps service port views, knows which chains follow from them, and hands out what changed, compiled.
/// Threading: one thread. Failure: none.
/// Cost: a changed view costs its own compilation. Shared chains keep a digest a rule; adding or removing a service
/// port walks them once without compiling. Rules are never kept: memory is one view, its chain names and digests.
class DesiredTables {
 public:
  explicit DesiredTables(CompileOptions options);

  [[nodiscard]] const CompileOptions& options() const { return options_; }
  /// Different options concern every chain.
  void set_options(CompileOptions options);
  /// From now on 127.0.0.0/8 is guarded (CompileOptions::guard_localhost), whatever further options say: what has
  /// packets for it routed may stay behind.
  void guard_localhost();

  /// A view equal to the present one changes nothing, unless it is refused.
  void upsert(ServicePortView view);
  void erase(const ServicePortKey& key);
  /// Takes a service port out because the kernel refused it; it comes back with its next change, or by readmit().
  void refuse(const ServicePortKey& key);
  void readmit(const ServicePortKey& key);

  [[nodiscard]] bool has_changes() const;
  /// Hands all pending changes to `sink` and forgets that they were pending.
  void take_changes(ChainSink& sink);
  /// Hands out the present content of these chains again, as of the last take_changes(); chains that are not wanted as
  /// gone.
  void replay(const std::set<ChainId>& chains, ChainSink& sink) const;
  /// Hands out everything that is wanted now, whether or not it was taken. Cost: compiles everything, and a copy of all
  /// views.
  void replay_all(ChainSink& sink) const;

  /// As of the last take_changes(), as all that follows.
  [[nodiscard]] bool wants(const ChainId& chain) const;
  void for_each_wanted(const std::function<void(const WantedChain&)>& visit) const;
  /// Service port that a chain belongs to.
  [[nodiscard]] std::optional<ServicePortKey> owner_of(const ChainId& chain) const;
  /// Service port that a rule in a shared chain of the table belongs to. Cost: looks through all of them.
  [[nodiscard]] std::optional<ServicePortKey> owner_of(Table table, const Digest& rule) const;

  /// Rules that are wanted in the chains of a table.
  [[nodiscard]] std::size_t rules(Table table) const;

  /// Service ports that claim one frontend, as FrontendClaims tells them. Rules decide it here: those of service ports
  /// stand by name, and who has no endpoints has none in nat.
  [[nodiscard]] std::vector<Clash> take_clashes() { return claims_.take_clashes(); }

  [[nodiscard]] std::size_t service_ports() const { return ports_.size(); }
  [[nodiscard]] const ServicePortView* view_of(const ServicePortKey& key) const;
  /// Service ports that are not refused.
  void for_each_view(const std::function<void(const ServicePortView&)>& visit) const;

 private:
  struct DispatchEntry {
    Digest digest;
    Address address;  ///< of nat KUBE-SERVICES entries, for the tree
    DispatchChain chain{};
  };
  /// What was made of a service port when it was compiled last.
  struct Compiled {
    std::vector<DispatchEntry> dispatch;
    std::vector<ChainName> chains;
    std::uint32_t rules = 0;  ///< in `chains`
  };
  using Ports = ServicePorts<Compiled>;
  struct Owned {
    Digest digest;
    const ServicePortKey* key = nullptr;
  };

  void count_fixed();
  /// The claims of a service port, whose view is to be this one; none: it goes.
  void move_claims(Ports::Entry& entry, const ServicePortView* next, bool refused);
  void recompile(const ServicePortKey& key, Ports::Port& port, ChainSink& sink);
  void drop_chains(const std::vector<ChainName>& chains, ChainSink& sink);
  void set_dispatch(Compiled& port, std::vector<DispatchEntry> dispatch);
  void mark_shared(const std::vector<DispatchEntry>& entries);
  [[nodiscard]] SharedChain linear_chain(DispatchChain chain) const;
  [[nodiscard]] std::vector<SharedChain> tree_chains() const;
  [[nodiscard]] bool wants_tree() const;
  [[nodiscard]] std::vector<SharedChain> services_chains() const;
  void rearrange_services(ChainSink& sink);
  void replay_port(const Ports::Port& port, const std::set<ChainId>& only, ChainSink& sink) const;

  CompileOptions options_;
  Ports ports_;
  FrontendClaims<Ports::Entry> claims_;
  std::unordered_map<ChainName, Owned> owners_;    ///< service chains, all in nat
  std::map<ChainName, Digest> tree_;               ///< tree chains in force, without the root
  std::map<Address, std::uint32_t> address_uses_;  ///< nat KUBE-SERVICES rules by address
  std::size_t port_rules_ = 0;                     ///< of all ports, in their own chains
  std::size_t services_literals_ = 0;              ///< rules of nat KUBE-SERVICES and the tree that no port has
  std::array<std::size_t, kDispatchChains> dispatch_rules_{};
  std::array<std::size_t, 3> fixed_rules_{};  ///< by table; they follow from the options alone
  std::vector<ChainName> orphans_;            ///< of erased ports
  std::array<bool, kDispatchChains> changed_shared_{};
  bool changed_fixed_ = true;
};

}  // namespace kubenatd::rules::iptables
