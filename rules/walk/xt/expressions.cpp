#include "rules/walk/xt/expressions.h"

#include <algorithm>
#include <utility>

namespace kubenatd::rules::walk::xt {

Bytes bytes_of(const Address& address) {
  return Bytes(address.octets());
}

ExpressionPtr bits(ExpressionPtr of, const Bytes& mask, const Bytes& flip) {
  if (all(mask, 0xff) && all(flip, 0)) return of;
  return make(Bits{std::move(of), mask, flip});
}

ExpressionPtr bits(ExpressionPtr of, const Bytes& mask) {
  return bits(std::move(of), mask, Bytes::filled(mask.size, 0));
}

ExpressionPtr host_bits(ExpressionPtr of, std::uint32_t mask, std::uint32_t flip) {
  return bits(std::move(of), Bytes::host(mask), Bytes::host(flip));
}

Condition is(ExpressionPtr left, const Bytes& value, bool negate, Part part) {
  return {std::move(left), {{value, value}}, negate, part};
}

Condition always(bool negate, Part part) {
  const Bytes zero = Bytes::filled(1, 0);
  return is(constant(zero), zero, negate, part);
}

Condition has_bits(ExpressionPtr left, std::uint32_t mask, bool negate, Part part) {
  return is(host_bits(std::move(left), mask), Bytes::host(0), !negate, part);
}

}  // namespace kubenatd::rules::walk::xt
