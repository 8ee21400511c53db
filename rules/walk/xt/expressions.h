#pragma once

#include <cstdint>

#include "rules/address.h"
#include "rules/walk/statement.h"

/// Small pieces that the statements of x_tables are made of. Pure.
namespace kubenatd::rules::walk::xt {

[[nodiscard]] inline ExpressionPtr payload(Payload::Base base, std::uint16_t offset, std::uint16_t size) {
  return make(Payload{base, offset, size});
}
[[nodiscard]] inline ExpressionPtr network(std::uint16_t offset, std::uint16_t size) {
  return payload(Payload::Base::kNetwork, offset, size);
}
[[nodiscard]] inline ExpressionPtr meta(std::uint32_t key) {
  return make(Meta{key});
}
[[nodiscard]] inline ExpressionPtr connection(std::uint32_t key, Ct::Direction direction = Ct::Direction::kNone) {
  return make(Ct{key, direction});
}
[[nodiscard]] inline ExpressionPtr constant(const Bytes& bytes) {
  return make(Constant{bytes});
}
[[nodiscard]] Bytes bytes_of(const Address& address);

/// (of & mask) ^ flip; `of` itself when that changes nothing.
[[nodiscard]] ExpressionPtr bits(ExpressionPtr of, const Bytes& mask, const Bytes& flip);
[[nodiscard]] ExpressionPtr bits(ExpressionPtr of, const Bytes& mask);
/// The same, of a number in the host's order.
[[nodiscard]] ExpressionPtr host_bits(ExpressionPtr of, std::uint32_t mask, std::uint32_t flip = 0);

[[nodiscard]] Condition is(ExpressionPtr left, const Bytes& value, bool negate, Part part = Part::kOther);
/// Fits every packet, or none when negated.
[[nodiscard]] Condition always(bool negate, Part part = Part::kOther);
/// One of the bits of a number in the host's order is set.
[[nodiscard]] Condition has_bits(ExpressionPtr left, std::uint32_t mask, bool negate, Part part = Part::kOther);

}  // namespace kubenatd::rules::walk::xt
