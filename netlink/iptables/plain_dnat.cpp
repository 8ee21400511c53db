#include "netlink/iptables/plain_dnat.h"

#include <endian.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstring>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink::iptables {
namespace {

constexpr std::uint32_t kProtocolOffset = 9;  // in the IPv4 header

class Reader {
 public:
  explicit Reader(rules::Family family) : family_(family) {}

  void expression(std::string_view kind, std::string_view data) {
    if (kind == "meta") {
      loaded_ = number(data, NFTA_META_KEY) == NFT_META_L4PROTO ? Loaded::kProtocol : Loaded::kOther;
    } else if (kind == "payload") {
      loaded_ = payload(data);
    } else if (kind == "cmp") {
      compare(data);
    } else if (kind == "nat") {
      translates_ = translates_ || number(data, NFTA_NAT_TYPE) == NFT_NAT_DNAT;
    } else {
      loaded_ = Loaded::kOther;
    }
  }

  [[nodiscard]] std::optional<PlainDnat> result() const {
    if (!translates_ || !has_port_ || !has_protocol_) return std::nullopt;
    return found_;
  }

 private:
  enum class Loaded : std::uint8_t { kOther, kProtocol, kPort, kDestination };

  static std::uint32_t number(std::string_view data, std::uint16_t type) { return find_attribute(data, type).be32(); }

  [[nodiscard]] Loaded payload(std::string_view data) const {
    const std::uint32_t base = number(data, NFTA_PAYLOAD_BASE);
    const std::uint32_t offset = number(data, NFTA_PAYLOAD_OFFSET);
    const std::uint32_t size = number(data, NFTA_PAYLOAD_LEN);
    if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && size == 2) return Loaded::kPort;
    if (base != NFT_PAYLOAD_NETWORK_HEADER) return Loaded::kOther;
    const bool four = family_ == rules::Family::kIpv4;
    if (four && offset == kProtocolOffset && size == 1) return Loaded::kProtocol;
    const bool whole = offset == (four ? 16U : 24U) && size == rules::bits_of(family_) / 8U;
    return whole ? Loaded::kDestination : Loaded::kOther;
  }

  void compare(std::string_view data) {
    const Loaded what = loaded_;
    loaded_ = Loaded::kOther;
    if (number(data, NFTA_CMP_OP) != NFT_CMP_EQ) return;
    const std::string_view value = find_attribute(find_attribute(data, NFTA_CMP_DATA).payload, NFTA_DATA_VALUE).payload;
    if (what == Loaded::kProtocol && value.size() == 1) {
      const auto protocol = static_cast<rules::Protocol>(value[0]);
      has_protocol_ = !rules::name_of(protocol).empty();
      found_.protocol = protocol;
    } else if (what == Loaded::kPort && value.size() == 2) {
      std::uint16_t port = 0;
      std::memcpy(&port, value.data(), sizeof port);
      found_.port = be16toh(port);
      has_port_ = true;
    } else if (what == Loaded::kDestination && value.size() == rules::bits_of(family_) / 8U) {
      rules::Address address;
      address.family = family_;
      std::ranges::copy(value, address.bytes.begin());
      found_.address = address;
    }
  }

  rules::Family family_;
  Loaded loaded_ = Loaded::kOther;
  bool translates_ = false;
  bool has_protocol_ = false;
  bool has_port_ = false;
  PlainDnat found_;
};

}  // namespace

std::optional<PlainDnat> decode_plain_dnat(std::string_view expressions, rules::Family family) {
  Reader rule(family);
  Attribute element;
  for (AttributeReader reader(expressions); reader.next(element);) {
    const Attribute name = find_attribute(element.payload, NFTA_EXPR_NAME);
    rule.expression(name.text(), find_attribute(element.payload, NFTA_EXPR_DATA).payload);
  }
  return rule.result();
}

}  // namespace kubenatd::netlink::iptables
