#include <algorithm>

#include "rules/walk/xt/matches.h"
#include "rules/walk/xt/option.h"
#include "rules/walk/xt/words.h"

/// The targets (-j) of a rule's text.
namespace kubenatd::rules::walk::xt {
namespace {

constexpr std::uint32_t kHighestPort = 65535;

void add(Parts& parts, Statement statement) {
  parts.statements.push_back(std::move(statement));
}

void set_model(Parts& parts, Target target) {
  if (parts.model) parts.model->target = std::move(target);
}

// nat

struct PortRange {
  std::uint16_t first = 0;
  std::optional<std::uint16_t> last;  ///< none: the same
  bool has_base = false;              ///< then the packet's port is not kept, though it be in the range
};

/// "80", "80-90", "80-90/85": with a base port each port of the range is as possible, which one depends on the
/// packet's.
std::optional<PortRange> read_ports(std::string_view text) {
  const std::string_view range = text.substr(0, text.find('/'));
  const auto dash = range.find('-');
  const auto first = read_number(range.substr(0, dash), kHighestPort);
  const auto last = dash == range.npos ? first : read_number(range.substr(dash + 1), kHighestPort);
  if (!first || !last || *first == 0 || *last < *first) return std::nullopt;
  if (range.size() != text.size() && !read_number(text.substr(range.size() + 1), kHighestPort)) return std::nullopt;
  PortRange ports{static_cast<std::uint16_t>(*first), std::nullopt};
  if (*last != *first) ports.last = static_cast<std::uint16_t>(*last);
  ports.has_base = range.size() != text.size();
  return ports;
}

struct Place {
  std::optional<Address> first, last;
  std::optional<PortRange> ports;
};

std::optional<Place> read_addresses(std::string_view text, Family family) {
  const auto dash = text.find('-');
  Place place;
  place.first = read_address(text.substr(0, dash), family);
  if (!place.first) return std::nullopt;
  if (dash == text.npos) return place;
  place.last = read_address(text.substr(dash + 1), family);
  if (!place.last || *place.last < *place.first) return std::nullopt;
  if (place.last == place.first) place.last.reset();
  return place;
}

/// "10.0.0.1", "10.0.0.1-10.0.0.9:80-90", "[fd00::1-fd00::9]:80", ":80", "fd00::1".
std::optional<Place> read_place(std::string_view text, Family family) {
  std::string_view addresses = text, ports;
  bool has_ports = false;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return std::nullopt;
    addresses = text.substr(1, end - 1);
    ports = text.substr(end + 1);
    has_ports = !ports.empty();
    if (has_ports && ports.front() != ':') return std::nullopt;
  } else if (const auto colon = text.find(':');
             colon != text.npos && (family == Family::kIpv4 || text.find(':', colon + 1) == text.npos)) {
    addresses = text.substr(0, colon);
    ports = text.substr(colon);
    has_ports = true;
  }
  Place place;
  if (!addresses.empty()) {
    const auto read = read_addresses(addresses, family);
    if (!read) return std::nullopt;
    place = *read;
  }
  if (has_ports) {
    place.ports = read_ports(ports.substr(1));
    if (!place.ports) return std::nullopt;
  }
  if (!place.first && !place.ports) return std::nullopt;
  return place;
}

void add_nat(const Group& group, Parts& parts, Nat::Kind kind, const Place& place) {
  const bool random = group.has("--random") || group.has("--random-fully") || (place.ports && place.ports->has_base);
  const auto first_port = place.ports ? std::optional(place.ports->first) : std::nullopt;
  const auto last_port = place.ports ? place.ports->last : std::nullopt;
  add(parts, nat(kind, place.first, place.last, first_port, last_port, random, group.has("--persistent")));
}

bool read_destination_nat(const Group& group, Parts& parts) {
  const Option* to = group.find("--to-destination");
  if (to == nullptr) return false;
  const auto place = read_place(to->value(), group.family);
  if (!place) return false;
  const bool in_model =
      place->first && !place->last && !(place->ports && place->ports->last) && group.options.size() == 1;
  if (in_model) {
    set_model(parts, DnatTarget{*place->first, place->ports ? place->ports->first : std::uint16_t{0}});
  } else {
    parts.model.reset();
  }
  add_nat(group, parts, Nat::Kind::kDestination, *place);
  return true;
}

bool read_source_nat(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* to = group.find("--to-source");
  if (to == nullptr) return false;
  const auto place = read_place(to->value(), group.family);
  if (!place) return false;
  add_nat(group, parts, Nat::Kind::kSource, *place);
  return true;
}

/// MASQUERADE and REDIRECT.
bool read_nat_to_node(const Group& group, Parts& parts) {
  const bool masquerades = group.name == "MASQUERADE";
  Place place;
  if (const Option* to = group.find("--to-ports")) {
    place.ports = read_ports(to->value());
    if (!place.ports) return false;
  }
  const bool fully = group.options.size() == 1 && group.has("--random-fully");
  if (masquerades && (group.options.empty() || fully)) {
    set_model(parts, MasqueradeTarget{fully});
  } else {
    parts.model.reset();
  }
  add_nat(group, parts, masquerades ? Nat::Kind::kMasquerade : Nat::Kind::kRedirect, place);
  return true;
}

bool read_netmap(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* to = group.find("--to");
  const auto block = to == nullptr ? std::nullopt : read_masked_address(to->value(), group.family);
  if (!block) return false;
  // Which of the addresses depends on the hook; who knows the chain turns it round.
  add(parts, netmap(false, block->address, block->mask));
  return true;
}

// Marks

/// --set-xmark and its like, as the kernel keeps them: mark = (mark & ~mask) ^ value.
std::optional<MaskedNumber> read_mark_change(const Option& option) {
  const auto number = read_masked_number(option.value());
  if (!number || option.negate) return std::nullopt;
  if (option.name == "--set-xmark") return number;
  if (option.name == "--set-mark") return MaskedNumber{number->value, number->mask | number->value};
  if (option.value().contains('/')) return std::nullopt;
  if (option.name == "--and-mark") return MaskedNumber{0, ~number->value};
  if (option.name == "--or-mark") return MaskedNumber{number->value, number->value};
  if (option.name == "--xor-mark") return MaskedNumber{number->value, 0};
  return std::nullopt;
}

bool read_mark_target(const Group& group, Parts& parts) {
  if (group.options.size() != 1) return false;
  const auto change = read_mark_change(group.options[0]);
  if (!change) return false;
  set_model(parts, MarkTarget{change->value, change->mask});
  add(parts, set_mark(change->value, change->mask));
  return true;
}

/// How far to the left; none: not understood.
std::optional<int> read_shift(const Group& group) {
  constexpr std::uint32_t kMost = 31;
  const Option* left = group.find("--left-shift-mark");
  const Option* right = group.find("--right-shift-mark");
  if (left == nullptr && right == nullptr) return 0;
  if (left != nullptr && right != nullptr) return std::nullopt;
  const auto by = read_number((left != nullptr ? left : right)->value(), kMost);
  if (!by) return std::nullopt;
  return left != nullptr ? static_cast<int>(*by) : -static_cast<int>(*by);
}

/// The value of one of two options; all bits when neither is there.
std::optional<std::uint32_t> read_mask(const Group& group, std::string_view name) {
  const Option* option = group.find(name);
  if (option == nullptr) option = group.find("--mask");
  return option == nullptr ? 0xffffffff : read_number(option->value());
}

bool read_connmark_target(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto shift = read_shift(group);
  const auto packet = read_mask(group, "--nfmask");
  const auto connection = read_mask(group, "--ctmask");
  if (!shift || !packet || !connection || group.any_negated()) return false;
  const bool saves = group.has("--save-mark");
  const bool restores = group.has("--restore-mark");
  std::size_t changes = (saves ? 1 : 0) + (restores ? 1 : 0);
  std::optional<MaskedNumber> change;
  for (const Option& option : group.options) {
    if (!option.name.ends_with("set-mark") && option.name != "--set-xmark" && option.name != "--and-mark" &&
        option.name != "--or-mark" && option.name != "--xor-mark")
      continue;
    ++changes;
    change = read_mark_change(option);
    if (!change) return false;
  }
  if (changes != 1) return false;
  if (saves) {
    add(parts, *shift == 0 ? save_mark(*connection, *packet) : save_mark(*connection, *packet, *shift));
  } else if (restores) {
    add(parts, *shift == 0 ? restore_mark(*connection, *packet) : restore_mark(*connection, *packet, *shift));
  } else {
    add(parts,
        *shift == 0 ? set_connmark(change->value, change->mask) : set_connmark(change->value, change->mask, *shift));
  }
  return true;
}

// The rest

bool read_reject(const Group& group, Parts& parts) {
  constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"net-unreach", "icmp-net-unreachable"},
                                                                      {"host-unreach", "icmp-host-unreachable"},
                                                                      {"proto-unreach", "icmp-proto-unreachable"},
                                                                      {"net-prohib", "icmp-net-prohibited"},
                                                                      {"host-prohib", "icmp-host-prohibited"},
                                                                      {"admin-prohib", "icmp-admin-prohibited"},
                                                                      {"tcp-rst", "tcp-reset"}};
  constexpr std::pair<std::string_view, std::string_view> kShort6[] = {{"no-route", "icmp6-no-route"},
                                                                       {"adm-prohibited", "icmp6-adm-prohibited"},
                                                                       {"addr-unreach", "icmp6-addr-unreachable"},
                                                                       {"policy-fail", "icmp6-policy-fail"},
                                                                       {"reject-route", "icmp6-reject-route"},
                                                                       {"tcp-rst", "tcp-reset"}};
  const bool ipv4 = group.family == Family::kIpv4;
  const std::string_view usual = ipv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable";
  const Option* option = group.find("--reject-with");
  std::string_view with = option == nullptr || option->value() == "port-unreach" ? usual : option->value();
  const auto names = ipv4 ? std::span<const std::pair<std::string_view, std::string_view>>(kShort) : kShort6;
  bool known = with == usual;
  for (const auto& [brief, full] : names) {
    if (with == brief) with = full;
    known = known || with == full;
  }
  if (!known) return false;
  if (with == usual) {
    set_model(parts, RejectTarget{});
  } else {
    parts.model.reset();
  }
  add(parts, Refuse{std::string(with)});
  return true;
}

