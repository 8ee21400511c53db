#include <linux/if_packet.h>

#include "rules/walk/xt/match_forms.h"
#include "rules/words.h"

/// Matches of addresses, of other fields of the packet, and of marks.
namespace kubenatd::rules::walk::xt {
namespace {

bool read_mark(const Group& group, Parts& parts) {
  if (group.options.size() != 1) return false;
  const bool negate = group.options[0].negate;
  const auto number = read_masked_number(group.options[0].value());
  if (!number) return false;
  if (group.name == "connmark") {
    parts.model.reset();
    parts.statements.push_back(connmark(number->value, number->mask, negate));
  } else {
    add_to_model(parts, MarkMatch{number->value, number->mask, negate});
    parts.statements.push_back(mark(number->value, number->mask, negate));
  }
  return true;
}

bool read_address_type(const Group& group, Parts& parts) {
  // RTN_* of linux/rtnetlink.h, in this order.
  constexpr Named<std::uint16_t> kTypes[] = {
      {"UNSPEC", 1U << 0U},   {"UNICAST", 1U << 1U},   {"LOCAL", 1U << 2U},     {"BROADCAST", 1U << 3U},
      {"ANYCAST", 1U << 4U},  {"MULTICAST", 1U << 5U}, {"BLACKHOLE", 1U << 6U}, {"UNREACHABLE", 1U << 7U},
      {"PROHIBIT", 1U << 8U}, {"THROW", 1U << 9U},     {"NAT", 1U << 10U},      {"XRESOLVE", 1U << 11U}};
  const bool limit_in = group.has("--limit-iface-in");
  const bool limit_out = group.has("--limit-iface-out");
  AddrTypeMatch match;
  bool in_model = !limit_in && !limit_out;
  bool asked = false;
  for (const Option& option : group.options) {
    if (option.name.starts_with("--limit")) {
      if (option.negate) return false;
      continue;
    }
    const auto types = bits_of(kTypes, option.value());
    if (!types) return false;
    const bool is_source = option.name == "--src-type";
    parts.statements.push_back(address_type(is_source, *types, option.negate, limit_in, limit_out, group.family));
    (is_source ? match.source_local : match.destination_local) = true;
    in_model = in_model && option.value() == "LOCAL" && !option.negate;
    asked = true;
  }
  if (in_model) {
    add_to_model(parts, match);
  } else {
    parts.model.reset();
  }
  return asked;
}

bool read_address_range(const Group& group, Parts& parts) {
  parts.model.reset();
  for (const Option& option : group.options) {
    const auto dash = option.value().find('-');
    const auto first = read_address(option.value().substr(0, dash), group.family);
    const auto last =
        dash == std::string_view::npos ? first : read_address(option.value().substr(dash + 1), group.family);
    if (!first || !last) return false;
    parts.statements.push_back(address_range(option.name == "--src-range", *first, *last, option.negate));
  }
  return !group.options.empty();
}

bool read_mac(const Group& group, Parts& parts) {
  parts.model.reset();
  constexpr std::size_t kBytes = 6;
  if (group.options.size() != 1) return false;
  std::string bytes;
  for (const std::string_view part : split(group.options[0].value(), ':')) {
    const auto byte = read_number("0x" + std::string(part), 0xff);
    if (!byte || part.size() > 2) return false;
    bytes.push_back(static_cast<char>(*byte));
  }
  if (bytes.size() != kBytes) return false;
  parts.statements.push_back(source_mac(bytes, group.options[0].negate));
  return true;
}

bool read_length(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  const auto range = read_range(group.options[0].value());
  if (range) parts.statements.push_back(length(range->first, range->second, group.options[0].negate));
  return range.has_value();
}

bool read_ttl(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  const Option& option = group.options[0];
  const auto value = read_number(option.value(), 0xff);
  const bool equal = option.name.ends_with("eq") || !option.name.substr(2).contains('-');
  if (!value || (option.negate && !equal)) return false;
  const Compare compare = equal                         ? (option.negate ? Compare::kNotEqual : Compare::kEqual)
                          : option.name.ends_with("lt") ? Compare::kLess
                                                        : Compare::kGreater;
  parts.statements.push_back(ttl(compare, static_cast<std::uint8_t>(*value), group.family));
  return true;
}

/// RFC 2474, 2597, 3246 and 8622, as libxt_dscp has them.
std::optional<std::uint8_t> read_service_class(std::string_view name) {
  constexpr Named<std::uint8_t> kClasses[] = {{"BE", 0}, {"EF", 0x2e}, {"VA", 0x2c}, {"LE", 0x01}};
  if (const auto known = number_of(kClasses, name)) return known;
  const auto digit = [&](std::size_t at) { return static_cast<std::uint8_t>(name[at] - '0'); };
  if (name.size() == 3 && name.starts_with("CS") && digit(2) < 8) return static_cast<std::uint8_t>(digit(2) * 8);
  if (name.size() == 4 && name.starts_with("AF") && digit(2) >= 1 && digit(2) <= 4 && digit(3) >= 1 && digit(3) <= 3)
    return static_cast<std::uint8_t>(digit(2) * 8 + digit(3) * 2);
  return std::nullopt;
}

bool read_dscp(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  const Option& option = group.options[0];
  std::optional<std::uint8_t> value;
  if (option.name == "--dscp-class") {
    value = read_service_class(option.value());
  } else if (const auto number = read_number(option.value(), 0x3f)) {
    value = static_cast<std::uint8_t>(*number);
  }
  if (value) parts.statements.push_back(dscp(*value, group.family, option.negate));
  return value.has_value();
}

bool read_tos(const Group& group, Parts& parts) {
  parts.model.reset();
  constexpr Named<std::uint8_t> kNames[] = {{"Minimize-Delay", 0x10},
                                            {"Maximize-Throughput", 0x08},
                                            {"Maximize-Reliability", 0x04},
                                            {"Minimize-Cost", 0x02},
                                            {"Normal-Service", 0x00}};
  if (group.options.size() != 1) return false;
  const Option& option = group.options[0];
  const auto named = number_of(kNames, option.value());
  auto number = named ? MaskedNumber{*named, 0x3f} : read_masked_number(option.value());
  if (!named && number && !option.value().contains('/')) number->mask = 0xff;
  if (!number || number->value > 0xff || number->mask > 0xff) return false;
  parts.statements.push_back(tos(static_cast<std::uint8_t>(number->value), static_cast<std::uint8_t>(number->mask),
                                 group.family, option.negate));
  return true;
}

bool read_packet_type(const Group& group, Parts& parts) {
  parts.model.reset();
  constexpr Named<std::uint8_t> kTypes[] = {{"unicast", PACKET_HOST},
                                            {"host", PACKET_HOST},
                                            {"broadcast", PACKET_BROADCAST},
                                            {"multicast", PACKET_MULTICAST}};
  if (group.options.size() != 1) return false;
  const auto type = number_of(kTypes, group.options[0].value());
  if (type) parts.statements.push_back(packet_type(*type, group.options[0].negate));
  return type.has_value();
}

constexpr OptionForm kMark[] = {{"--mark"}};
constexpr OptionForm kAddressType[] = {
    {"--src-type"}, {"--dst-type"}, {"--limit-iface-in", 0}, {"--limit-iface-out", 0}};
constexpr OptionForm kRange[] = {{"--src-range"}, {"--dst-range"}};
constexpr OptionForm kLength[] = {{"--length"}};
constexpr OptionForm kTtl[] = {{"--ttl-eq"}, {"--ttl-lt"}, {"--ttl-gt"}, {"--ttl"}};
constexpr OptionForm kHl[] = {{"--hl-eq"}, {"--hl-lt"}, {"--hl-gt"}, {"--hl"}};
constexpr OptionForm kDscp[] = {{"--dscp"}, {"--dscp-class"}};
constexpr OptionForm kTos[] = {{"--tos"}};
constexpr OptionForm kMac[] = {{"--mac-source"}};
constexpr OptionForm kPacketType[] = {{"--pkt-type"}};
constexpr OptionForm kString[] = {{"--string"}, {"--hex-string"}, {"--algo"}, {"--from"}, {"--to"}, {"--icase", 0}};

}  // namespace

std::span<const Form> packet_forms() {
  static constexpr Form kForms[] = {{"mark", kMark, read_mark, Part::kMark},
                                    {"addrtype", kAddressType, read_address_type},
                                    {"connmark", kMark, read_mark, Part::kMark},
                                    {"iprange", kRange, read_address_range},
                                    {"length", kLength, read_length},
                                    {"ttl", kTtl, read_ttl},
                                    {"hl", kHl, read_ttl},
                                    {"dscp", kDscp, read_dscp},
                                    {"tos", kTos, read_tos},
                                    {"mac", kMac, read_mac},
                                    {"pkttype", kPacketType, read_packet_type},
                                    {"string", kString, read_unjudged}};
  return kForms;
}

}  // namespace kubenatd::rules::walk::xt
