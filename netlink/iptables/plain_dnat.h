#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "rules/address.h"
#include "rules/rule.h"

namespace kubenatd::netlink::iptables {

/// What a rule of nft's own form translates: "[ip daddr ADDRESS] PROTOCOL dport PORT dnat to ...".
struct PlainDnat {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<rules::Address> address;
  std::optional<rules::Address> target;  ///< one address; none: that could not be read
  std::uint16_t target_port = 0;         ///< 0: the port stays as it is, or it could not be read
};

/// Reads NFTA_RULE_EXPRESSIONS. Gives nothing when the rule does not translate one port. Matches other than protocol,
/// port and destination address are ignored. Pure.
[[nodiscard]] std::optional<PlainDnat> decode_plain_dnat(std::string_view expressions, rules::Family family);

}  // namespace kubenatd::netlink::iptables