bool read_tproxy(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* on_port = group.find("--on-port");
  const Option* on_ip = group.find("--on-ip");
  const Option* on_mark = group.find("--tproxy-mark");
  Tproxy tproxy;
  if (on_port != nullptr) {
    const auto port = read_number(on_port->value(), kHighestPort);
    if (!port) return false;
    if (*port != 0) tproxy.port = make(Constant{Bytes::network(*port, 2)});
  }
  if (on_ip != nullptr) {
    const auto address = read_address(on_ip->value(), group.family);
    if (!address) return false;
    if (!address->is_unspecified()) tproxy.address = make(Constant{Bytes(address->octets())});
  }
  if (on_mark != nullptr) {
    const auto mark = read_masked_number(on_mark->value());
    if (!mark) return false;
    if (mark->value != 0 || mark->mask != 0) {
      tproxy.mark = mark->value;
      tproxy.mark_mask = mark->mask;
    }
  }
  add(parts, std::move(tproxy));
  return true;
}

bool read_notrack(const Group& /*group*/, Parts& parts) {
  parts.model.reset();
  add(parts, NoTrack{});
  return true;
}

bool read_ct(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.has("--notrack")) {
    add(parts, NoTrack{});
  } else {
    add(parts, NoEffect{std::string(group.text)});
  }
  return true;
}

