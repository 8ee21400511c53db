#include "rules/walk/way.h"

#include <unordered_map>

#include "rules/walk/state_key.h"

namespace kubenatd::rules::walk {
namespace {

template <class Number>
void add(std::string& key, const Number& number) {
  key.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void add_address(std::string& key, const Address& address) {
  const auto octets = address.octets();
  key.append(reinterpret_cast<const char*>(octets.data()), octets.size());
}

/// What people are told of an outcome.
[[nodiscard]] std::string key_of(const Outcome& outcome) {
  std::string key;
  const PacketState& state = outcome.state;
  add(key, outcome.end);
  add(key, outcome.cause);
  add(key, outcome.remembered);
  add_address(key, state.packet.destination);
  add(key, state.packet.destination_port);
  if (state.last_destination) add_address(key, *state.last_destination);
  key += '/';
  if (state.last_destination_port) add(key, *state.last_destination_port);
  key += '/';
  if (state.new_source) add_address(key, *state.new_source);
  key += '/';
  if (state.tproxy_port) add(key, *state.tproxy_port);
  key += '/';
  for (const bool flag : {state.destination_changed, state.source_changed, state.masqueraded, state.own_destination})
    add(key, flag);
  if (outcome.end == End::kForwarded) key += outcome.route.interface;
  return key;
}

}  // namespace

std::string key_of(const Way& way) {
  std::string key = key_of(way.state);
  add(key, way.entry);
  add(key, reinterpret_cast<std::uintptr_t>(way.running));
  for (const Frame& frame : way.stack) {
    add(key, reinterpret_cast<std::uintptr_t>(frame.chain));
    add(key, frame.next);
  }
  key += '/';
  for (const bool flag : {way.nat_done, way.local, way.outcome.remembered, way.memory != nullptr}) add(key, flag);
  key += way.uncertain ? static_cast<char>(*way.uncertain) : '\xff';
  add(key, way.route.kind);
  key += way.route.interface;
  key += '/';
  return key + way.routed_by;
}

std::string routing_key(const PacketState& state) {
  std::string key;
  add_address(key, state.packet.source);
  add_address(key, state.packet.destination);
  if (state.last_destination) add_address(key, *state.last_destination);
  add(key, state.mark.bits);
  add(key, state.mark.unknown);
  add(key, state.packet.tos.value_or(0));
  return key;
}

void join_equal(std::vector<Outcome>& outcomes) {
  std::unordered_map<std::string, std::size_t> places;
  std::vector<Outcome> kept;
  for (Outcome& outcome : outcomes) {
    const auto [at, is_new] = places.try_emplace(key_of(outcome), kept.size());
    if (is_new) {
      kept.push_back(std::move(outcome));
      continue;
    }
    Outcome& one = kept[at->second];
    if (!one.remembered) one.odds += outcome.odds;
    one.odds_known = one.odds_known && outcome.odds_known;
    if (one.doubts.empty()) one.doubts = std::move(outcome.doubts);
  }
  outcomes = std::move(kept);
}

}  // namespace kubenatd::rules::walk
