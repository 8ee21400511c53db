#pragma once

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink {

/// A short message that asks something of a subsystem of nfnetlink, by name.
///
/// Purpose: everything but transactions. Threading: a value, one thread. Failure: none; a name is cut at what any
/// subsystem takes. Cost: no allocation.
class Request {
 public:
  Request(std::uint8_t subsystem, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, std::uint8_t family)
      : out_(bytes_.data() + kHeader) {
    header_ = {0, static_cast<std::uint16_t>(subsystem << 8 | type), static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
               sequence, 0};
    const nfgenmsg general{family, NFNETLINK_V0, 0};
    std::memcpy(bytes_.data() + sizeof header_, &general, sizeof general);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// At most three, or two and attributes: a table, and something in it.
  void name(std::uint16_t type, std::string_view text) { out_.text(type, text.substr(0, kMaxName)); }
  /// Attributes that are written already, at most kMaxAttributes bytes of them.
  void attributes(std::string_view bytes) {
    bytes = bytes.substr(0, kMaxAttributes);
    std::memcpy(out_.at(), bytes.data(), bytes.size());
    out_ = AttributeWriter(out_.at() + bytes.size());
  }
  /// Valid as long as this object.
  [[nodiscard]] std::string_view finish() {
    header_.nlmsg_len = static_cast<std::uint32_t>(out_.at() - bytes_.data());
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return {bytes_.data(), header_.nlmsg_len};
  }

 private:
  static constexpr std::size_t kMaxAttributes = 128;
  static constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);
  static constexpr std::size_t kMaxName = 255;  // NFT_NAME_MAXLEN - 1

  std::array<char, 1024> bytes_{};
  nlmsghdr header_{};
  AttributeWriter out_;
};

}  // namespace kubenatd::netlink