bool read_queue(const Group& group, Parts& parts) {
  parts.model.reset();
  add(parts, ToVerdict{group.has("--queue-bypass") ? Verdict::kQueueBypass : Verdict::kQueue, {}});
  return true;
}

bool read_ttl_target(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  const auto number = read_number(group.options[0].value(), 0xff);
  if (!number) return false;
  const bool sets = group.options[0].name.ends_with("-set");
  add(parts, set_ttl(group.family, sets ? std::optional(static_cast<std::uint8_t>(*number)) : std::nullopt));
  return true;
}

/// What is written in place of the traffic class.
bool read_tos_target(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  const std::string_view name = group.options[0].name;
  auto number = read_masked_number(group.options[0].value());
  if (!number) return false;
  if (!group.options[0].value().contains('/')) number->mask = 0xff;
  if (number->value > 0xff || number->mask > 0xff) return false;
  const auto byte = static_cast<std::uint8_t>(number->value);
  if (name == "--set-tos") {
    add(parts, set_tos(group.family, byte, static_cast<std::uint8_t>(number->mask)));
  } else if (name == "--and-tos") {
    add(parts, set_tos(group.family, 0, static_cast<std::uint8_t>(~byte)));
  } else {
    add(parts, set_tos(group.family, byte, name == "--or-tos" ? byte : std::uint8_t{0}));
  }
  return true;
}

