#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rules/digest.h"
#include "rules/hostport/host_ports.h"
#include "rules/iptables/compiler.h"
#include "rules/iptables/options.h"

namespace kubenatd::rules::iptables {

/// One rule of a shared chain, without its content: 10 000 of them are listed for one that is written.
struct Slot {
  Digest digest;
  const ServicePortView* view = nullptr;  ///< none: a rule of the chain itself (tree branch, NodePort tail)
  std::uint32_t index = 0;                ///< among compile_dispatch(*view), or among `SharedChain::literals`
};

/// The desired content of a chain that many service ports share.
struct SharedChain {
  ChainId id;
  bool by_rule = false;  ///< long-lived and large: changed rule by rule; otherwise rewritten as a whole
  std::vector<Slot> slots;
  std::vector<Rule> literals;
  bool only_if_there = false;  ///< nothing of ours is wanted in it: it is not made for that

  [[nodiscard]] std::vector<Digest> digests() const;
};

/// The desired state of one family in iptables mode.
///
/// Purpose: keeps service port views, knows which chains follow from them, and hands out what changed, compiled.
/// Threading: one thread. Failure: none.
/// Cost: a changed view costs its own compilation. Shared chains keep a digest a rule; adding or removing a service
/// port walks them once without compiling. Rules are never kept: memory is one view, its chain names and digests.
class DesiredTables {
 public:
  /// Receives changes in an order in which they can be written: a chain comes after the chains it jumps to.
  class Sink {
   public:
    virtual ~Sink() = default;
    /// A chain that is written as a whole, and whose it is ("" for the fixed ones).
    virtual void chain(const ChainRules& chain, const Digest& digest, std::string_view owner) = 0;
    /// A shared chain that may have changed.
    virtual void shared(const SharedChain& chain) = 0;
    /// A chain that is no longer wanted.
    virtual void gone(const ChainId& chain) = 0;
  };

  using PortKey = std::pair<std::string, Protocol>;

  explicit DesiredTables(CompileOptions options);

  [[nodiscard]] const CompileOptions& options() const { return options_; }
  /// Different options concern every chain.
  void set_options(CompileOptions options);

  /// A view equal to the present one changes nothing.
  void upsert(ServicePortView view);
  void erase(const PortKey& key);
  /// Takes a service port out because the kernel refused it; it comes back with its next change.
  void refuse(const PortKey& key);

  [[nodiscard]] bool has_changes() const;
  /// Hands all pending changes to `sink` and forgets that they were pending.
  void take_changes(Sink& sink);
  /// Hands out the present content of these chains again, pending or not; chains that are not wanted as gone.
  void replay(const std::set<ChainId>& chains, Sink& sink) const;
  /// Hands out everything.
  void replay_all(Sink& sink) const;

  /// Chains that are wanted, with the digest of their content; shared chains without one. CNI-HOSTPORT-DNAT is always
  /// among them, because rules of ours may be left over there.
  struct WantedChain {
    ChainId id;
    std::optional<Digest> digest;
  };
  [[nodiscard]] bool wants(const ChainId& chain) const;
  void for_each_wanted(const std::function<void(const WantedChain&)>& visit) const;
  /// Service port that a chain belongs to.
  [[nodiscard]] std::optional<PortKey> owner_of(const ChainId& chain) const;
  /// Service port that a rule in a shared chain belongs to: its comment begins with the name.
  [[nodiscard]] std::optional<PortKey> owner_of(const Rule& rule) const;

  /// Content of a slot.
  [[nodiscard]] Rule rule_of(const SharedChain& chain, const Slot& slot) const;

  /// Rules that are wanted in our chains of a table, as of the last take_changes(). Cost: the fixed rules.
  [[nodiscard]] std::size_t rules(Table table) const;

  [[nodiscard]] std::size_t service_ports() const { return ports_.size(); }
  [[nodiscard]] const ServicePortView* view_of(const PortKey& key) const;
  void for_each_view(const std::function<void(const ServicePortView&)>& visit) const;

  /// Host ports, which stand beside the service ports.
  [[nodiscard]] hostport::HostPorts& host_ports() { return host_ports_; }
  [[nodiscard]] const hostport::HostPorts& host_ports() const { return host_ports_; }

 private:
  struct DispatchEntry {
    Digest digest;
    Address address;  ///< of nat KUBE-SERVICES entries, for the tree
    DispatchChain chain{};
  };
  struct Port {
    ServicePortView view;
    std::vector<DispatchEntry> dispatch;
    std::vector<ChainName> chains;
    std::uint32_t rules = 0;  ///< in `chains`
    bool refused = false;
  };
  struct Owned {
    Digest digest;
    const PortKey* key = nullptr;
  };

  void recompile(const PortKey& key, Port& port, Sink& sink);
  void drop_chains(const std::vector<ChainName>& chains, Sink& sink);
  void set_dispatch(Port& port, std::vector<DispatchEntry> dispatch);
  void mark_shared(const std::vector<DispatchEntry>& entries);
  [[nodiscard]] SharedChain linear_chain(DispatchChain chain) const;
  [[nodiscard]] std::vector<SharedChain> tree_chains() const;
  [[nodiscard]] bool wants_tree() const;
  [[nodiscard]] std::vector<SharedChain> services_chains() const;
  void rearrange_services(Sink& sink);
  void replay_port(const PortKey& key, const Port& port, const std::set<ChainId>* only, Sink& sink) const;
  /// The chains of host ports for which `is_asked` holds.
  void hand_out_host_ports(const std::function<bool(const ChainId&)>& is_asked, Sink& sink) const;

  CompileOptions options_;
  hostport::HostPorts host_ports_;
  std::map<PortKey, Port> ports_;
  std::unordered_map<ChainName, Owned> owners_;    ///< service chains, all in nat
  std::map<ChainName, Digest> tree_;               ///< tree chains in force, without the root
  std::map<Address, std::uint32_t> address_uses_;  ///< nat KUBE-SERVICES rules by address
  std::size_t port_rules_ = 0;                     ///< of all ports, in their own chains
  std::size_t services_literals_ = 0;              ///< rules of nat KUBE-SERVICES and the tree that no port has
  std::array<std::size_t, kDispatchChains> dispatch_rules_{};
  std::set<PortKey> changed_ports_;
  std::vector<ChainName> orphans_;  ///< of erased ports
  std::array<bool, kDispatchChains> changed_shared_{};
  bool changed_fixed_ = true;
};

}  // namespace kubenatd::rules::iptables
