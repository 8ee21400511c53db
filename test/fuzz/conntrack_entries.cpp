#include <cstring>

#include "netlink/host/conntrack_entry.h"
#include "test/fuzz/fuzz.h"

/// Entries of connection tracking, as a dump has them.
namespace kubenatd::fuzz {

void check(std::string_view input) {
  const std::uint8_t choice = take_byte(input);
  const auto family = (choice & 1U) == 0 ? rules::Family::kIpv4 : rules::Family::kIpv6;
  const std::uint8_t protocol = (choice & 2U) == 0 ? 17 : 6;
  // As libnl's reader hands it out: in memory of its own, no shorter than its header says.
  nlmsghdr header{};
  std::vector<char> message(sizeof header + input.size());
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + sizeof header, input.data(), input.size());
  netlink::host::ConntrackAttributes attributes{};
  const auto flow = netlink::host::read_conntrack_entry(*reinterpret_cast<const nlmsghdr*>(message.data()), family,
                                                        protocol, attributes);
  if (!flow) return;
  require(flow->protocol == protocol, "a flow is of the protocol that was asked for");
  require(flow->original_source.family == family && flow->reply_source.family == family,
          "addresses are of the family that was asked for");
  // What a deletion copies.
  for (const nlattr* attribute : {attributes[CTA_TUPLE_REPLY], attributes[CTA_ZONE], attributes[CTA_ID]}) {
    if (attribute == nullptr) continue;
    const auto* start = reinterpret_cast<const char*>(attribute);
    require(start >= message.data() && start + attribute->nla_len <= message.data() + message.size(),
            "an attribute lies in its message");
  }
}

}  // namespace kubenatd::fuzz
