#include "rules/walk/xt/match_forms.h"

#include "rules/words.h"

/// Matches of the transport header, and of headers that the packets of a walk do not have.
namespace kubenatd::rules::walk::xt {
namespace {

std::optional<PortRanges> read_ranges(std::string_view text) {
  PortRanges ranges;
  for (const std::string_view part : split(text, ',')) {
    const auto range = read_range(part);
    if (!range) return std::nullopt;
    ranges.push_back(*range);
  }
  return ranges;
}

constexpr Named<std::uint8_t> kTcpFlags[] = {{"FIN", 0x01}, {"SYN", 0x02}, {"RST", 0x04}, {"PSH", 0x08},
                                             {"ACK", 0x10}, {"URG", 0x20}, {"ALL", 0x3f}, {"NONE", 0}};

bool read_tcp_flags(const Option& option, Parts& parts) {
  const auto mask = bits_of(kTcpFlags, option.values[0]);
  const auto set = bits_of(kTcpFlags, option.values[1]);
  if (!mask || !set) return false;
  parts.statements.push_back(tcp_flags(*mask, *set, option.negate));
  return true;
}

/// "any DATA,INIT", "only ALL", "all DATA:Be".
bool read_chunks(const Option& option, Parts& parts) {
  constexpr Named<Chunks> kHow[] = {{"any", Chunks::kAny}, {"all", Chunks::kAll}, {"only", Chunks::kOnly}};
  constexpr Named<std::uint8_t> kChunks[] = {
      {"DATA", 0},          {"INIT", 1},           {"INIT_ACK", 2},  {"SACK", 3},     {"HEARTBEAT", 4},
      {"ABORT", 6},         {"HEARTBEAT_ACK", 5},  {"SHUTDOWN", 7},  {"ERROR", 9},    {"SHUTDOWN_ACK", 8},
      {"COOKIE_ECHO", 10},  {"COOKIE_ACK", 11},    {"ECN_ECNE", 12}, {"ECN_CWR", 13}, {"SHUTDOWN_COMPLETE", 14},
      {"I_DATA", 64},       {"RE_CONFIG", 130},    {"PAD", 132},     {"ASCONF", 193}, {"ASCONF_ACK", 128},
      {"FORWARD_TSN", 192}, {"I_FORWARD_TSN", 194}};
  const auto how = number_of(kHow, option.values[0]);
  if (!how) return false;
  std::vector<std::uint8_t> types;
  if (option.values[1] == "ALL") {
    for (unsigned type = 0; type < 256; ++type) types.push_back(static_cast<std::uint8_t>(type));
  } else if (option.values[1] != "NONE") {
    for (const std::string_view part : split(option.values[1], ',')) {
      const std::string_view name = part.substr(0, part.find(':'));
      const auto number = name.starts_with("0") ? read_number(name, 0xff) : std::nullopt;
      const auto chunk = number ? static_cast<std::uint8_t>(*number) : number_of(kChunks, name);
      // An INIT has no flags in iptables' list of them.
      if (!chunk || (*chunk == 1 && part != name)) return false;
      types.push_back(*chunk);
    }
  }
  parts.statements.push_back(sctp_chunks(*how, types, option.negate));
  return true;
}

bool read_transport_option(const Option& option, Parts& parts) {
  if (option.name == "--tcp-flags") return read_tcp_flags(option, parts);
  if (option.name == "--chunk-types") return read_chunks(option, parts);
  if (option.name == "--syn") {
    parts.statements.push_back(tcp_flags(0x17, 0x02, option.negate));
    return true;
  }
  if (option.name == "--tcp-option") {
    const auto number = read_number(option.value(), 0xff);
    if (number) parts.statements.push_back(tcp_option(static_cast<std::uint8_t>(*number), option.negate));
    return number.has_value();
  }
  const auto range = read_range(option.value());
  if (!range) return false;
  parts.statements.push_back(ports(option.name.starts_with("--s"), {*range}, option.negate));
  return true;
}

bool read_transport(const Group& group, Parts& parts) {
  const auto protocol = read_protocol(group.name);
  if (!protocol) return false;
  for (const Option& option : group.options)
    if (!read_transport_option(option, parts)) return false;
  parts.needs_protocol = *protocol;
  PortMatch match{static_cast<Protocol>(*protocol), std::nullopt};
  if (group.options.size() == 1) {
    const Option& option = group.options.front();
    const bool is_port = option.name == "--dport" || option.name == "--destination-port";
    const auto range = is_port && !option.negate ? read_range(option.value()) : std::nullopt;
    if (range && range->first == range->second) match.destination = range->first;
  }
  const bool in_model = group.options.empty() || match.destination;
  if (in_model) {
    add_to_model(parts, match);
  } else {
    parts.model.reset();
  }
  return true;
}

bool read_multiport(const Group& group, Parts& parts) {
  if (group.options.size() != 1) return false;
  const Option& option = group.options.front();
  auto ranges = read_ranges(option.value());
  if (!ranges) return false;
  const bool to = option.name == "--dports" || option.name == "--destination-ports";
  const bool single = std::ranges::all_of(*ranges, [](const auto& range) { return range.first == range.second; });
  if (to && single && !option.negate) {
    MultiportMatch match;
    for (const auto& range : *ranges) match.destinations.push_back(range.first);
    add_to_model(parts, std::move(match));
  } else {
    parts.model.reset();
  }
  if (option.name == "--ports") {
    parts.statements.push_back(either_port(*ranges, option.negate));
  } else {
    parts.statements.push_back(ports(!to, *ranges, option.negate));
  }
  return true;
}

bool read_segment_size(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto range = group.options.size() == 1 ? read_range(group.options[0].value()) : std::nullopt;
  if (range) parts.statements.push_back(tcp_segment_size(range->first, range->second, group.options[0].negate));
  return range.has_value();
}

constexpr OptionForm kTcp[] = {{"--sport"},        {"--dport"},  {"--source-port"}, {"--destination-port"},
                               {"--tcp-flags", 2}, {"--syn", 0}, {"--tcp-option"}};
constexpr OptionForm kPortOptions[] = {{"--sport"}, {"--dport"}, {"--source-port"}, {"--destination-port"}};
constexpr OptionForm kSctp[] = {
    {"--sport"}, {"--dport"}, {"--source-port"}, {"--destination-port"}, {"--chunk-types", 2}};
constexpr OptionForm kMultiport[] = {
    {"--sports"}, {"--dports"}, {"--ports"}, {"--source-ports"}, {"--destination-ports"}};
constexpr OptionForm kIcmp[] = {{"--icmp-type"}};
constexpr OptionForm kIcmp6[] = {{"--icmpv6-type"}, {"--icmp6-type"}};
constexpr OptionForm kDccp[] = {{"--sport"},      {"--dport"},      {"--source-port"}, {"--destination-port"},
                                {"--dccp-types"}, {"--dccp-option"}};
constexpr OptionForm kEsp[] = {{"--espspi"}};
constexpr OptionForm kAh[] = {{"--ahspi"}, {"--ahlen"}, {"--ahres", 0}};
constexpr OptionForm kRouting[] = {{"--rt-type"},     {"--rt-segsleft"}, {"--rt-len"},
                                   {"--rt-0-res", 0}, {"--rt-0-addrs"},  {"--rt-0-not-strict", 0}};
constexpr OptionForm kFragment[] = {{"--fragid"},       {"--fraglen"},     {"--fragres", 0},
                                    {"--fragfirst", 0}, {"--fragmore", 0}, {"--fraglast", 0}};
constexpr OptionForm kHopByHop[] = {{"--hbh-len"}, {"--hbh-opts"}, {"--hbh-not-strict", 0}};
constexpr OptionForm kDestinationOptions[] = {{"--dst-len"}, {"--dst-opts"}, {"--dst-not-strict", 0}};
constexpr OptionForm kSegmentSize[] = {{"--mss"}};

}  // namespace

std::span<const Form> transport_forms() {
  static constexpr Form kForms[] = {{"tcp", kTcp, read_transport},
                                    {"udp", kPortOptions, read_transport},
                                    {"sctp", kSctp, read_transport},
                                    {"multiport", kMultiport, read_multiport, Part::kDestinationPort},
                                    {"icmp", kIcmp, read_never},
                                    {"icmp6", kIcmp6, read_never},
                                    {"icmpv6", kIcmp6, read_never},
                                    {"dccp", kDccp, read_never},
                                    {"esp", kEsp, read_never},
                                    {"ah", kAh, read_never},
                                    {"rt", kRouting, read_never},
                                    {"frag", kFragment, read_never},
                                    {"hbh", kHopByHop, read_never},
                                    {"dst", kDestinationOptions, read_never},
                                    {"tcpmss", kSegmentSize, read_segment_size}};
  return kForms;
}

}  // namespace kubenatd::rules::walk::xt
