#include "agent/config/logging_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/base/printable.h"
#include "agent/config/go_values.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

constexpr const char* kNoEffect = "has no effect here";

bool gate(const std::map<std::string, bool>& gates, const std::string& name, const std::string& stage, bool fallback) {
  for (const std::string& each : {name, stage})
    if (const auto found = gates.find(each); found != gates.end()) return found->second;
  return fallback;
}

void read_stream(FieldReader reader, bool is_alpha, Config::Logging::Stream& stream, ConfigFindings& findings) {
  static constexpr const char* kDisabled = "feature LoggingAlphaOptions is disabled (featureGates)";
  if (reader.read("splitStream", stream.split) && stream.split && !is_alpha)
    findings.mistake(reader.path_of("splitStream"), kDisabled);
  if (std::string size; reader.read_quantity("infoBufferSize", size)) {
    const auto is_zero = is_zero_quantity(base::trimmed(size));
    if (!is_zero) {
      findings.mistake(reader.path_of("infoBufferSize"), base::in_quotes(size) + " is not a quantity such as 64Ki");
    } else if (!*is_zero && !is_alpha) {
      findings.mistake(reader.path_of("infoBufferSize"), kDisabled);
    } else if (!*is_zero) {
      findings.remark(reader.path_of("infoBufferSize"), kNoEffect);
      stream.info_buffer_size = std::move(size);
    }
  }
  reader.finish();
}

/// "PATTERN=N,PATTERN=N", the form of the flag; none when it is something else.
std::optional<std::vector<Config::Logging::Module>> parse_vmodule(std::string_view text) {
  std::vector<Config::Logging::Module> modules;
  for (const std::string_view item : rules::split(text, ',')) {
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    if (equals == 0 || equals == std::string_view::npos) return std::nullopt;
    Config::Logging::Module module{.file_pattern = std::string(item.substr(0, equals))};
    const std::string_view level = item.substr(equals + 1);
    const auto [end, error] = std::from_chars(level.data(), level.data() + level.size(), module.verbosity);
    if (error != std::errc{} || end != level.data() + level.size()) return std::nullopt;
    modules.push_back(std::move(module));
  }
  return modules;
}

void read_vmodule(FieldReader& reader, Config::Logging& logging, ConfigFindings& findings) {
  const std::string path = reader.path_of("vmodule");
  if (reader.has_text("vmodule")) {
    std::string text;
    reader.read("vmodule", text);
    auto modules = parse_vmodule(text);
    if (!modules)
      return findings.mistake(path,
                              base::in_quotes(text) + " is not a list such as [{filePattern: proxier, verbosity: 4}]");
    logging.vmodule = std::move(*modules);
  } else {
    for (FieldReader& item : reader.list("vmodule")) {
      Config::Logging::Module& module = logging.vmodule.emplace_back();
      item.read("filePattern", module.file_pattern);
      item.read("verbosity", module.verbosity);
      item.finish();
    }
  }
  if (logging.vmodule.empty()) return;
  findings.remark(path, kNoEffect);
  if (logging.format != "text") findings.mistake(path, "is only supported for the format text");
  for (std::size_t i = 0; i < logging.vmodule.size(); ++i) {
    const std::string name = fmt::format("{}[{}].", path, i);
    const Config::Logging::Module& module = logging.vmodule[i];
    if (module.file_pattern.empty()) {
      findings.mistake(name + "filePattern", "must not be empty");
    } else if (module.file_pattern.find_first_of("=,") != std::string::npos) {
      findings.mistake(name + "filePattern", "must not contain equal sign or comma");
    }
    if (module.verbosity > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max()))
      findings.mistake(name + "verbosity", "is out of range");
  }
}

}  // namespace

Config::Logging read_logging(FieldReader reader, const std::map<std::string, bool>& gates, ConfigFindings& findings) {
  Config::Logging logging;
  if (std::string format; reader.read("format", format) && !format.empty()) logging.format = std::move(format);
  if (logging.format != "text" && logging.format != "json") {
    findings.mistake(reader.path_of("format"), base::in_quotes(logging.format) + R"( is not "text" or "json")");
  } else if (logging.is_json() && !gate(gates, "LoggingBetaOptions", "AllBeta", true)) {
    findings.mistake(reader.path_of("format"), "json needs the feature LoggingBetaOptions, which is disabled");
  }
  Duration flush{};
  if (reader.read_duration_or_number("flushFrequency", flush, logging.flush_frequency_is_number) &&
      flush != Duration::zero()) {
    logging.flush_frequency = flush;
  } else {
    logging.flush_frequency_is_number = false;
  }
  if (logging.flush_frequency <= Duration::zero())
    findings.mistake(reader.path_of("flushFrequency"), "must be greater than zero");
  reader.read("verbosity", logging.verbosity);
  if (logging.verbosity < 0) findings.mistake(reader.path_of("verbosity"), "must not be negative");
  read_vmodule(reader, logging, findings);
  FieldReader options = reader.group("options");
  const bool is_alpha = gate(gates, "LoggingAlphaOptions", "AllAlpha", false);
  read_stream(options.group("text"), is_alpha, logging.text, findings);
  read_stream(options.group("json"), is_alpha, logging.json, findings);
  options.finish();
  reader.finish();
  return logging;
}

}  // namespace kubenatd::agent::config
