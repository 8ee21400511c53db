#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kubenatd::test {

/// The messages of a datagram as text, one line each, in which only what means the same is equal: attributes by number,
/// without padding, zeros and what the fake kernel is not asked to know; elements in no order, a line each. `own` is
/// the port id of the reader.
void describe_messages(std::string_view datagram, std::uint32_t own, std::vector<std::string>& lines);

/// A request, as far as it helps to read a difference.
[[nodiscard]] std::string describe_request(std::string_view bytes);

}  // namespace kubenatd::test
