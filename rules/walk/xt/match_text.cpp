#include <linux/if_packet.h>
#include <linux/netfilter/nf_conntrack_common.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "rules/walk/xt/matches.h"
#include "rules/walk/xt/node_matches.h"
#include "rules/walk/xt/option.h"
#include "rules/walk/xt/time_text.h"
#include "rules/walk/xt/words.h"

/// The matches (-m) of a rule's text.
namespace kubenatd::rules::walk::xt {
namespace {

constexpr std::uint32_t kHighestPort = 65535;

template <class Number>
struct Named {
  std::string_view name;
  Number number;
};

template <class Number, std::size_t kCount>
std::optional<Number> number_of(const Named<Number> (&names)[kCount], std::string_view name) {
  const auto* found = std::ranges::find(names, name, &Named<Number>::name);
  if (found == std::end(names)) return std::nullopt;
  return found->number;
}

/// "NEW,RELATED" as bits.
template <class Number, std::size_t kCount>
std::optional<Number> bits_of(const Named<Number> (&names)[kCount], std::string_view list) {
  Number bits = 0;
  for (const std::string_view part : split(list, ',')) {
    const auto bit = number_of(names, part);
    if (!bit) return std::nullopt;
    bits = static_cast<Number>(bits | *bit);
  }
  return bits;
}

/// "5", "5:9", "5:", ":9".
std::optional<std::pair<std::uint16_t, std::uint16_t>> read_range(std::string_view text) {
  const auto colon = text.find(':');
  const std::string_view low = text.substr(0, colon);
  const std::string_view high = colon == text.npos ? low : text.substr(colon + 1);
  const bool open = colon != text.npos;
  const auto first = open && low.empty() ? 0 : read_number(low, kHighestPort);
  const auto last = open && high.empty() ? kHighestPort : read_number(high, kHighestPort);
  if (!first || !last || text == ":") return std::nullopt;
  return std::pair(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
}

std::optional<PortRanges> read_ranges(std::string_view text) {
  PortRanges ranges;
  for (const std::string_view part : split(text, ',')) {
    const auto range = read_range(part);
    if (!range) return std::nullopt;
    ranges.push_back(*range);
  }
  return ranges;
}

/// The whole of an IPv4 or IPv6 mask.
Address full_mask(Family family) {
  Address mask{.family = family, .bytes = {}};
  std::fill_n(mask.bytes.begin(), bits_of(family) / 8, std::uint8_t{0xff});
  return mask;
}

void add_to_model(Parts& parts, Match match) {
  if (parts.model) parts.model->matches.push_back(std::move(match));
}

// tcp, udp, sctp

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
  constexpr Named<ChunkMatch> kHow[] = {
      {"any", ChunkMatch::kAny}, {"all", ChunkMatch::kAll}, {"only", ChunkMatch::kOnly}};
  constexpr Named<std::uint8_t> kChunks[] = {
      {"DATA", 0},          {"INIT", 1},           {"INIT_ACK", 2},  {"SACK", 3},      {"HEARTBEAT", 4},
      {"ABORT", 6},         {"HEARTBEAT_ACK", 5},  {"SHUTDOWN", 7},  {"ERROR", 9},     {"SHUTDOWN_ACK", 8},
      {"COOKIE_ECHO", 10},  {"COOKIE_ACK", 11},    {"ECN_ECNE", 12}, {"ECN_CWR", 13},  {"SHUTDOWN_COMPLETE", 14},
      {"I_DATA", 64},       {"RE_CONFIG", 130},    {"PAD", 132},     {"ASCONF", 0xc1}, {"ASCONF_ACK", 0x80},
      {"FORWARD_TSN", 192}, {"I_FORWARD_TSN", 194}};
  const auto how = number_of(kHow, option.values[0]);
  if (!how) return false;
  std::array<bool, 256> types{};
  if (option.values[1] == "ALL") {
    types.fill(true);
  } else if (option.values[1] != "NONE") {
    for (const std::string_view part : split(option.values[1], ',')) {
      const auto chunk = number_of(kChunks, part.substr(0, part.find(':')));
      // An INIT has no flags in iptables' list of them.
      if (!chunk || (*chunk == 1 && part != "INIT")) return false;
      types[*chunk] = true;
    }
  }
  if (init_fits(*how, types) == option.negate) {
    std::string text = option.negate ? "! --chunk-types " : "--chunk-types ";
    text.append(option.values[0]).append(" ").append(option.values[1]);
    parts.statements.emplace_back(Never{std::move(text), Part::kOther});
  }
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
    parts.statements.push_back(either_port(std::move(*ranges), option.negate));
  } else {
    parts.statements.push_back(ports(!to, std::move(*ranges), option.negate));
  }
  return true;
}

/// Packets that are asked about are never of ICMP.
bool read_icmp(const Group& group, Parts& parts) {
  parts.model.reset();
  parts.statements.emplace_back(Never{std::string(group.text), Part::kOther});
  return true;
}

// The connection

constexpr Named<std::uint16_t> kStates[] = {
    {"INVALID", kStateInvalid}, {"NEW", kStateNew},   {"RELATED", kStateRelated}, {"ESTABLISHED", kStateEstablished},
    {"SNAT", kStateSnat},       {"DNAT", kStateDnat}, {"UNTRACKED", 0x0100}};  // XT_CONNTRACK_STATE_UNTRACKED
constexpr Named<std::uint16_t> kStatuses[] = {{"NONE", 0},
                                              {"EXPECTED", IPS_EXPECTED},
                                              {"SEEN_REPLY", IPS_SEEN_REPLY},
                                              {"ASSURED", IPS_ASSURED},
                                              {"CONFIRMED", IPS_CONFIRMED}};

std::optional<Statement> connection_part(const Option& option, Family family) {
  const std::string_view name = option.name;
  const std::string_view value = option.value();
  if (name == "--ctstatus") {
    const auto bits = bits_of(kStatuses, value);
    if (bits) return connection_status(*bits, option.negate);
  } else if (name == "--ctproto") {
    const auto number = read_protocol(value);
    if (number) return connection_protocol(*number, option.negate);
  } else if (name == "--ctdir") {
    if ((value == "ORIGINAL" || value == "REPLY") && !option.negate) return connection_direction(value == "ORIGINAL");
  } else if (name == "--ctexpire") {
    return Unjudged{"-m conntrack --ctexpire " + std::string(value), Part::kState};
  } else {
    const bool original = name.starts_with("--ctorig");
    const bool is_source = name.find("src") != name.npos;
    if (name.ends_with("port")) {
      const auto range = read_range(value);
      if (range) return connection_ports(original, is_source, range->first, range->second, option.negate);
    } else if (const auto block = read_masked_address(value, family)) {
      return connection_address(original, is_source, block->address, block->mask, option.negate);
    }
  }
  return std::nullopt;
}

bool read_conntrack(const Group& group, Parts& parts) {
  if (group.options.empty()) return false;
  const bool has_state = group.has("--ctstate");
  for (const Option& option : group.options) {
    if (option.name == "--ctstate" || option.name == "--state") {
      const auto states = bits_of(kStates, option.value());
      if (!states) return false;
      parts.statements.push_back(connection_state(*states, option.negate));
      if (group.options.size() == 1) add_to_model(parts, ConntrackMatch{*states, option.negate});
      continue;
    }
    const auto part = connection_part(option, group.family);
    if (!part) return false;
    parts.statements.push_back(has_state ? or_without_connection(*part) : *part);
  }
  if (group.options.size() != 1 || (!has_state && !group.has("--state"))) parts.model.reset();
  return true;
}

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

// Addresses

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

// Fields of the packet

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

// The rest

bool read_comment(const Group& group, Parts& parts) {
  if (group.options.size() != 1 || group.options[0].negate) return false;
  if (parts.comment.empty()) parts.comment = group.options[0].value();
  add_to_model(parts, CommentMatch{std::string(group.options[0].value())});
  return true;
}

bool read_accounting(const Group& group, Parts& parts) {
  if (group.options.size() != 1) return false;
  add_to_model(parts, NfacctMatch{std::string(group.options[0].value())});
  parts.statements.push_back(accounting(group.options[0].value()));
  return true;
}

bool read_random(const Group& group, Parts& parts) {
  const Option* option = group.find("--probability");
  if (option == nullptr || group.options.size() != 2) return false;
  const std::string text(option->value());
  char* end = nullptr;
  const double odds = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(odds >= 0 && odds <= 1)) return false;
  // In the kernel's unit.
  constexpr double kWhole = 1U << 31U;
  const auto share = static_cast<std::uint32_t>(std::lround(odds * kWhole));
  parts.statements.emplace_back(Chance{option->negate ? 1 - share / kWhole : share / kWhole});
  if (option->negate) {
    parts.model.reset();
  } else {
    add_to_model(parts, StatisticMatch{share});
  }
  return true;
}

