#include "agent/config/config.h"

#include "agent/config/config_json.h"
#include "agent/config/describe.h"
#include "test/fuzz/fuzz.h"

/// The file of --config.
namespace kubenatd::fuzz {

using namespace agent::config;

void check(std::string_view input) {
  const auto loaded = parse_config(input, "file");
  if (!loaded) {
    require_line(loaded.error());
    return;
  }
  require_lines(loaded->remarks);
  for (const auto& [name, value] : describe(loaded->config)) {
    require_line(name);
    require_line(value);
  }
  const std::string text = to_json(loaded->config), settings = settings_document(loaded->config);
  const auto again = parse_config(text + "\n" + settings, "written");
  require(again.has_value(), "a configuration that was written can be read",
          again ? text : again.error().to_string() + "\n" + text + "\n" + settings);
  require(to_json(again->config) == text, "a configuration that was written is read as it was", text);
  require(settings_document(again->config) == settings, "settings that were written are read as they were", settings);
}

}  // namespace kubenatd::fuzz