bool read_dscp_target(const Group& group, Parts& parts) {
  parts.model.reset();
  const Option* option = group.find("--set-dscp");
  const auto number = option == nullptr ? std::nullopt : read_number(option->value(), 0x3f);
  if (number) add(parts, set_tos(group.family, static_cast<std::uint8_t>(*number << 2U), 0xfc));
  return number.has_value();
}

/// One whose options are known, so that nothing behind it is taken for one of them.
bool read_by_name(const Group& group, Parts& parts) {
  parts.model.reset();
  add(parts, other_target(group.name, std::string(group.text)));
  return true;
}

constexpr OptionForm kDnat[] = {{"--to-destination"}, {"--random", 0}, {"--persistent", 0}};
constexpr OptionForm kSnat[] = {{"--to-source"}, {"--random", 0}, {"--random-fully", 0}, {"--persistent", 0}};
constexpr OptionForm kToPorts[] = {{"--to-ports"}, {"--random", 0}, {"--random-fully", 0}};
constexpr OptionForm kNetmap[] = {{"--to"}};
constexpr OptionForm kMark[] = {{"--set-xmark"}, {"--set-mark"}, {"--and-mark"}, {"--or-mark"}, {"--xor-mark"}};
constexpr OptionForm kConnmark[] = {{"--set-xmark"}, {"--set-mark"},     {"--and-mark"},        {"--or-mark"},
                                    {"--xor-mark"},  {"--save-mark", 0}, {"--restore-mark", 0}, {"--mask"},
                                    {"--nfmask"},    {"--ctmask"},       {"--left-shift-mark"}, {"--right-shift-mark"}};
constexpr OptionForm kReject[] = {{"--reject-with"}};
constexpr OptionForm kTproxy[] = {{"--on-port"}, {"--on-ip"}, {"--tproxy-mark"}};
constexpr OptionForm kCt[] = {{"--notrack", 0}, {"--zone"},     {"--zone-orig"}, {"--zone-reply"},
                              {"--helper"},     {"--ctevents"}, {"--expevents"}, {"--timeout"}};
constexpr OptionForm kQueue[] = {
    {"--queue-num"}, {"--queue-balance"}, {"--queue-bypass", 0}, {"--queue-cpu-fanout", 0}};
constexpr OptionForm kTtl[] = {{"--ttl-set"}, {"--ttl-inc"}, {"--ttl-dec"}};
constexpr OptionForm kHl[] = {{"--hl-set"}, {"--hl-inc"}, {"--hl-dec"}};
constexpr OptionForm kTos[] = {{"--set-tos"}, {"--and-tos"}, {"--or-tos"}, {"--xor-tos"}};
constexpr OptionForm kDscp[] = {{"--set-dscp"}};
constexpr OptionForm kLog[] = {{"--log-prefix"},         {"--log-level"},         {"--log-tcp-sequence", 0},
                               {"--log-tcp-options", 0}, {"--log-ip-options", 0}, {"--log-uid", 0},
                               {"--log-macdecode", 0}};
constexpr OptionForm kNflog[] = {
    {"--nflog-group"}, {"--nflog-prefix"}, {"--nflog-range"}, {"--nflog-size"}, {"--nflog-threshold"}};

constexpr Form kForms[] = {{"DNAT", kDnat, read_destination_nat},
                           {"SNAT", kSnat, read_source_nat},
                           {"MASQUERADE", kToPorts, read_nat_to_node},
                           {"REDIRECT", kToPorts, read_nat_to_node},
                           {"NETMAP", kNetmap, read_netmap},
                           {"MARK", kMark, read_mark_target},
                           {"CONNMARK", kConnmark, read_connmark_target},
                           {"REJECT", kReject, read_reject},
                           {"TPROXY", kTproxy, read_tproxy},
                           {"NOTRACK", {}, read_notrack},
                           {"CT", kCt, read_ct},
                           {"NFQUEUE", kQueue, read_queue},
                           {"QUEUE", {}, read_queue},
                           {"TTL", kTtl, read_ttl_target},
                           {"HL", kHl, read_ttl_target},
                           {"TOS", kTos, read_tos_target},
                           {"DSCP", kDscp, read_dscp_target},
                           {"LOG", kLog, read_by_name},
                           {"NFLOG", kNflog, read_by_name}};

}  // namespace

const Form* target_form(std::string_view name) {
  const auto* found = std::ranges::find(kForms, name, &Form::name);
  return found == std::end(kForms) ? nullptr : found;
}

}  // namespace kubenatd::rules::walk::xt
