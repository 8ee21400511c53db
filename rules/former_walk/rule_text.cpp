#include "rules/former_walk/rule_text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>

#include "rules/former_walk/words.h"

namespace kubenatd::rules::former_walk {
namespace {

/// An option with its value, and whether "!" stood before it.
struct Option {
  std::string_view name;
  std::string_view value;
  bool negate = false;
  bool has_value = false;
};

constexpr std::uint32_t kHighestPort = 65535;

std::optional<Protocol> protocol_named(std::string_view name) {
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp})
    if (name == name_of(protocol) || name == std::to_string(static_cast<int>(protocol))) return protocol;
  return std::nullopt;
}

std::optional<Prefix> read_prefix(std::string_view text) {
  if (const auto prefix = Prefix::parse(text)) return prefix;
  if (const auto address = Address::parse(text)) return Prefix::host(*address);
  return std::nullopt;
}

/// "80", "1:1024", "80,443,8000:8010".
std::optional<std::vector<std::pair<std::uint16_t, std::uint16_t>>> read_ports(std::string_view text) {
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ranges;
  for (const std::string_view part : split(text, ',')) {
    const auto colon = part.find(':');
    const auto first = read_number(part.substr(0, colon), kHighestPort);
    const auto last = colon == std::string_view::npos ? first : read_number(part.substr(colon + 1), kHighestPort);
    if (!first || !last) return std::nullopt;
    ranges.emplace_back(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
  }
  return ranges;
}

/// VALUE or VALUE/MASK.
std::optional<std::pair<std::uint32_t, std::uint32_t>> read_mark(std::string_view text) {
  const auto slash = text.find('/');
  const auto value = read_number(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? 0xffffffff : read_number(text.substr(slash + 1));
  if (!value || !mask) return std::nullopt;
  return std::pair(*value, *mask);
}

std::optional<std::uint16_t> read_states(std::string_view text) {
  constexpr std::uint16_t kUntracked = 0x0100;  // XT_CONNTRACK_STATE_UNTRACKED
  constexpr std::pair<std::string_view, std::uint16_t> kNames[] = {
      {"INVALID", kStateInvalid}, {"NEW", kStateNew},   {"RELATED", kStateRelated}, {"ESTABLISHED", kStateEstablished},
      {"SNAT", kStateSnat},       {"DNAT", kStateDnat}, {"UNTRACKED", kUntracked}};
  std::uint16_t states = 0;
  for (const std::string_view part : split(text, ',')) {
    const auto* found = std::ranges::find(kNames, part, &std::pair<std::string_view, std::uint16_t>::first);
    if (found == std::end(kNames)) return std::nullopt;
    states |= found->second;
  }
  return states;
}

/// "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT".
std::optional<DnatTarget> read_destination(std::string_view text) {
  DnatTarget target;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    port = text.substr(end + 1);
    text = text.substr(1, end - 1);
    if (!port.empty() && !port.starts_with(':')) return std::nullopt;
    if (!port.empty()) port.remove_prefix(1);
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos && colon == text.rfind(':')) {
    port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  const auto address = Address::parse(text);
  if (!address) return std::nullopt;
  target.address = *address;
  if (port.empty()) return target;
  const auto number = read_number(port, kHighestPort);
  if (!number) return std::nullopt;
  target.port = static_cast<std::uint16_t>(*number);
  return target;
}

/// Reads the words of one rule from left to right.
class Reader {
 public:
  Reader(Family family, const std::function<bool(std::string_view)>& is_chain, WalkRule& rule)
      : family_(family), is_chain_(is_chain), rule_(rule) {}

  void read(std::span<const Word> words) {
    while (!words.empty()) {
      // "!" belongs to the option after it.
      const bool negate = words.front().text == "!" && !words.front().quoted && words.size() > 1;
      const std::span<const Word> whole = words;
      if (negate) words = words.subspan(1);
      const std::string_view name = words.front().text;
      if (name == "-m" || name == "-j" || name == "-g") {
        const std::size_t length = group_length(words);
        group(name, words.first(length));
        words = words.subspan(length);
        continue;
      }
      const std::size_t length = words.size() > 1 ? 2 : 1;
      if (length == 1 || !header(name, words[1].text, negate)) {
        const std::size_t taken = length + (negate ? 1 : 0);
        unknown(whole.first(taken));
      }
      words = words.subspan(length);
    }
  }

 private:
  static bool starts_group(std::string_view word) {
    constexpr std::string_view kStarts[] = {"-m", "-j", "-g", "-s", "-d", "-i", "-o", "-p"};
    return std::ranges::find(kStarts, word) != std::end(kStarts);
  }

  /// The option, its name and all that follows up to the next match, target or header part.
  static std::size_t group_length(std::span<const Word> words) {
    std::size_t at = std::min<std::size_t>(2, words.size());
    for (; at < words.size(); ++at) {
      if (words[at].quoted) continue;
      if (starts_group(words[at].text)) break;
      if (words[at].text == "!" && at + 1 < words.size() && starts_group(words[at + 1].text)) break;
    }
    return at;
  }

  static std::string join(std::span<const Word> words) {
    std::string text;
    for (const Word& word : words) {
      if (!text.empty()) text += ' ';
      text += word.text;
    }
    return text;
  }

  void unknown(std::span<const Word> words) { rule_.unknown.push_back(join(words)); }

  bool header(std::string_view name, std::string_view value, bool negate) {
    Rule& rule = rule_.rule;
    if (name == "-s" || name == "-d") {
      const auto prefix = read_prefix(value);
      if (!prefix || prefix->address.family != family_) return false;
      (name == "-s" ? rule.source : rule.destination) = AddressMatch{*prefix, negate};
      return true;
    }
    if (name == "-i" || name == "-o") {
      const bool prefix = value.ends_with('+');
      if (prefix) value.remove_suffix(1);
      (name == "-i" ? rule.in_interface : rule.out_interface) = InterfaceMatch{std::string(value), prefix, negate};
      return true;
    }
    if (name != "-p" || negate) return false;
    if (value == "all") return true;
    rule.protocol = protocol_named(value);
    if (!rule.protocol) rule_.never = "-p " + std::string(value);
    return true;
  }

  void group(std::string_view kind, std::span<const Word> words) {
    if (words.size() < 2) return unknown(words);
    const std::string_view name = words[1].text;
    const auto options = options_of(words.subspan(2));
    if (kind == "-m") {
      // A group that is understood in part must leave nothing behind.
      const WalkRule before = rule_;
      if (!match(name, options)) {
        rule_ = before;
        unknown(words);
      }
      return;
    }
    if (kind == "-g" || is_chain_(name)) {
      rule_.rule.target = Jump{std::string(name), kind == "-g"};
    } else if (!target(name, options)) {
      rule_.other_target = join(words.subspan(1));
    }
  }

  static std::vector<Option> options_of(std::span<const Word> words) {
    std::vector<Option> options;
    bool negate = false;
    for (const Word& word : words) {
      if (!word.quoted && word.text == "!") {
        negate = true;
        continue;
      }
      const bool is_option = !word.quoted && word.text.starts_with("--");
      if (!is_option && !options.empty() && !options.back().has_value) {
        options.back().value = word.text;
        options.back().has_value = true;
      } else {
        options.push_back({.name = word.text, .value = {}, .negate = negate});
        negate = false;
      }
    }
    return options;
  }

  bool match(std::string_view name, std::span<const Option> options) {
    if (name == "comment") return comment(options);
    if (const auto protocol = protocol_named(name)) return transport(*protocol, options);
    if (name == "mark") return mark(options);
    if (name == "conntrack" || name == "state") return states(options);
    if (name == "addrtype") return address_type(options);
    if (name == "statistic") return statistic(options);
    if (name == "recent") return recent(options);
    if (name == "nfacct") return nfacct(options);
    if (name == "multiport") return multiport(options);
    if (name == "icmp" || name == "icmp6") {
      rule_.never = "-m " + std::string(name);
      return true;
    }
    return false;
  }

  bool comment(std::span<const Option> options) {
    if (options.size() != 1 || options[0].name != "--comment") return false;
    rule_.rule.matches.emplace_back(CommentMatch{std::string(options[0].value)});
    return true;
  }

  bool transport(Protocol protocol, std::span<const Option> options) {
    PortMatch match{protocol, std::nullopt};
    for (const Option& option : options) {
      if (option.name == "--dport" || option.name == "--sport") {
        const auto ranges = read_ports(option.value);
        if (!ranges) return false;
        const bool plain = option.name == "--dport" && !option.negate && ranges->size() == 1 &&
                           ranges->front().first == ranges->front().second;
        if (plain) {
          match.destination = ranges->front().first;
        } else {
          rule_.ports.push_back({.source = option.name == "--sport", .negate = option.negate, .ranges = *ranges});
        }
        continue;
      }
      // Two words follow --tcp-flags; the second one stands for itself in `options`.
      const bool first_packet =
          option.name == "--syn" ||
          (option.name == "--tcp-flags" && option.value == "FIN,SYN,RST,ACK" && options.back().name == "SYN");
      if (first_packet && option.negate) rule_.never = "! --syn";
      if (!first_packet && option.name != "SYN") return false;
    }
    rule_.rule.matches.emplace_back(match);
    return true;
  }

  bool mark(std::span<const Option> options) {
    if (options.size() != 1 || options[0].name != "--mark") return false;
    const auto mark = read_mark(options[0].value);
    if (!mark) return false;
    rule_.rule.matches.emplace_back(MarkMatch{mark->first, mark->second, options[0].negate});
    return true;
  }

  bool states(std::span<const Option> options) {
    if (options.size() != 1 || (options[0].name != "--ctstate" && options[0].name != "--state")) return false;
    const auto states = read_states(options[0].value);
    if (!states) return false;
    rule_.rule.matches.emplace_back(ConntrackMatch{*states, options[0].negate});
    return true;
  }

  bool address_type(std::span<const Option> options) {
    AddrTypeMatch match;
    for (const Option& option : options) {
      if (option.value != "LOCAL" || option.negate) return false;
      if (option.name == "--src-type") {
        match.source_local = true;
      } else if (option.name == "--dst-type") {
        match.destination_local = true;
      } else {
        return false;
      }
    }
    if (options.empty()) return false;
    rule_.rule.matches.emplace_back(match);
    return true;
  }

  bool statistic(std::span<const Option> options) {
    if (options.size() != 2 || options[0].name != "--mode" || options[0].value != "random" ||
        options[1].name != "--probability" || options[1].negate)
      return false;
    const std::string text(options[1].value);
    char* end = nullptr;
    const double odds = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(odds >= 0 && odds <= 1)) return false;
    rule_.rule.matches.emplace_back(StatisticMatch{static_cast<std::uint32_t>(std::lround(odds * (1U << 31)))});
    return true;
  }

  bool recent(std::span<const Option> options) {
    RecentMatch match;
    for (const Option& option : options) {
      if (option.negate) return false;
      if (option.name == "--set") {
        match.action = RecentMatch::Action::kSet;
      } else if (option.name == "--rcheck") {
        match.action = RecentMatch::Action::kCheck;
      } else if (option.name == "--seconds") {
        const auto seconds = read_number(option.value);
        if (!seconds) return false;
        match.seconds = *seconds;
      } else if (option.name == "--reap") {
        match.reap = true;
      } else if (option.name == "--name") {
        match.name = option.value;
      } else if (option.name != "--mask" && option.name != "--rsource") {
        return false;
      }
    }
    rule_.rule.matches.emplace_back(std::move(match));
    return true;
  }

  bool nfacct(std::span<const Option> options) {
    if (options.size() != 1 || options[0].name != "--nfacct-name") return false;
    rule_.rule.matches.emplace_back(NfacctMatch{std::string(options[0].value)});
    return true;
  }

  bool multiport(std::span<const Option> options) {
    if (options.size() != 1 || (options[0].name != "--dports" && options[0].name != "--sports")) return false;
    const auto ranges = read_ports(options[0].value);
    if (!ranges) return false;
    const bool plain = options[0].name == "--dports" && !options[0].negate &&
                       std::ranges::all_of(*ranges, [](const auto& range) { return range.first == range.second; });
    if (!plain) {
      rule_.ports.push_back({.source = options[0].name == "--sports", .negate = options[0].negate, .ranges = *ranges});
      return true;
    }
    MultiportMatch match;
    for (const auto& range : *ranges) match.destinations.push_back(range.first);
    rule_.rule.matches.emplace_back(std::move(match));
    return true;
  }

  bool target(std::string_view name, std::span<const Option> options) {
    Target& target = rule_.rule.target;
    const bool bare = options.empty();
    const std::string_view option = bare ? std::string_view() : options[0].name;
    const std::string_view value = bare ? std::string_view() : options[0].value;
    if (bare && name == "ACCEPT") return target = Verdict::kAccept, true;
    if (bare && name == "DROP") return target = Verdict::kDrop, true;
    if (bare && name == "RETURN") return target = Verdict::kReturn, true;
    if (name == "MASQUERADE" && (bare || (options.size() == 1 && option == "--random-fully")))
      return target = MasqueradeTarget{!bare}, true;
    if (options.size() != 1) return false;
    if (name == "MARK" && option == "--set-xmark") {
      const auto mark = read_mark(value);
      if (mark) target = MarkTarget{mark->first, mark->second};
      return mark.has_value();
    }
    if (name == "DNAT" && option == "--to-destination") {
      const auto destination = read_destination(value);
      if (!destination || destination->address.family != family_) return false;
      target = *destination;
      return true;
    }
    if (name == "REJECT" && option == "--reject-with" &&
        value == (family_ == Family::kIpv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable"))
      return target = RejectTarget{}, true;
    return false;
  }

  Family family_;
  const std::function<bool(std::string_view)>& is_chain_;
  WalkRule& rule_;
};

}  // namespace

WalkRule read_rule(std::string_view text, Family family, const std::function<bool(std::string_view)>& is_chain) {
  WalkRule rule;
  const std::vector<Word> words = split_words(text);
  Reader(family, is_chain, rule).read(words);
  if (!rule.ports.empty() || !rule.never.empty() || !rule.unknown.empty() || !rule.other_target.empty() ||
      to_text(rule.rule, family) != text)
    rule.text = text;
  return rule;
}

}  // namespace kubenatd::rules::former_walk
