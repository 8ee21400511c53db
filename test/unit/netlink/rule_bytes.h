#pragma once

#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

/// Expressions of nf_tables written byte by byte, for what libnftnl cannot write, or would not.
namespace kubenatd::test {

[[nodiscard]] inline std::string attribute(std::uint16_t type, std::string_view payload) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + payload.size()), type};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += payload;
  bytes.resize(NLA_ALIGN(bytes.size()));
  return bytes;
}
[[nodiscard]] inline std::string number(std::uint16_t type, std::uint32_t value) {
  value = htobe32(value);
  return attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
}
[[nodiscard]] inline std::string number64(std::uint16_t type, std::uint64_t value) {
  value = htobe64(value);
  return attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
}
[[nodiscard]] inline std::string short_number(std::uint16_t type, std::uint16_t value) {
  value = htobe16(value);
  return attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
}
[[nodiscard]] inline std::string word(std::uint16_t type, std::string_view text) {
  return attribute(type, std::string(text) + '\0');
}
/// "0a000001" as bytes.
[[nodiscard]] inline std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}
[[nodiscard]] inline std::string value(std::uint16_t type, std::string_view hex) {
  return attribute(type, attribute(NFTA_DATA_VALUE, from_hex(hex)));
}
[[nodiscard]] inline std::string expression(std::string_view name, std::string_view attributes) {
  return attribute(NFTA_LIST_ELEM, word(NFTA_EXPR_NAME, name) + attribute(NFTA_EXPR_DATA, attributes));
}

// The usual ones.

[[nodiscard]] inline std::string load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size,
                                              std::uint32_t to = NFT_REG_1) {
  return expression("payload", number(NFTA_PAYLOAD_DREG, to) + number(NFTA_PAYLOAD_BASE, base) +
                                   number(NFTA_PAYLOAD_OFFSET, offset) + number(NFTA_PAYLOAD_LEN, size));
}
[[nodiscard]] inline std::string load_meta(std::uint32_t key, std::uint32_t to = NFT_REG_1) {
  return expression("meta", number(NFTA_META_KEY, key) + number(NFTA_META_DREG, to));
}
[[nodiscard]] inline std::string compare(std::uint32_t operation, std::string_view hex,
                                         std::uint32_t from = NFT_REG_1) {
  return expression("cmp", number(NFTA_CMP_SREG, from) + number(NFTA_CMP_OP, operation) + value(NFTA_CMP_DATA, hex));
}
[[nodiscard]] inline std::string load_value(std::string_view hex, std::uint32_t to = NFT_REG_1) {
  return expression("immediate", number(NFTA_IMMEDIATE_DREG, to) + value(NFTA_IMMEDIATE_DATA, hex));
}
[[nodiscard]] inline std::string verdict(std::int32_t code, std::string_view chain = {}) {
  std::string bytes = number(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
  if (!chain.empty()) bytes += word(NFTA_VERDICT_CHAIN, chain);
  return expression("immediate", number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT) +
                                     attribute(NFTA_IMMEDIATE_DATA, attribute(NFTA_DATA_VERDICT, bytes)));
}
[[nodiscard]] inline std::string bitwise(std::uint32_t operation, std::uint32_t size, std::string_view more,
                                         std::uint32_t from = NFT_REG_1, std::uint32_t to = NFT_REG_1) {
  return expression("bitwise", number(NFTA_BITWISE_SREG, from) + number(NFTA_BITWISE_DREG, to) +
                                   number(NFTA_BITWISE_LEN, size) + number(NFTA_BITWISE_OP, operation) +
                                   std::string(more));
}
[[nodiscard]] inline std::string look_up(std::string_view set, std::uint32_t flags = 0,
                                         std::uint32_t from = NFT_REG_1) {
  return expression("lookup",
                    word(NFTA_LOOKUP_SET, set) + number(NFTA_LOOKUP_SREG, from) + number(NFTA_LOOKUP_FLAGS, flags));
}
[[nodiscard]] inline std::string map_to(std::string_view map, std::uint32_t to, std::uint32_t from = NFT_REG_1) {
  return expression("lookup",
                    word(NFTA_LOOKUP_SET, map) + number(NFTA_LOOKUP_SREG, from) + number(NFTA_LOOKUP_DREG, to));
}

}  // namespace kubenatd::test
