#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "rules/address.h"
#include "rules/frontend.h"
#include "rules/service_port.h"

namespace kubenatd::agent::state {

/// The part of a UDP conntrack entry that decides whether it can still be right.
struct FlowView {
  rules::Address original_destination;  ///< whom the client addressed
  std::uint16_t original_destination_port = 0;
  rules::Address reply_source;  ///< who answers: the endpoint, when the flow is DNATed
  std::uint16_t reply_source_port = 0;
};

/// An address with a port.
struct SocketAddress {
  rules::Address address;
  std::uint16_t port = 0;
  auto operator<=>(const SocketAddress&) const = default;
};

struct SocketAddressHash {
  std::size_t operator()(const SocketAddress& value) const noexcept {
    return std::hash<rules::Address>{}(value.address) ^ (std::size_t{value.port} * 0x9e3779b97f4a7c15U);
  }
};

/// Addresses of the node, of one family: single ones, and prefixes that are local by a route.
///
/// Threading: a value. Failure: none. Cost: `has` one hash look-up, and one pass over the prefixes, of which a node has
/// few.
class NodeAddresses {
 public:
  enum class Has : std::uint8_t {
    kNo,
    kYes,
    kByPrefix,  ///< it is in a prefix, but a longer route in that may lead elsewhere
  };

  NodeAddresses() = default;
  /// An address of 127.0.0.0/8 stands for the whole block. What is of another family is left out.
  NodeAddresses(rules::Family family, std::span<const rules::Address> addresses,
                std::span<const rules::Prefix> prefixes = {});
  [[nodiscard]] Has has(const rules::Address& address) const;
  bool operator==(const NodeAddresses&) const = default;

 private:
  std::unordered_set<rules::Address> addresses_;
  std::vector<rules::Prefix> prefixes_;  ///< longer than none and shorter than an address
  bool loopback_ = false;
};

/// What becomes of a packet to a frontend that several service ports claim.
enum class Precedence : std::uint8_t {
  kInTurn,    ///< rules by name: a service port that has nothing for the packet leaves it to the next
  kOneOwner,  ///< the frontend is that of rules::FrontendClaims' owner alone
};

/// Tells which UDP conntrack entries of one family contradict the service ports in force.
///
/// Purpose: a UDP flow keeps its conntrack entry, and with it its endpoint, as long as packets come. So entries that
/// the new rules would not make must be removed. The decision needs only the present service ports and the entry, not
/// what happened in between; so it is also right for changes that were made while the agent was not running. One thing
/// cannot be decided in this way: whether an address that serves nothing now was a service before. Therefore frontends
/// that went away are remembered until swept() is called, and the caller adds those that it finds left over from an
/// earlier run.
///
/// How to use it, one object for each family: call upsert() and erase() with every change of a service port. When the
/// rules are committed and needs_sweep() is true, delete every UDP entry for which is_stale() is true, then call
/// swept(). When the commit or the sweep failed, do not call swept(); then everything stays due.
///
/// Only UDP service ports count; views of other protocols or another family are taken as "not there".
/// Threading: none of its own. Failure: none but memory. Cost: upsert and erase O(frontends + endpoints log endpoints)
/// of that port; is_stale a few hash look-ups and a binary search among the endpoints; memory proportional to UDP
/// service ports and their endpoints, and at most kMostRemoved removed frontends.
class UdpFrontends {
 public:
  /// How many removed frontends are remembered while no sweep succeeds. More are forgotten; their entries end by
  /// timeout.
  static constexpr std::size_t kMostRemoved = 65536;

  UdpFrontends(rules::Family family, Precedence precedence) : family_(family), precedence_(precedence) {}
  UdpFrontends(const UdpFrontends&) = delete;
  UdpFrontends& operator=(const UdpFrontends&) = delete;

  /// Where NodePorts answer: on all that is local, or the addresses chosen by nodePortAddresses. A flow to any other
  /// address is not one of a NodePort. None by default.
  void set_node_addresses(NodeAddresses addresses);
  /// All that is local: where hostPorts answer.
  void set_local(NodeAddresses local);

