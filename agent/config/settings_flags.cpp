#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/config/flags.h"

namespace kubenatd::agent::config {

namespace {

std::string help_of(const Setting& setting) {
  const std::string range = setting.range();
  return range.empty() ? std::string(setting.help) : fmt::format("{} ({})", setting.help, range);
}

}  // namespace

void register_settings(CLI::App& app, Command command, FlagValues& values) {
  static const Settings kDefaults;
  for (const Setting& setting : settings()) {
    if (!setting.applies_to(command)) continue;
    const auto store = [&values, &setting](CLI::results_t texts) {
      if (setting.type.empty()) std::ranges::replace(texts, "", "true");
      if (const auto set = setting.set(values.settings, texts); !set)
        throw CLI::ValidationError(set.error().object, set.error().cause);
      values.settings_given.insert(setting.flag);
      return true;
    };
    CLI::Option* option = app.add_option(fmt::format("--{}", setting.flag), store, help_of(setting))
                              ->type_name(std::string(setting.type));
    if (setting.type.empty()) {
      option->expected(0)->default_str("");
    } else if (setting.is_list()) {
      option->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    } else {
      option->default_str(setting.text(kDefaults));
    }
  }
}

}  // namespace kubenatd::agent::config
