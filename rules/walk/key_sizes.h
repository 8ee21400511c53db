#pragma once

#include <cstddef>
#include <cstdint>

/// How many bytes the kernel (6.18) loads for a key, as its sources have it (nft_meta.c, nft_ct.c, ...).
namespace kubenatd::rules::walk {

[[nodiscard]] std::size_t size_of_meta(std::uint32_t key);
/// `address_size`: of NFT_CT_SRC and NFT_CT_DST, whose family the key does not say.
[[nodiscard]] std::size_t size_of_ct(std::uint32_t key, std::size_t address_size);
[[nodiscard]] std::size_t size_of_fib(std::uint32_t result, std::uint32_t flags);
[[nodiscard]] std::size_t size_of_socket(std::uint32_t key);
[[nodiscard]] std::size_t size_of_route(std::uint32_t key);

}  // namespace kubenatd::rules::walk