bool read_statistic(const Group& group, Parts& parts) {
  const Option* mode = group.find("--mode");
  if (mode == nullptr || mode->negate) return false;
  if (mode->value() == "random") return read_random(group, parts);
  parts.model.reset();
  const Option* every = group.find("--every");
  const Option* packet = group.find("--packet");
  if (mode->value() != "nth" || every == nullptr || group.has("--probability")) return false;
  const auto count = read_number(every->value());
  if (!count || *count == 0) return false;
  const auto which = packet == nullptr ? 0 : read_number(packet->value());
  if (!which || *which >= *count || (packet != nullptr && packet->negate)) return false;
  if (every->negate) {
    parts.statements.emplace_back(Chance{1 - 1.0 / *count});
  } else {
    parts.statements.push_back(nth(*count));
  }
  return true;
}

bool read_recent(const Group& group, Parts& parts) {
  constexpr std::string_view kActions[] = {"--set", "--rcheck", "--update", "--remove"};
  const Option* action = nullptr;
  for (const std::string_view name : kActions) {
    const Option* found = group.find(name);
    if (found != nullptr && action != nullptr) return false;
    if (found != nullptr) action = found;
  }
  if (action == nullptr) return false;
  for (const Option& option : group.options)
    if (option.negate && &option != action) return false;
  const Option* name = group.find("--name");
  const Option* mask = group.find("--mask");
  const Option* seconds = group.find("--seconds");
  const auto span = seconds == nullptr ? 0 : read_number(seconds->value());
  const bool by_source = !group.has("--rdest");
  const bool whole = mask == nullptr || read_address(mask->value(), group.family) == full_mask(group.family);
  const std::string list(name == nullptr ? "DEFAULT" : name->value());
  if (!span) return false;

  const bool sets = action->name == "--set";
  const bool plain = !action->negate && by_source && whole && !group.has("--hitcount") && !group.has("--rttl");
  if (plain && (sets || action->name == "--rcheck")) {
    RecentMatch match{list, sets ? RecentMatch::Action::kSet : RecentMatch::Action::kCheck, *span, group.has("--reap")};
    add_to_model(parts, std::move(match));
  } else {
    parts.model.reset();
  }
  if (sets) {
    if (action->negate) parts.statements.emplace_back(Never{std::string(group.text), Part::kOther});
    return true;
  }
  // Who else is of the same net, or asked for the same destination, nobody knows.
  if (!by_source || !whole) return false;
  parts.statements.emplace_back(Remembered{list, action->negate});
  return true;
}

