#include "rules/walk/xt/option.h"

#include <arpa/inet.h>

#include <algorithm>

#include "rules/walk/xt/words.h"

namespace kubenatd::rules::walk::xt {
namespace {

/// Names of /etc/protocols that iptables prints in place of numbers, and those that it knows itself (xtables.c, 1.8.9).
constexpr std::pair<std::string_view, std::uint8_t> kProtocols[] = {
    {"all", 0},        {"any", 0},         {"ip", 0},
    {"icmp", 1},       {"igmp", 2},        {"ggp", 3},
    {"ipencap", 4},    {"st", 5},          {"tcp", 6},
    {"egp", 8},        {"igp", 9},         {"pup", 12},
    {"udp", 17},       {"hmp", 20},        {"xns-idp", 22},
    {"rdp", 27},       {"iso-tp4", 29},    {"dccp", 33},
    {"xtp", 36},       {"ddp", 37},        {"idpr-cmtp", 38},
    {"ipv6", 41},      {"ipv6-route", 43}, {"ipv6-frag", 44},
    {"idrp", 45},      {"rsvp", 46},       {"gre", 47},
    {"esp", 50},       {"ah", 51},         {"skip", 57},
    {"ipv6-icmp", 58}, {"icmpv6", 58},     {"ipv6-nonxt", 59},
    {"ipv6-opts", 60}, {"rspf", 73},       {"vmtp", 81},
    {"eigrp", 88},     {"ospf", 89},       {"ax.25", 93},
    {"ipip", 94},      {"etherip", 97},    {"encap", 98},
    {"pim", 103},      {"ipcomp", 108},    {"vrrp", 112},
    {"l2tp", 115},     {"isis", 124},      {"sctp", 132},
    {"fc", 133},       {"ipv6-mh", 135},   {"mobility-header", 135},
    {"mh", 135},       {"udplite", 136},   {"mpls-in-ip", 137},
    {"manet", 138},    {"hip", 139},       {"shim6", 140},
    {"wesp", 141},     {"rohc", 142},      {"ethernet", 143}};

/// The length of a mask without holes.
std::optional<std::uint8_t> length_of(const Address& mask) {
  unsigned length = 0;
  bool ended = false;
  for (const std::uint8_t byte : mask.octets()) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool set = (byte >> bit & 1) != 0;
      if (set && ended) return std::nullopt;
      ended = ended || !set;
      length += set ? 1 : 0;
    }
  }
  return static_cast<std::uint8_t>(length);
}

Address mask_of(Family family, unsigned length) {
  Address mask{.family = family, .bytes = {}};
  for (unsigned bit = 0; bit < length; ++bit) mask.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
  return mask;
}

}  // namespace

const Option* Group::find(std::string_view option) const {
  const auto found = std::ranges::find(options, option, &Option::name);
  return found == options.end() ? nullptr : &*found;
}

bool Group::any_negated() const {
  return std::ranges::any_of(options, &Option::negate);
}

const OptionForm* Form::option(std::string_view option_name) const {
  const auto found = std::ranges::find(options, option_name, &OptionForm::name);
  return found == options.end() ? nullptr : &*found;
}

std::optional<Address> read_address(std::string_view text, Family family) {
  if (family == Family::kIpv4) {
    const auto address = text.find(':') == text.npos ? Address::parse(text) : std::nullopt;
    return address;
  }
  // Not Address::parse: to ip6tables, ::ffff:10.0.0.1 is an IPv6 address.
  Address address{.family = Family::kIpv6, .bytes = {}};
  const std::string copy(text.substr(0, INET6_ADDRSTRLEN));
  if (text.size() >= INET6_ADDRSTRLEN || inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) != 1)
    return std::nullopt;
  return address;
}

std::optional<MaskedAddress> read_masked_address(std::string_view text, Family family) {
  const auto slash = text.find('/');
  const auto address = read_address(text.substr(0, slash), family);
  if (!address) return std::nullopt;
  std::optional<std::uint8_t> length = bits_of(family);
  Address mask;
  if (slash != text.npos) {
    const std::string_view behind = text.substr(slash + 1);
    if (const auto number = read_number(behind, bits_of(family)); number && !behind.starts_with("0x")) {
      length = static_cast<std::uint8_t>(*number);
    } else if (const auto written = read_address(behind, family)) {
      mask = *written;
      length = length_of(mask);
    } else {
      return std::nullopt;
    }
  }
  if (length) return MaskedAddress{*address, mask_of(family, *length), Prefix::of(*address, *length)};
  return MaskedAddress{*address, mask, std::nullopt};
}

std::optional<std::uint8_t> read_protocol(std::string_view text) {
  if (const auto number = read_number(text, 0xff)) return static_cast<std::uint8_t>(*number);
  const auto* found = std::ranges::find_if(kProtocols, [&](const auto& known) {
    return std::ranges::equal(known.first, text, [](char one, char other) {
      return one == (other >= 'A' && other <= 'Z' ? other + 32 : other);
    });
  });
  if (found == std::end(kProtocols)) return std::nullopt;
  return found->second;
}

std::optional<MaskedNumber> read_masked_number(std::string_view text) {
  const auto slash = text.find('/');
  const auto value = read_number(text.substr(0, slash));
  const auto mask = slash == text.npos ? 0xffffffff : read_number(text.substr(slash + 1));
  if (!value || !mask) return std::nullopt;
  return MaskedNumber{*value, *mask};
}

std::string_view unreadable_remark(std::string_view text) {
  // 1.8.5 and later print "[unsupported revision]"; what is in "[...]" or says "unknown" was never an option.
  const bool marked = text.find("unsupported revision") != text.npos || text.find("unknown match") != text.npos ||
                      text.find("unknown target") != text.npos || text.find("unknown data") != text.npos ||
                      text.find("# unknown") != text.npos;
  return marked ? "iptables-save itself could not read it; in the kernel it may be good" : std::string_view();
}

}  // namespace kubenatd::rules::walk::xt
