#pragma once

#include <random>
#include <string>
#include <vector>

#include "agent/dataplane/model.h"
#include "rules/walk/walker.h"
#include "test/kernel/walk/packet_node.h"

/// Random configurations and packets, and whether the walker's word about one is what the kernel did with it.
namespace kubenatd::test {

using rules::Family;
using rules::Protocol;
using rules::walk::End;
using rules::walk::Packet;

/// Random numbers of one test.
class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  bool one_in(unsigned count) { return below(count) == 0; }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[below(static_cast<unsigned>(all.size()))];
  }

 private:
  std::mt19937 random_;
};

/// Configurations of all kinds, by turns.
inline agent::config::Config random_config(Dice& dice) {
  agent::config::Config config = agent::config::default_config();
  config.cluster_cidrs = {rules::Prefix::parse("10.244.0.0/16").value(),
                          rules::Prefix::parse("fd00:10:244::/48").value()};
  config.masquerade_all = dice.one_in(4);
  config.localhost_node_ports = !dice.one_in(4);
  config.dispatch = dice.one_in(2) ? agent::config::Config::Dispatch::kTree : agent::config::Config::Dispatch::kLinear;
  if (dice.one_in(4)) {
    config.detect_local = agent::config::Config::DetectLocal::kInterfaceNamePrefix;
    config.interface_name_prefix = "pod";
  }
  return config;
}

/// Packets that are about something: addresses and ports of the rules, and some that are not.
class PacketMaker {
 public:
  PacketMaker(Dice& dice, const agent::dataplane::Model& model, bool ipv6, std::uint16_t& next_port)
      : dice_(dice), ipv6_(ipv6), next_port_(next_port) {
    model.dataplane(ipv6 ? Family::kIpv6 : Family::kIpv4).for_each_view([&](const rules::ServicePortView& view) {
      add(view.cluster_ip, view.port, view.protocol);
      for (const auto& address : view.external_ips) add(address, view.port, view.protocol);
      for (const auto& address : view.load_balancer_ips) add(address, view.port, view.protocol);
      for (const auto& address : node_addresses())
        if (view.node_port != 0) add(address, view.node_port, view.protocol);
      if (!ipv6_ && view.node_port != 0) add(ip("127.0.0.1"), view.node_port, view.protocol);
      if (view.health_check_node_port != 0) add(node_addresses()[0], view.health_check_node_port, Protocol::kTcp);
    });
    for (const auto& address : node_addresses()) add(address, 80, dice_.one_in(2) ? Protocol::kTcp : Protocol::kUdp);
    add(ip(ipv6 ? "fd00:10:244:1::5" : "10.244.1.5"), 8080, Protocol::kTcp);
    add(ip(ipv6 ? "2001:db8:77::1" : "192.0.2.250"), 80, Protocol::kUdp);
  }

  Packet next() {
    Packet packet;
    const auto& [destination, port, protocol] = dice_.of(targets_);
    packet.destination = destination;
    packet.destination_port = dice_.one_in(12) ? static_cast<std::uint16_t>(port + 1) : port;
    packet.protocol = dice_.one_in(12) ? Protocol::kUdp : protocol;
    packet.source_port = next_port_++;  // never the same connection twice
    const bool loopback = destination.is_loopback();
    if (loopback || dice_.one_in(4)) {
      packet.origin = Packet::Origin::kLocal;
      packet.protocol = Protocol::kUdp;
      packet.source = loopback ? destination : dice_.of(node_addresses());
      return packet;
    }
    const bool pod = dice_.one_in(3);
    packet.in_interface = pod ? PacketNode::kPods : PacketNode::kExternal;
    const std::vector<const char*> pods4{"10.244.1.5", "10.244.1.9"};
    const std::vector<const char*> outside4{"192.168.77.100", "198.51.100.9", "10.244.2.7"};
    const std::vector<const char*> pods6{"fd00:10:244:1::5", "fd00:10:244:1::9"};
    const std::vector<const char*> outside6{"fd00:77::100", "2001:db8:9::7", "fd00:10:244:2::7"};
    packet.source = ip(dice_.of(pod ? (ipv6_ ? pods6 : pods4) : (ipv6_ ? outside6 : outside4)));
    return packet;
  }

