#include "agent/config/settings_file.h"

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "agent/config/duration.h"

namespace kubenatd::agent::config {
namespace {

// One for each type of a member: the field's texts, as Setting::set() takes them. False: there is none of that type.
bool read_texts(FieldReader& reader, std::string_view key, const Setting::Range<std::size_t>& /*member*/,
                std::vector<std::string>& texts) {
  int number = 0;
  if (!reader.read(key, number)) return false;
  texts.push_back(std::to_string(number));
  return true;
}
bool read_texts(FieldReader& reader, std::string_view key, const Setting::Range<Duration>& /*member*/,
                std::vector<std::string>& texts) {
  Duration duration{};
  if (!reader.read(key, duration)) return false;
  texts.push_back(to_text(duration));
  return true;
}
bool read_texts(FieldReader& reader, std::string_view key, bool Settings::* /*member*/,
                std::vector<std::string>& texts) {
  bool value = false;
  if (!reader.read(key, value)) return false;
  texts.emplace_back(value ? "true" : "false");
  return true;
}
/// One of some words.
template <class T>
bool read_texts(FieldReader& reader, std::string_view key, T Settings::* /*member*/, std::vector<std::string>& texts) {
  return reader.read_word(key, texts.emplace_back());
}
template <class T>
bool read_texts(FieldReader& reader, std::string_view key, std::vector<T> Settings::* /*member*/,
                std::vector<std::string>& texts) {
  return reader.read(key, texts);
}

}  // namespace

void read_settings(const nlohmann::json& document, Settings& values, ConfigFindings& findings) {
  FieldReader reader(document, std::string(kSettingsKind), findings);
  reader.skip("apiVersion");
  reader.skip("kind");
  for (const Setting& setting : settings()) {
    if (setting.field.empty()) continue;
    std::vector<std::string> texts;
    if (!std::visit([&](const auto& of) { return read_texts(reader, setting.field, of, texts); }, setting.member))
      continue;
    if (const auto set = setting.set(values, texts); !set)
      findings.mistake(reader.path_of(setting.field), set.error().cause);
  }
  reader.finish();
}

}  // namespace kubenatd::agent::config
