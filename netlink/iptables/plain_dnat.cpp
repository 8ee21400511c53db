#include "netlink/iptables/plain_dnat.h"

#include <endian.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink::iptables {
namespace {

constexpr std::size_t kRegisters = 64;        // bytes
constexpr std::uint32_t kProtocolOffset = 9;  // in the IPv4 header

class Reader {
 public:
  explicit Reader(rules::Family family) : family_(family) {}

  void expression(std::string_view kind, std::string_view data) {
    // Others may write to any register.
    if (kind != "immediate" && kind != "cmp" && kind != "nat" && kind != "counter") known_.fill(false);
    if (kind == "meta") {
      loaded_ = number(data, NFTA_META_KEY) == NFT_META_L4PROTO ? Loaded::kProtocol : Loaded::kOther;
    } else if (kind == "payload") {
      loaded_ = payload(data);
    } else if (kind == "cmp") {
      compare(data);
    } else if (kind == "nat") {
      translate(data);
    } else if (kind == "immediate") {
      load(data);
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

  /// Where a register begins among all of them: four of 16 bytes, which are sixteen of 4 bytes, too.
  static std::size_t place_of(std::uint32_t number) {
    if (number >= NFT_REG_1 && number <= NFT_REG_4) return (number - NFT_REG_1) * std::size_t{16};
    if (number >= NFT_REG32_00 && number <= NFT_REG32_15) return (number - NFT_REG32_00) * std::size_t{4};
    return kRegisters;
  }

  void load(std::string_view data) {
    loaded_ = Loaded::kOther;
    const std::size_t at = place_of(number(data, NFTA_IMMEDIATE_DREG));
    const std::string_view value =
        find_attribute(find_attribute(data, NFTA_IMMEDIATE_DATA).payload, NFTA_DATA_VALUE).payload;
    if (value.size() > kRegisters - std::min(at, kRegisters)) return;
    std::ranges::copy(value, registers_.begin() + static_cast<std::ptrdiff_t>(at));
    std::fill_n(known_.begin() + static_cast<std::ptrdiff_t>(at), value.size(), true);
  }

  /// So many bytes of a register; fewer when they are not known.
  [[nodiscard]] std::string_view loaded(std::uint32_t number, std::size_t size) const {
    const std::size_t at = place_of(number);
    if (size > kRegisters - at) return {};
    const auto begin = known_.begin() + static_cast<std::ptrdiff_t>(at);
    if (!std::all_of(begin, begin + static_cast<std::ptrdiff_t>(size), [](bool is_known) { return is_known; }))
      return {};
    return {registers_.data() + at, size};
  }

  void translate(std::string_view data) {
    if (number(data, NFTA_NAT_TYPE) != NFT_NAT_DNAT) return;
    translates_ = true;
    const std::uint32_t first = number(data, NFTA_NAT_REG_ADDR_MIN);
    const std::uint32_t last = number(data, NFTA_NAT_REG_ADDR_MAX);
    const std::string_view address = loaded(first, rules::bits_of(family_) / 8U);
    const std::uint32_t port_register = number(data, NFTA_NAT_REG_PROTO_MIN);
    const std::uint32_t last_port = number(data, NFTA_NAT_REG_PROTO_MAX);
    const bool is_one = (last == 0 || last == first) && (last_port == 0 || last_port == port_register);
    if (!address.empty() && is_one) {
      found_.target = rules::Address{.family = family_, .bytes = {}};
      std::ranges::copy(address, found_.target->bytes.begin());
    }
    std::uint16_t port = 0;
    const std::string_view text = loaded(port_register, sizeof port);
    if (!text.empty()) std::memcpy(&port, text.data(), sizeof port);
    found_.target_port = be16toh(port);
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
  std::array<char, kRegisters> registers_{};
  std::array<bool, kRegisters> known_{};  ///< bytes that are constants of the rule
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
