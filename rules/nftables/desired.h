#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "rules/frontend_claims.h"
#include "rules/nftables/element.h"
#include "rules/nftables/host_ports.h"
#include "rules/nftables/ruleset.h"
#include "rules/service_port.h"
#include "rules/service_ports.h"

namespace kubenatd::rules::nftables {

/// Where an endpoint listens.
struct Backend {
  Address address;
  std::uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};

/// Puts `wanted` into the order that takes the fewest changes from `present`: what stays keeps its place, what is new
/// fills the holes, and the last ones move into the holes that are left.
[[nodiscard]] std::vector<Backend> keep_places(std::vector<Backend> present, const std::vector<Backend>& wanted);

/// The desired state of one family in nftables mode: the ruleset and the elements in it.
///
/// Purpose: keeps service ports, knows which elements follow from them, and collects what has changed since the last
/// commit. Of several service ports that claim one frontend, one has it (FrontendClaims), and all elements of the
/// frontend are of that one. Threading: one thread. Failure: none. Cost: a changed service port costs the elements that
/// change, and a comparison of its endpoints; a frontend that changes hands costs the elements of both. The elements
/// are not kept but made again from the service ports when they are asked for.
class DesiredElements {
 public:
  using PortKey = ServicePortKey;

  explicit DesiredElements(RulesetOptions options);
  // Parts of it point to others.
  DesiredElements(const DesiredElements&) = delete;
  DesiredElements& operator=(const DesiredElements&) = delete;
  ~DesiredElements() = default;

  [[nodiscard]] const RulesetOptions& options() const { return options_; }
  void set_options(RulesetOptions options);

  /// A view equal to the present one changes nothing.
  void upsert(ServicePortView view);
  void erase(const PortKey& key);
  /// Takes a service port out because the kernel refused it; it comes back with its next change, or by readmit().
  void refuse(const PortKey& key);
  void readmit(const PortKey& key);

  /// All pods with host ports, in place of those before.
  void set_host_ports(const std::vector<hostport::PodPorts>& pods);
  /// The pod (PodPorts::id) whose host port this element is.
  [[nodiscard]] std::optional<std::string> host_port_owner_of(const ElementKey& element) const;

  /// The ruleset as it should be now.
  [[nodiscard]] Ruleset ruleset() const { return compile_ruleset(options_, in_use()); }
  /// The data of a live element; none when it is not there.
  using LiveData = std::function<std::optional<Bytes<kDataCapacity>>(const ElementKey&)>;
  /// How the elements would be, for who looks without changing anything here.
  struct AsIf {
    LiveData order;  ///< endpoints had the order of those that are there; empty: their own
    const HostPortElements* host_ports = nullptr;  ///< these were the host ports; none: the present ones
  };
  /// Every element of the sets for which `wanted` says yes, each once, in no order.
  using SetFilter = std::function<bool(const SetRef&)>;
  using ElementVisitor = std::function<void(const ElementKey&, const ElementValue&)>;
  void for_each_element(const SetFilter& wanted, const ElementVisitor& visit) const;
  void for_each_element(const SetFilter& wanted, const ElementVisitor& visit, const AsIf& as_if) const;

  /// What has changed of one element: no value where it was or is not there.
  struct Change {
    std::optional<ElementValue> before;
    std::optional<ElementValue> after;
  };
  /// Empty before the first commit, which is about everything.
  [[nodiscard]] const std::unordered_map<ElementKey, Change>& changes() const { return changes_; }
  [[nodiscard]] bool has_changes() const { return ruleset_changed() || !changes_.empty(); }
  /// The ruleset is another one than at the last commit.
  [[nodiscard]] bool ruleset_changed() const { return options_changed_ || in_use() != committed_; }
  /// Everything is committed.
  void committed();

  /// Takes the order of endpoints over from what is there. To be called before the first commit alone, so that a
  /// restart changes nothing that is right.
  void adopt_order(const LiveData& live);

  /// Service ports that claim one frontend, as FrontendClaims tells them.
  [[nodiscard]] std::vector<Clash> take_clashes() { return claims_.take_clashes(); }

  [[nodiscard]] std::optional<PortKey> owner_of(const ElementKey& element) const;
  [[nodiscard]] std::size_t service_ports() const { return ports_.size(); }
  [[nodiscard]] const ServicePortView* view_of(const PortKey& key) const;
  /// Those that are not refused.
  void for_each_view(const std::function<void(const ServicePortView&)>& visit) const;

 private:
  /// Endpoints in the order of their numbers.
  struct Lists {
    std::vector<Backend> cluster;  ///< for policy Cluster
    std::vector<Backend> local;
  };
  struct PortState {
    Lists lists;
    std::uint32_t cluster_id = 0;  ///< for affinity
    std::uint32_t local_id = 0;
  };
  using Ports = ServicePorts<PortState>;
  using Port = Ports::Port;
  using PortEntry = Ports::Entry;
  /// The numbers whose endpoints changed; none: all.
  struct Touched {
    std::vector<std::uint32_t> cluster;
    std::vector<std::uint32_t> local;
  };

  /// A frontend of a service port that changes: whose it was, and whose it is then.
  struct Handover {
    Frontend frontend;
    const PortEntry* from = nullptr;
    const PortEntry* to = nullptr;
  };

  void replace(PortEntry& entry, Port next);
  [[nodiscard]] std::vector<Handover> move_claims(PortEntry& entry, const Port& next);
  [[nodiscard]] ElementVisitor retracting() {
    return [this](const ElementKey& key, const ElementValue& value) { retract(key, value); };
  }
  [[nodiscard]] ElementVisitor asserting() {
    return [this](const ElementKey& key, const ElementValue& value) { assert_element(key, value); };
  }
  void emit_frontend(const PortEntry& entry, const Frontend& frontend, const Lists& lists, const Touched* touched,
                     const ElementVisitor& visit) const;
  /// The lists in the order of what is there.
  [[nodiscard]] Lists in_live_order(const PortEntry& entry, const LiveData& live) const;
  void count(const ElementKey& key, int by);
  void count_port(const PortEntry& entry, int by);
  void retract(const ElementKey& key, const ElementValue& value);
  void assert_element(const ElementKey& key, const ElementValue& value);
  void take_ids(PortEntry& entry);
  void release_ids(PortEntry& entry);
  [[nodiscard]] std::uint32_t take_id(const PortEntry& entry, bool local);
  void node_port_addresses(int by);
  [[nodiscard]] InUse in_use() const;
  /// Elements of the sets from which in_use() follows.
  void count_use(const ElementKey& key, int by);

  RulesetOptions options_;
  Ports ports_;
  FrontendClaims<PortEntry> claims_;                      ///< those of refused service ports, too
  std::unordered_map<ElementKey, std::uint32_t> counts_;  ///< elements that several service ports share
  std::unordered_set<std::uint32_t> ids_;                 ///< of service ports with affinity
  std::map<std::uint32_t, std::uint32_t> timeouts_;       ///< service ports by affinity timeout
  /// Frontends by way and range that is not enough for them.
  std::array<std::array<std::uint32_t, kSizes.size()>, kWayCount> larger_{};
  std::uint32_t firewalled_ = 0;  ///< frontends with source ranges
  std::unordered_map<ElementKey, Change> changes_;
  HostPortElements host_ports_;
  bool follows_ = false;  ///< changes are collected: before the first commit everything is one
  bool options_changed_ = true;
  InUse committed_;
};

}  // namespace kubenatd::rules::nftables