bool read_set(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* match = group.find("--match-set");
  if (match == nullptr) match = group.find("--set");
  if (match == nullptr) return false;
  InIpset in{std::string(match->values[0]), {}, match->negate, std::string(group.text)};
  for (const std::string_view dimension : split(match->values[1], ',')) {
    if (dimension != "src" && dimension != "dst") return false;
    in.source.push_back(dimension == "src");
  }
  // What updates the set's counters changes no answer; what compares them, or an element's "nomatch", may.
  for (const Option& option : group.options)
    if (&option != match && !option.name.starts_with("--update-")) return false;
  parts.statements.emplace_back(std::move(in));
  return true;
}

bool read_owner(const Group& group, Parts& parts) {
  parts.model.reset();
  for (const Option& option : group.options) {
    if (option.name == "--suppl-groups") continue;
    if (option.name == "--socket-exists") {
      parts.statements.push_back(socket_exists(option.negate));
      continue;
    }
    const bool user = option.name == "--uid-owner";
    if (!user && group.has("--suppl-groups")) return false;
    // A name other than root's has another number on each machine.
    const std::string_view value = option.value() == "root" ? "0" : option.value();
    const auto dash = value.find('-');
    const auto first = read_number(value.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : read_number(value.substr(dash + 1));
    if (!first || !last) return false;
    parts.statements.push_back(user ? owner_user(*first, *last, option.negate)
                                    : owner_group(*first, *last, option.negate));
  }
  return !group.options.empty();
}

bool read_policy(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* direction = group.find("--dir");
  const Option* policy = group.find("--pol");
  if (direction == nullptr || policy == nullptr || direction->negate || policy->negate) return false;
  const bool inbound = direction->value() == "in";
  const bool none = policy->value() == "none";
  if ((!inbound && direction->value() != "out") || (!none && policy->value() != "ipsec")) return false;
  parts.statements.push_back(ipsec_policy(inbound, none));
  if (group.options.size() > 2) parts.statements.emplace_back(Unjudged{std::string(group.text), Part::kOther});
  return true;
}

bool read_reverse_path(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.any_negated()) return false;
  const ReversePath options{.loose = group.has("--loose"),
                            .valid_mark = group.has("--validmark"),
                            .accept_local = group.has("--accept-local"),
                            .invert = group.has("--invert")};
  parts.statements.push_back(reverse_path(options, group.text));
  return true;
}

