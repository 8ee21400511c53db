#include "agent/api/kubeconfig_schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>

#include "agent/base/base64.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;

enum class Type : std::uint8_t {
  kText,
  kFlag,
  kBytes,     ///< base64
  kTexts,     ///< list of text
  kTextMap,   ///< text by name
  kTextsMap,  ///< lists of text by name
  kMap,       ///< `fields`
  kNamed,     ///< list of maps `fields`, whose `name` may not stand twice
  kList,      ///< list of maps `fields`
};

struct Field {
  std::string_view name;
  Type type = Type::kText;
  std::span<const Field> fields = {};
};

constexpr Field kExtensionFields[] = {{"name"}};
constexpr Field kPreferences[] = {{"colors", Type::kFlag}, {"extensions", Type::kNamed, kExtensionFields}};
constexpr Field kClusterFields[] = {{"server"},
                                    {"tls-server-name"},
                                    {"insecure-skip-tls-verify", Type::kFlag},
                                    {"certificate-authority"},
                                    {"certificate-authority-data", Type::kBytes},
                                    {"proxy-url"},
                                    {"disable-compression", Type::kFlag},
                                    {"extensions", Type::kNamed, kExtensionFields}};
constexpr Field kVariable[] = {{"name"}, {"value"}};
constexpr Field kExec[] = {{"command"},        {"args", Type::kTexts}, {"env", Type::kList, kVariable},
                           {"apiVersion"},     {"installHint"},        {"provideClusterInfo", Type::kFlag},
                           {"interactiveMode"}};
constexpr Field kAuthProvider[] = {{"name"}, {"config", Type::kTextMap}};
constexpr Field kUserFields[] = {{"client-certificate"},
                                 {"client-certificate-data", Type::kBytes},
                                 {"client-key"},
                                 {"client-key-data", Type::kBytes},
                                 {"token"},
                                 {"tokenFile"},
                                 {"as"},
                                 {"as-uid"},
                                 {"as-groups", Type::kTexts},
                                 {"as-user-extra", Type::kTextsMap},
                                 {"username"},
                                 {"password"},
                                 {"auth-provider", Type::kMap, kAuthProvider},
                                 {"exec", Type::kMap, kExec},
                                 {"extensions", Type::kNamed, kExtensionFields}};
constexpr Field kContextFields[] = {
    {"cluster"}, {"user"}, {"namespace"}, {"extensions", Type::kNamed, kExtensionFields}};
constexpr Field kClusters[] = {{"name"}, {"cluster", Type::kMap, kClusterFields}};
constexpr Field kUsers[] = {{"name"}, {"user", Type::kMap, kUserFields}};
constexpr Field kContexts[] = {{"name"}, {"context", Type::kMap, kContextFields}};
constexpr Field kRoot[] = {{"kind"},
                           {"apiVersion"},
                           {"current-context"},
                           {"preferences", Type::kMap, kPreferences},
                           {"clusters", Type::kNamed, kClusters},
                           {"users", Type::kNamed, kUsers},
                           {"contexts", Type::kNamed, kContexts},
                           {"extensions", Type::kNamed, kExtensionFields}};

/// Finds the first thing wrong.
class Checker {
 public:
  explicit Checker(const std::string& file) : file_(file) {}

  [[nodiscard]] rules::Status map(const json& value, const std::string& path, std::span<const Field> fields) const {
    if (!value.is_object()) return wrong(path, "is not a map");
    for (const Field& field : fields) {
      const auto found = value.find(field.name);
      if (found == value.end() || found->is_null()) continue;
      const std::string at = path.empty() ? std::string(field.name) : fmt::format("{}.{}", path, field.name);
      if (auto status = check(*found, at, field); !status) return status;
    }
    return {};
  }

 private:
  [[nodiscard]] rules::Status check(const json& value, const std::string& path, const Field& field) const {
    switch (field.type) {
      case Type::kText: return value.is_string() ? rules::Status() : wrong(path, "is not text");
      case Type::kFlag: return value.is_boolean() ? rules::Status() : wrong(path, "is not true or false");
      case Type::kBytes:
        if (value.is_array() && value.empty()) return {};  // to Go a list of bytes
        if (!value.is_string()) return wrong(path, "is not text");
        return base::decode_base64_as_go(value.get_ref<const std::string&>()) ? rules::Status()
                                                                              : wrong(path, "is not base64");
      case Type::kTexts: return texts(value, path);
      case Type::kTextMap:
      case Type::kTextsMap:
        if (!value.is_object()) return wrong(path, "is not a map");
        for (const auto& [name, one] : value.items()) {
          const std::string at = fmt::format("{}.{}", path, name);
          if (auto status = field.type == Type::kTextMap ? text(one, at) : texts(one, at); !status) return status;
        }
        return {};
      case Type::kMap: return map(value, path, field.fields);
      case Type::kNamed:
      case Type::kList: return list(value, path, field);
    }
    return {};
  }

  [[nodiscard]] rules::Status text(const json& value, const std::string& path) const {
    return value.is_null() || value.is_string() ? rules::Status() : wrong(path, "is not text");
  }

  [[nodiscard]] rules::Status texts(const json& value, const std::string& path) const {
    if (value.is_null()) return {};
    if (!value.is_array()) return wrong(path, "is not a list");
    for (std::size_t i = 0; i < value.size(); ++i)
      if (auto status = text(value[i], fmt::format("{}[{}]", path, i)); !status) return status;
    return {};
  }

  [[nodiscard]] rules::Status list(const json& value, const std::string& path, const Field& field) const {
    if (!value.is_array()) return wrong(path, "is not a list");
    std::set<std::string> names;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      if (!value[i].is_null())
        if (auto status = map(value[i], at, field.fields); !status) return status;
      if (field.type != Type::kNamed) continue;
      std::string name;
      if (value[i].is_object())
        if (const auto found = value[i].find("name"); found != value[i].end() && found->is_string())
          name = found->get<std::string>();
      if (!names.insert(name).second)
        return wrong(at, fmt::format("has the name {} again", base::in_quotes(name, 200)));
    }
    return {};
  }

  [[nodiscard]] rules::Status wrong(const std::string& path, std::string cause) const {
    return rules::fail(file_, path.empty() ? "read kubeconfig" : base::one_line(path, 200), std::move(cause));
  }

  const std::string& file_;
};

}  // namespace

rules::Status check_kubeconfig(const json& document, const std::string& file) {
  return Checker(file).map(document, "", kRoot);
}

}  // namespace kubenatd::agent::api
