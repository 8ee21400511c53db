#include "rules/walk/xt/match_forms.h"

/// Matches of the node: sockets, interfaces, routes, IPsec.
namespace kubenatd::rules::walk::xt {
namespace {

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
  parts.statements.push_back(ipsec(inbound, none));
  // Of a packet with IPsec, by which policies.
  if (group.options.size() > 2) parts.statements.emplace_back(Unjudged{std::string(group.text), Part::kOther});
  return true;
}

bool read_reverse_path(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.any_negated()) return false;
  parts.statements.push_back(way_back(group.has("--loose"), group.has("--validmark"), group.has("--accept-local"),
                                      group.has("--invert"), group.family));
  return true;
}

bool read_socket(const Group& group, Parts& parts) {
  parts.model.reset();
  if (group.any_negated()) return false;
  parts.statements.push_back(socket_found(group.has("--nowildcard")));
  if (group.has("--transparent")) parts.statements.push_back(socket_transparent());
  if (group.has("--restore-skmark")) parts.statements.push_back(mark_of_socket());
  return true;
}

bool read_physdev(const Group& group, Parts& parts) {
  parts.model.reset();
  for (const Option& option : group.options) {
    std::string text = "-m physdev " + std::string(option.name);
    if (!option.value().empty()) text.append(" ").append(option.value());
    parts.statements.push_back(bridge_port(std::move(text), option.negate));
  }
  return !group.options.empty();
}

bool read_interface_group(const Group& group, Parts& parts) {
  parts.model.reset();
  for (const Option& option : group.options) {
    const auto number = read_masked_number(option.value());
    if (!number) return false;
    parts.statements.push_back(
        interface_group(option.name == "--src-group", number->value, number->mask, option.negate));
  }
  return !group.options.empty();
}

bool read_realm(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto number = group.options.size() == 1 ? read_masked_number(group.options[0].value()) : std::nullopt;
  if (number) parts.statements.push_back(route_realm(number->value, number->mask, group.options[0].negate));
  return number.has_value();
}

bool read_processor(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto number = group.options.size() == 1 ? read_number(group.options[0].value()) : std::nullopt;
  if (number) parts.statements.push_back(processor(*number, group.options[0].negate));
  return number.has_value();
}

bool read_cgroup(const Group& group, Parts& parts) {
  parts.model.reset();
  for (const Option& option : group.options) {
    if (option.name == "--path") {
      parts.statements.push_back(cgroup_path("-m cgroup --path " + std::string(option.value()), option.negate));
      continue;
    }
    const auto number = read_number(option.value());
    if (!number) return false;
    parts.statements.push_back(cgroup_class(*number, option.negate));
  }
  return !group.options.empty();
}

constexpr OptionForm kOwner[] = {{"--uid-owner"}, {"--gid-owner"}, {"--socket-exists", 0}, {"--suppl-groups", 0}};
constexpr OptionForm kPolicy[] = {{"--dir"},   {"--pol"},  {"--strict", 0},  {"--reqid"},      {"--spi"},
                                  {"--proto"}, {"--mode"}, {"--tunnel-src"}, {"--tunnel-dst"}, {"--next", 0}};
constexpr OptionForm kReversePath[] = {{"--loose", 0}, {"--validmark", 0}, {"--accept-local", 0}, {"--invert", 0}};
constexpr OptionForm kSocket[] = {{"--transparent", 0}, {"--nowildcard", 0}, {"--restore-skmark", 0}};
constexpr OptionForm kPhysdev[] = {
    {"--physdev-in"}, {"--physdev-out"}, {"--physdev-is-in", 0}, {"--physdev-is-out", 0}, {"--physdev-is-bridged", 0}};
constexpr OptionForm kInterfaceGroup[] = {{"--src-group"}, {"--dst-group"}};
constexpr OptionForm kRealm[] = {{"--realm"}};
constexpr OptionForm kProcessor[] = {{"--cpu"}};
constexpr OptionForm kCgroup[] = {{"--cgroup"}, {"--path"}};

}  // namespace

std::span<const Form> node_forms() {
  static constexpr Form kForms[] = {{"owner", kOwner, read_owner},
                                    {"policy", kPolicy, read_policy},
                                    {"rpfilter", kReversePath, read_reverse_path},
                                    {"socket", kSocket, read_socket},
                                    {"physdev", kPhysdev, read_physdev},
                                    {"devgroup", kInterfaceGroup, read_interface_group},
                                    {"realm", kRealm, read_realm},
                                    {"cpu", kProcessor, read_processor},
                                    {"cgroup", kCgroup, read_cgroup}};
  return kForms;
}

}  // namespace kubenatd::rules::walk::xt
