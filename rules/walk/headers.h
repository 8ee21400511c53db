#pragma once

#include "rules/walk/state.h"
#include "rules/walk/statement.h"

/// The headers of a walked packet as bytes, of which those are known that the first packet of a connection must have.
namespace kubenatd::rules::walk {

/// The address as the kernel keeps it: 4 or 16 bytes.
[[nodiscard]] Value address_value(const Address& address);
/// As they are at the rule, after what nat did.
[[nodiscard]] Value source_value(const PacketState& state);
[[nodiscard]] Value destination_value(const PacketState& state);
[[nodiscard]] Value source_port_value(const PacketState& state);
[[nodiscard]] Value destination_port_value(const PacketState& state);
[[nodiscard]] Value of_mark(const Mark& mark);  ///< four bytes in the host's order

/// The network header: 20 or 40 bytes, without options and extension headers.
[[nodiscard]] Value network_header(const PacketState& state);
/// The transport header, as far as it is always there: a SYN, a datagram, an INIT.
[[nodiscard]] Value transport_header(const PacketState& state);
[[nodiscard]] Value load(const Payload& payload, const PacketState& state);

/// Writes into the packet. False: what it is afterwards cannot be told.
[[nodiscard]] bool store(const Payload& where, const Value& value, PacketState& state);

}  // namespace kubenatd::rules::walk
