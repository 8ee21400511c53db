#include <iostream>

#include "agent/cli/options.h"
#include "agent/config/config_json.h"
#include "agent/config/describe.h"
#include "test/fuzz/fuzz.h"

/// A command line, one word a line.
namespace kubenatd::fuzz {

using namespace agent::config;

void check(std::string_view input) {
  // What it prints for people is not looked at.
  std::cout.setstate(std::ios::failbit);
  std::cerr.setstate(std::ios::failbit);
  std::vector<std::string> words{"kubenatd"};
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    words.emplace_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  const auto parsed = agent::cli::parse_command_line(static_cast<int>(pointers.size()), pointers.data());
  if (const int* exit_code = std::get_if<int>(&parsed)) {
    require(*exit_code == agent::cli::kExitOk || *exit_code == agent::cli::kExitUsage, "the exit code is one of two");
    return;
  }
  const auto& options = std::get<agent::cli::Options>(parsed);
  require_lines(options.remarks);
  Config config = default_config();
  const std::string before = to_json(config);
  const auto applied = apply(options.flags, config);
  if (!applied) {
    require_line(applied.error());
    require(to_json(config) == before, "flags that are refused change nothing");
    return;
  }
  require_lines(*applied);
  for (const auto& [name, value] : describe(config)) {
    require_line(name);
    require_line(value);
  }
  // --write-config-to
  const std::string text = to_json(config) + "\n" + settings_document(config);
  const auto again = parse_config(text, "written");
  require(again.has_value(), "the configuration of flags can be read", again ? text : again.error().to_string());
}

}  // namespace kubenatd::fuzz
