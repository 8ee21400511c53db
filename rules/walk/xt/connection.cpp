#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>

#include "rules/walk/xt/expressions.h"
#include "rules/walk/xt/matches.h"

/// What rules ask of the connection.
namespace kubenatd::rules::walk::xt {
namespace {

Ct::Direction direction_of(bool original) {
  return original ? Ct::Direction::kOriginal : Ct::Direction::kReply;
}

// Bits of NFT_CT_STATE (NF_CT_STATE_BIT, NF_CT_STATE_UNTRACKED_BIT).
constexpr std::uint32_t kNftUntracked = 1U << 6U;
// Bits that x_tables has for the same (linux/netfilter/xt_conntrack.h).
constexpr std::uint16_t kSameBits = 0x000f;
constexpr std::uint16_t kSnat = 1U << 6U, kDnat = 1U << 7U, kUntracked = 1U << 8U;

}  // namespace

Statement connmark(std::uint32_t value, std::uint32_t mask, bool negate) {
  return is(host_bits(connection(NFT_CT_MARK), mask), Bytes::host(value), negate);
}

Statement connection_state(std::uint16_t states, bool negate) {
  std::uint32_t state_bits = states & kSameBits;
  if ((states & kUntracked) != 0) state_bits |= kNftUntracked;
  std::uint32_t status_bits = 0;
  if ((states & kSnat) != 0) status_bits |= IPS_SRC_NAT;
  if ((states & kDnat) != 0) status_bits |= IPS_DST_NAT;
  if (status_bits == 0) return has_bits(connection(NFT_CT_STATE), state_bits, negate, Part::kState);
  // Without a connection the status is missing, and the others count.
  AnyOf any{{}, negate, Part::kState};
  if (state_bits != 0) any.conditions.push_back(has_bits(connection(NFT_CT_STATE), state_bits, false, Part::kState));
  any.conditions.push_back(has_bits(connection(NFT_CT_STATUS), status_bits, false, Part::kState));
  return any;
}

Statement connection_status(std::uint16_t bits, bool negate) {
  return has_bits(connection(NFT_CT_STATUS), bits, negate);
}

Statement connection_protocol(std::uint8_t number, bool negate) {
  return is(connection(NFT_CT_PROTOCOL, Ct::Direction::kOriginal), Bytes::network(number, 1), negate);
}

Statement connection_address(bool original, bool is_source, const Address& address, const Address& mask, bool negate) {
  const std::uint32_t key = address.family == Family::kIpv4 ? (is_source ? NFT_CT_SRC_IP : NFT_CT_DST_IP)
                                                            : (is_source ? NFT_CT_SRC_IP6 : NFT_CT_DST_IP6);
  return is(bits(connection(key, direction_of(original)), bytes_of(mask)), bytes_of(address), negate);
}

Statement connection_ports(bool original, bool is_source, std::uint16_t first, std::uint16_t last, bool negate) {
  return Condition{connection(is_source ? NFT_CT_PROTO_SRC : NFT_CT_PROTO_DST, direction_of(original)),
                   {{Bytes::network(first, 2), Bytes::network(last, 2)}},
                   negate,
                   Part::kOther};
}

Statement connection_direction(bool original) {
  return is(connection(NFT_CT_DIRECTION), Bytes::network(original ? IP_CT_DIR_ORIGINAL : IP_CT_DIR_REPLY, 1), false);
}

Statement expected_connection(bool negate) {
  return AnyOf{{has_bits(connection(NFT_CT_STATUS), IPS_EXPECTED, false)}, negate, Part::kOther};
}

Statement or_without_connection(const Statement& statement) {
  const auto* condition = std::get_if<Condition>(&statement);
  if (condition == nullptr) return statement;
  const Condition none = has_bits(connection(NFT_CT_STATE), kNftUntracked | 1U, false, Part::kState);
  return AnyOf{{none, *condition}, false, condition->part};
}

}  // namespace kubenatd::rules::walk::xt
