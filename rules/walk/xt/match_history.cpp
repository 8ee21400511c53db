#include <cmath>
#include <cstdlib>

#include "rules/walk/xt/match_forms.h"
#include "rules/walk/xt/time_text.h"
#include "rules/words.h"

/// Matches of time, chance, memory and sets; and comments.
namespace kubenatd::rules::walk::xt {
namespace {

/// The whole of an IPv4 or IPv6 mask.
Address full_mask(Family family) {
  Address mask{.family = family, .bytes = {}};
  std::fill_n(mask.bytes.begin(), bits_of(family) / 8, std::uint8_t{0xff});
  return mask;
}

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

bool read_time(const Group& group, Parts& parts) {
  parts.model.reset();
  const auto time = time_of(group);
  if (time) parts.statements.emplace_back(*time);
  return time.has_value();
}

constexpr OptionForm kComment[] = {{"--comment"}};
constexpr OptionForm kStatistic[] = {{"--mode"}, {"--probability"}, {"--every"}, {"--packet"}};
constexpr OptionForm kRecent[] = {{"--set", 0},  {"--rcheck", 0}, {"--update", 0},  {"--remove", 0},
                                  {"--seconds"}, {"--hitcount"},  {"--name"},       {"--mask"},
                                  {"--reap", 0}, {"--rttl", 0},   {"--rsource", 0}, {"--rdest", 0}};
constexpr OptionForm kSet[] = {{"--match-set", 2},       {"--set", 2},     {"--return-nomatch", 0},
                               {"--update-counters", 0}, {"--packets-eq"}, {"--update-subcounters", 0},
                               {"--packets-lt"},         {"--packets-gt"}, {"--bytes-eq"},
                               {"--bytes-lt"},           {"--bytes-gt"}};
constexpr OptionForm kAccounting[] = {{"--nfacct-name"}};
constexpr OptionForm kTime[] = {{"--timestart"}, {"--timestop"},     {"--datestart"},   {"--datestop"},
                                {"--monthdays"}, {"--weekdays"},     {"--kerneltz", 0}, {"--localtz", 0},
                                {"--utc", 0},    {"--contiguous", 0}};
constexpr OptionForm kLimit[] = {{"--limit"}, {"--limit-burst"}};

}  // namespace

std::span<const Form> history_forms() {
  static constexpr Form kForms[] = {{"comment", kComment, read_comment},      {"statistic", kStatistic, read_statistic},
                                    {"recent", kRecent, read_recent},         {"set", kSet, read_set, Part::kSet},
                                    {"nfacct", kAccounting, read_accounting}, {"time", kTime, read_time},
                                    {"limit", kLimit, read_unjudged}};
  return kForms;
}

}  // namespace kubenatd::rules::walk::xt