bool read_time(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto time = time_of(group);
  if (time) parts.statements.emplace_back(*time);
  return time.has_value();
}

/// A match whose options are known, so that nothing behind it is taken for one of them; whether it fits is not.
bool read_unjudged(const Group& /*group*/, Parts& /*parts*/) {
  return false;
}

constexpr OptionForm kPortOptions[] = {{"--sport"}, {"--dport"}, {"--source-port"}, {"--destination-port"}};
constexpr OptionForm kTcp[] = {{"--sport"},        {"--dport"},  {"--source-port"}, {"--destination-port"},
                               {"--tcp-flags", 2}, {"--syn", 0}, {"--tcp-option"}};
constexpr OptionForm kSctp[] = {
    {"--sport"}, {"--dport"}, {"--source-port"}, {"--destination-port"}, {"--chunk-types", 2}};
constexpr OptionForm kDccp[] = {{"--sport"},      {"--dport"},      {"--source-port"}, {"--destination-port"},
                                {"--dccp-types"}, {"--dccp-option"}};
constexpr OptionForm kIcmp[] = {{"--icmp-type"}};
constexpr OptionForm kIcmp6[] = {{"--icmpv6-type"}, {"--icmp6-type"}};
constexpr OptionForm kMultiport[] = {
    {"--sports"}, {"--dports"}, {"--ports"}, {"--source-ports"}, {"--destination-ports"}};
constexpr OptionForm kState[] = {{"--state"}};
constexpr OptionForm kConntrack[] = {{"--ctstate"},      {"--ctstatus"},      {"--ctproto"},       {"--ctdir"},
                                     {"--ctexpire"},     {"--ctorigsrc"},     {"--ctorigdst"},     {"--ctreplsrc"},
                                     {"--ctrepldst"},    {"--ctorigsrcport"}, {"--ctorigdstport"}, {"--ctreplsrcport"},
                                     {"--ctrepldstport"}};
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
constexpr OptionForm kPhysdev[] = {
    {"--physdev-in"}, {"--physdev-out"}, {"--physdev-is-in", 0}, {"--physdev-is-out", 0}, {"--physdev-is-bridged", 0}};
constexpr OptionForm kTime[] = {{"--timestart"}, {"--timestop"},     {"--datestart"},   {"--datestop"},
                                {"--monthdays"}, {"--weekdays"},     {"--kerneltz", 0}, {"--localtz", 0},
                                {"--utc", 0},    {"--contiguous", 0}};
