#pragma once

#include <linux/netfilter/nf_tables.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "netlink/core/attributes.h"
#include "rules/walk/value.h"

namespace kubenatd::netlink::walk {

/// The attributes of one expression by number; of two with the same number the last one counts, as in the kernel. Views
/// into the message.
class ExpressionAttributes {
 public:
  explicit ExpressionAttributes(std::string_view bytes) {
    AttributeReader reader(bytes);
    for (Attribute attribute; reader.next(attribute);)
      if (attribute.type < attributes_.size()) attributes_[attribute.type] = {attribute.type, attribute.payload};
  }

  [[nodiscard]] bool has(std::uint16_t type) const { return attributes_[type].type != 0; }
  [[nodiscard]] std::uint32_t be32(std::uint16_t type) const { return attributes_[type].be32(); }
  [[nodiscard]] std::uint64_t be64(std::uint16_t type) const { return attributes_[type].be64(); }
  [[nodiscard]] std::uint16_t be16(std::uint16_t type) const {
    std::uint16_t value = 0;
    if (payload(type).size() >= sizeof value) std::memcpy(&value, payload(type).data(), sizeof value);
    return be16toh(value);
  }
  [[nodiscard]] std::uint8_t byte(std::uint16_t type) const {
    return payload(type).empty() ? 0 : static_cast<std::uint8_t>(payload(type).front());
  }
  [[nodiscard]] std::string_view text(std::uint16_t type) const { return attributes_[type].text(); }
  [[nodiscard]] std::string_view payload(std::uint16_t type) const { return attributes_[type].payload; }
  /// Of nested nft_data.
  [[nodiscard]] rules::walk::Bytes value(std::uint16_t type) const {
    return rules::walk::Bytes(find_attribute(payload(type), NFTA_DATA_VALUE).payload);
  }

 private:
  std::array<Attribute, 32> attributes_{};
};

}  // namespace kubenatd::netlink::walk
