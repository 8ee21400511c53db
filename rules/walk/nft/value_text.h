#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/nft/vocabulary.h"

/// Values in nft's words. Pure.
namespace kubenatd::rules::walk::nft {

/// "10.0.0.1", "80", "tcp", "0x00004000", "new"; hexadecimal where the type is not known. A name that ends with "*"
/// stands for all that begin so: `bytes` is then shorter than the type.
[[nodiscard]] std::string value_text(const Bytes& bytes, Type type);
/// "a-b", "10.0.0.0/8", "80"; "*" for all there is.
[[nodiscard]] std::string range_text(const Bytes& first, const Bytes& last, Type type);
/// Names of the bits, joined ("new,established"); none: one of them has no name.
[[nodiscard]] std::optional<std::string> bits_text(const Bytes& bytes, Type type, std::string_view between);
/// A number in the host's order as one in network order, and back.
[[nodiscard]] Bytes turned(const Bytes& bytes);
/// As a number, in the type's own order. Of at most eight bytes.
[[nodiscard]] std::uint64_t number_of(const Bytes& bytes, bool host_order);
/// How many leading bits are one when the others are not; none: the mask is another one.
[[nodiscard]] std::optional<unsigned> prefix_length(const Bytes& mask);
/// The types in "ipv4_addr . inet_service".
[[nodiscard]] std::vector<Type> types_named(std::string_view names);
/// What separates the parts: each is filled up to four bytes.
[[nodiscard]] constexpr std::size_t filled_up(std::size_t size) {
  return (size + 3) / 4 * 4;
}

}  // namespace kubenatd::rules::walk::nft
