#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "rules/walk/statement.h"

/// Matches of x_tables whose answer is the node's: its routes and its policies of xfrm. Pure.
namespace kubenatd::rules::walk::xt {

struct ReversePath {  ///< -m rpfilter
  bool loose = false;
  bool valid_mark = false;
  bool accept_local = false;
  bool invert = false;
};
/// As nft's "fib saddr . iif oif exists". With accept_local it cannot be judged: fib does not tell such sources.
[[nodiscard]] Statement reverse_path(const ReversePath& options, std::string_view text);

/// -m policy --pol ipsec (or none), without what it asks of the policies themselves.
[[nodiscard]] Statement ipsec_policy(bool inbound, bool none);

/// Which chunks -m sctp --chunk-types asks for.
enum class ChunkMatch : std::uint8_t { kAny, kAll, kOnly };
/// Whether the first packet of a connection, which has one chunk INIT and no other, fits. `types` has a bit for each
/// chunk type that is named.
[[nodiscard]] bool init_fits(ChunkMatch match, const std::array<bool, 256>& types);

}  // namespace kubenatd::rules::walk::xt