constexpr OptionForm kStatistic[] = {{"--mode"}, {"--probability"}, {"--every"}, {"--packet"}};
constexpr OptionForm kRecent[] = {{"--set", 0},  {"--rcheck", 0}, {"--update", 0},  {"--remove", 0},
                                  {"--seconds"}, {"--hitcount"},  {"--name"},       {"--mask"},
                                  {"--reap", 0}, {"--rttl", 0},   {"--rsource", 0}, {"--rdest", 0}};
constexpr OptionForm kComment[] = {{"--comment"}};
constexpr OptionForm kAccounting[] = {{"--nfacct-name"}};
constexpr OptionForm kSet[] = {{"--match-set", 2},       {"--set", 2},     {"--return-nomatch", 0},
                               {"--update-counters", 0}, {"--packets-eq"}, {"--update-subcounters", 0},
                               {"--packets-lt"},         {"--packets-gt"}, {"--bytes-eq"},
                               {"--bytes-lt"},           {"--bytes-gt"}};
constexpr OptionForm kOwner[] = {{"--uid-owner"}, {"--gid-owner"}, {"--socket-exists", 0}, {"--suppl-groups", 0}};
constexpr OptionForm kPolicy[] = {{"--dir"},   {"--pol"},  {"--strict", 0},  {"--reqid"},      {"--spi"},
                                  {"--proto"}, {"--mode"}, {"--tunnel-src"}, {"--tunnel-dst"}, {"--next", 0}};
constexpr OptionForm kReversePath[] = {{"--loose", 0}, {"--validmark", 0}, {"--accept-local", 0}, {"--invert", 0}};
constexpr OptionForm kString[] = {{"--string"}, {"--hex-string"}, {"--algo"}, {"--from"}, {"--to"}, {"--icase", 0}};
constexpr OptionForm kHelper[] = {{"--helper"}};
constexpr OptionForm kLabel[] = {{"--label"}, {"--set", 0}};
constexpr OptionForm kLimit[] = {{"--limit"}, {"--limit-burst"}};

constexpr Form kForms[] = {{"comment", kComment, read_comment},
                           {"tcp", kTcp, read_transport},
                           {"udp", kPortOptions, read_transport},
                           {"sctp", kSctp, read_transport},
                           {"multiport", kMultiport, read_multiport, Part::kDestinationPort},
                           {"mark", kMark, read_mark, Part::kMark},
                           {"conntrack", kConntrack, read_conntrack, Part::kState},
                           {"state", kState, read_conntrack, Part::kState},
                           {"addrtype", kAddressType, read_address_type},
                           {"statistic", kStatistic, read_statistic},
                           {"set", kSet, read_set, Part::kSet},
                           {"recent", kRecent, read_recent},
                           {"connmark", kMark, read_mark, Part::kMark},
                           {"nfacct", kAccounting, read_accounting},
                           {"icmp", kIcmp, read_icmp},
                           {"icmp6", kIcmp6, read_icmp},
                           {"icmpv6", kIcmp6, read_icmp},
                           {"iprange", kRange, read_address_range},
                           {"length", kLength, read_length},
                           {"ttl", kTtl, read_ttl},
                           {"hl", kHl, read_ttl},
                           {"dscp", kDscp, read_dscp},
                           {"tos", kTos, read_tos},
                           {"mac", kMac, read_mac},
                           {"pkttype", kPacketType, read_packet_type},
                           {"time", kTime, read_time},
                           {"owner", kOwner, read_owner},
                           {"policy", kPolicy, read_policy},
                           {"rpfilter", kReversePath, read_reverse_path},
                           {"physdev", kPhysdev, read_unjudged},
                           {"dccp", kDccp, read_unjudged},
                           {"string", kString, read_unjudged},
                           {"helper", kHelper, read_unjudged},
                           {"connlabel", kLabel, read_unjudged},
                           {"limit", kLimit, read_unjudged}};

}  // namespace

const Form* match_form(std::string_view name) {
  const auto* found = std::ranges::find(kForms, name, &Form::name);
  return found == std::end(kForms) ? nullptr : found;
}

}  // namespace kubenatd::rules::walk::xt
