#include "rules/walk/state_key.h"

namespace kubenatd::rules::walk {
namespace {

class Key {
 public:
  template <class Number>
  void add(const Number& number) {
    static_assert(std::is_trivially_copyable_v<Number>);
    key_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void add_text(const std::string& text) {
    add(text.size());
    key_ += text;
  }
  void add_address(const Address& address) {
    const auto octets = address.octets();
    key_.append(reinterpret_cast<const char*>(octets.data()), octets.size());
  }
  void add_mark(const Mark& mark) {
    add(mark.bits);
    add(mark.unknown);
  }
  template <class Value>
  void add_optional(const std::optional<Value>& value) {
    add(value.has_value());
    if (!value) return;
    if constexpr (std::is_same_v<Value, Address>) {
      add_address(*value);
    } else if constexpr (std::is_same_v<Value, std::string>) {
      add_text(*value);
    } else {
      add(*value);
    }
  }
  [[nodiscard]] std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

}  // namespace

std::string key_of(const PacketState& state, bool with_marks) {
  Key key;
  const Packet& packet = state.packet;
  key.add(state.hook);
  key.add(state.looped);
  key.add(state.tracking);
  key.add_optional(state.in_interface);
  key.add_optional(state.out_interface);
  key.add_address(packet.source);
  key.add_address(packet.destination);
  key.add(packet.source_port);
  key.add(packet.source_port_known);
  key.add(packet.destination_port);
  key.add_optional(packet.ttl);
  key.add_optional(packet.tos);
  if (with_marks) {
    key.add_mark(state.mark);
    key.add_mark(state.connmark);
    key.add_mark(state.priority);
    key.add(state.priority_recalled);
  }
  for (const bool flag : {state.destination_done, state.source_done, state.destination_changed, state.source_changed,
                          state.masqueraded, state.source_port_unknown, state.own_destination})
    key.add(flag);
  key.add_optional(state.new_source);
  key.add_optional(state.last_destination);
  key.add_optional(state.last_destination_port);
  key.add_optional(state.tproxy_port);
  for (const auto& [set, element] : state.updated) {
    key.add(reinterpret_cast<std::uintptr_t>(set));
    key.add_text(std::string(reinterpret_cast<const char*>(element.data.data()), element.size));
  }
  return key.take();
}

}  // namespace kubenatd::rules::walk
