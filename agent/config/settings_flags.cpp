#include <fmt/format.h>

#include <iterator>
#include <ranges>

#include "agent/base/printable.h"
#include "agent/config/flags.h"
#include "agent/config/go_values.h"

namespace kubenatd::agent::config {
namespace {

constexpr const char* kGroup = "kubenatd's own settings";

std::string help_of(const Setting& setting) {
  const std::string range = setting.range();
  return range.empty() ? std::string(setting.help) : fmt::format("{} ({})", setting.help, range);
}

/// Sets what the flag has been given so far, this text with it.
std::optional<std::string> set(const Setting& setting, const std::string& text, FlagValues& values) {
  std::vector<std::string>& texts = values.given[std::string(setting.flag)];
  if (!setting.is_list()) texts.clear();
  if (setting.takes_comma_list()) {
    auto parts = parse_csv_record(text);
    if (!parts) return parts.error();
    std::ranges::move(*parts, std::back_inserter(texts));
  } else {
    texts.push_back(text);
  }
  if (const auto done = setting.set(values.settings, texts); !done) return done.error().cause;
  values.settings_given.insert(setting.flag);
  return std::nullopt;
}

}  // namespace

void register_settings(FlagSet& flags, Command command, FlagValues& values) {
  static const Settings kDefaults;
  for (const Setting& setting : settings()) {
    const bool is_bool = setting.type.empty();
    flags.add({.name = std::string(setting.flag),
               .type = std::string(setting.type),
               .help = help_of(setting),
               .fallback = setting.text(kDefaults),
               .group = kGroup,
               .is_hidden = !setting.applies_to(command),
               .alone = is_bool ? std::optional<std::string>("true") : std::nullopt,
               .set = [&setting, &values](const std::string& text) -> std::optional<std::string> {
                 const auto truth = parse_go_bool(text);
                 if (!setting.type.empty()) return set(setting, text, values);
                 if (!truth) return "it is not true or false";
                 return set(setting, *truth ? "true" : "false", values);
               }});
  }
}

}  // namespace kubenatd::agent::config
