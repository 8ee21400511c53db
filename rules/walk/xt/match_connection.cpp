#include <linux/netfilter/nf_conntrack_common.h>

#include "rules/walk/xt/match_forms.h"

/// Matches of the connection.
namespace kubenatd::rules::walk::xt {
namespace {

constexpr Named<std::uint16_t> kStates[] = {
    {"INVALID", kStateInvalid}, {"NEW", kStateNew},   {"RELATED", kStateRelated},    {"ESTABLISHED", kStateEstablished},
    {"SNAT", kStateSnat},       {"DNAT", kStateDnat}, {"UNTRACKED", kStateUntracked}};
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

bool read_helper(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.options.size() != 1) return false;
  parts.statements.push_back(expected_connection(group.options[0].negate));
  return true;
}

constexpr OptionForm kConntrack[] = {{"--ctstate"},      {"--ctstatus"},      {"--ctproto"},       {"--ctdir"},
                                     {"--ctexpire"},     {"--ctorigsrc"},     {"--ctorigdst"},     {"--ctreplsrc"},
                                     {"--ctrepldst"},    {"--ctorigsrcport"}, {"--ctorigdstport"}, {"--ctreplsrcport"},
                                     {"--ctrepldstport"}};
constexpr OptionForm kState[] = {{"--state"}};
constexpr OptionForm kHelper[] = {{"--helper"}};
constexpr OptionForm kLabel[] = {{"--label"}, {"--set", 0}};

}  // namespace

std::span<const Form> connection_forms() {
  static constexpr Form kForms[] = {{"conntrack", kConntrack, read_conntrack, Part::kState},
                                    {"state", kState, read_conntrack, Part::kState},
                                    {"helper", kHelper, read_helper},
                                    {"connlabel", kLabel, read_unjudged}};
  return kForms;
}

}  // namespace kubenatd::rules::walk::xt