  /// A host port takes what Services leave.
  enum class Claimant : std::uint8_t { kService, kHostPort };
  /// Adds the service port. A service port with the same name is replaced. A hostPort, which answers on all that is
  /// local, stands as the view's NodePort.
  void upsert(const rules::ServicePortView& view, Claimant claimant = Claimant::kService);
  void erase(std::string_view name);

  /// Adds a frontend that served before and does not now, as found in the rules of an earlier run. It has no effect
  /// while a service port in force has that frontend.
  void add_removed(const rules::Address& address, std::uint16_t port);
  void add_removed_node_port(std::uint16_t port);
  void add_removed_host_port(std::uint16_t port);

  /// True when something changed since the last swept() and an entry could be stale: at first as soon as there is any
  /// frontend, then after every change of frontends, of serving endpoints, or of addresses where NodePorts or
  /// hostPorts answer while there are any.
  [[nodiscard]] bool needs_sweep() const;
  /// The sweep succeeded: forgets removed frontends.
  void swept();

  /// True when the present service ports cannot have made the entry:
  ///  - it addresses a frontend, or a NodePort on an address of the node, and its answers do not come from an endpoint
  ///    that serves there (it is gone, has another port, there is none, or the entry was made without DNAT). When
  ///    several service ports claim the frontend, an endpoint of those to whom the rules may lead makes it right;
  ///  - or it addresses a removed frontend and is DNATed.
  /// `is_local` is asked for an address that only a prefix has.
  using IsLocal = std::function<bool(const rules::Address&)>;
  [[nodiscard]] bool is_stale(const FlowView& flow, const IsLocal& is_local = {}) const;

  /// UDP service ports that are known.
  [[nodiscard]] std::size_t size() const { return ports_.size(); }

 private:
  struct Port {
    std::string_view name;                 ///< the key in ports_
    std::vector<SocketAddress> frontends;  ///< sorted
    std::vector<SocketAddress> serving;    ///< sorted
    std::optional<SocketAddress> cluster_ip;
    std::uint16_t node_port = 0;
    rules::Usability internal = rules::Usability::kNone;  ///< of the cluster IP
    rules::Usability external = rules::Usability::kNone;  ///< of all other frontends
    bool is_filtered = false;                             ///< by source ranges
    bool is_host_port = false;
    bool operator==(const Port&) const = default;
  };
  using Owners = std::vector<const Port*>;  ///< nearly always one; into ports_, whose nodes do not move
  struct NameHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Ports = std::unordered_map<std::string, Port, NameHash, std::equal_to<>>;

  /// Ports that answer on many addresses of the node.
  struct ManyAddresses {
    NodeAddresses addresses;
    std::unordered_map<std::uint16_t, Owners> ports;
    std::unordered_set<std::uint16_t> removed;
  };

  [[nodiscard]] Port port_of(const rules::ServicePortView& view) const;
  void link(const Port& port);
  void unlink(const Port& port);
  void remember_removed(const Port& port);
  void set_addresses(ManyAddresses& many, NodeAddresses addresses);
  void add_removed(ManyAddresses& many, std::uint16_t port);
  [[nodiscard]] ManyAddresses& many_of(const Port& port) { return port.is_host_port ? host_ports_ : node_ports_; }
  [[nodiscard]] bool is_contested(const Port& port) const;
  /// Whether the rules may lead a packet to one of `frontend`'s claimants whose endpoint this is. No frontend: a
  /// NodePort.
  [[nodiscard]] bool may_lead_to(const SocketAddress& endpoint, const Owners& claimants,
                                 const SocketAddress* frontend) const;

  rules::Family family_;
  Precedence precedence_;
  Ports ports_;
  std::unordered_map<SocketAddress, Owners, SocketAddressHash> frontends_;
  ManyAddresses node_ports_;
  ManyAddresses host_ports_;
  std::unordered_set<SocketAddress, SocketAddressHash> removed_;
  bool changed_ = true;
};

}  // namespace kubenatd::agent::state
