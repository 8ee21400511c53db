#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/nft/vocabulary.h"

/// Elements of sets and maps in nft's words. Pure.
namespace kubenatd::rules::walk::nft {

[[nodiscard]] std::string joined(const std::vector<std::string>& parts, std::string_view between);
/// "accept", "jump CHAIN".
[[nodiscard]] std::string verdict_text(const ToVerdict& verdict);
/// The sizes of the parts of a concatenation; one that fills `whole` when a type does not say its size.
[[nodiscard]] std::vector<std::uint16_t> sizes_of(const std::vector<Type>& types, std::size_t whole);
/// Parts of a key or of data one behind the other. `turn`: those of the host's order are in network order.
[[nodiscard]] std::string parts_text(const Bytes& first, const Bytes& last, const std::vector<std::uint16_t>& sizes,
                                     const std::vector<Type>& types, bool turn);
/// "KEY", "KEY : DATA"; `any` is the element that stands for all others.
[[nodiscard]] std::string element_text(const SetElement& element, const WalkSet& set, const std::vector<Type>& types,
                                       const std::vector<Type>& data_types, bool any);

}  // namespace kubenatd::rules::walk::nft