 private:
  struct Target {
    rules::Address address;
    std::uint16_t port;
    Protocol protocol;
  };

  static rules::Address ip(const char* text) { return rules::Address::parse(text).value(); }
  [[nodiscard]] std::vector<rules::Address> node_addresses() const {
    return ipv6_ ? std::vector{ip("fd00:77::2"), ip("fd00:10:244:1::1")}
                 : std::vector{ip("192.168.77.2"), ip("10.244.1.1")};
  }
  void add(const rules::Address& address, std::uint16_t port, Protocol protocol) {
    targets_.push_back({address, port, protocol});
  }

  Dice& dice_;
  bool ipv6_;
  std::uint16_t& next_port_;
  std::vector<Target> targets_;
};

inline std::string describe(const Packet& packet) {
  return std::string(name_of(packet.protocol)) + " " + rules::join_host_port(packet.source, packet.source_port) +
         " -> " + rules::join_host_port(packet.destination, packet.destination_port) +
         (packet.origin == Packet::Origin::kLocal ? " sent here" : " from " + packet.in_interface);
}

inline std::string describe(const rules::walk::Outcome& outcome) {
  constexpr const char* kEnds[] = {"forwarded", "local", "dropped", "rejected", "unknown"};
  const auto& state = outcome.state;
  return std::string(kEnds[static_cast<int>(outcome.end)]) + " to " +
         rules::join_host_port(state.packet.destination, state.packet.destination_port) +
         (state.last_destination || state.last_destination_port ? " and more" : "") +
         (state.masqueraded ? " masqueraded" : "") +
         (state.new_source ? " from " + state.new_source->to_string() : "") +
         (outcome.remembered ? " (remembered)" : "") + (outcome.odds_known ? "" : " (maybe)") +
         (outcome.cause == rules::walk::Cause::kRules ? std::string()
                                                      : " cause " + std::to_string(static_cast<int>(outcome.cause)));
}

inline std::string describe(const Fate& fate) {
  constexpr const char* kKinds[] = {"forwarded", "local", "rejected", "dropped"};
  return std::string(kKinds[static_cast<int>(fate.kind)]) + " by " + fate.interface + " to " +
         rules::join_host_port(fate.destination, fate.destination_port) + " from " + fate.source.to_string();
}

/// Whether an outcome is what the kernel did. An unknown end is no answer: it agrees with everything.
inline bool agrees(const rules::walk::Outcome& outcome, const Fate& fate, const Packet& sent,
                   const rules::walk::Surroundings& surroundings) {
  const auto& state = outcome.state;
  if (outcome.end == End::kUnknown) return true;
  // A UDP socket that listens tells its port and who spoke; a TCP reset tells only that the packet arrived.
  const bool told = fate.source != rules::Address{};
  const auto source_fits = [&] {
    if (state.new_source) return fate.source == *state.new_source;
    return state.masqueraded ? surroundings.is_local(fate.source) : fate.source == sent.source;
  };
  const auto destination_fits = [&] {
    const rules::Address& first = state.packet.destination;
    return state.last_destination
               ? first.bytes <= fate.destination.bytes && fate.destination.bytes <= state.last_destination->bytes
               : first == fate.destination;
  };
  const auto port_fits = [&] {
    const std::uint16_t first = state.tproxy_port.value_or(state.packet.destination_port);
    return first <= fate.destination_port && fate.destination_port <= state.last_destination_port.value_or(first);
  };
  switch (fate.kind) {
    case Fate::Kind::kForwarded:
      return outcome.end == End::kForwarded && destination_fits() && port_fits() &&
             fate.interface == surroundings.interface_to(fate.destination) && source_fits();
    case Fate::Kind::kLocal: return outcome.end == End::kLocal && (!told || (port_fits() && source_fits()));
    case Fate::Kind::kRejected: return outcome.end == End::kRejected;
    case Fate::Kind::kDropped:
      // A node that rejects its own packet after changing its source answers an address that no socket here has.
      return outcome.end == End::kDropped ||
             (outcome.end == End::kRejected && (state.masqueraded || state.source_changed) &&
              sent.origin == Packet::Origin::kLocal);
  }
  return false;
}

}  // namespace kubenatd::test
