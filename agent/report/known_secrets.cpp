#include "agent/report/known_secrets.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "agent/base/base64.h"
#include "agent/base/file.h"
#include "agent/base/json_members.h"
#include "agent/config/config.h"
#include "agent/documents/read.h"

namespace kubenatd::agent::report {
namespace {

using base::member;
using nlohmann::json;

constexpr std::size_t kLargestFile = 4U << 20;
constexpr std::string_view kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A text that is a secret, and what it is in base64 of.
void add_secret(const std::string& text, base::Secrets& secrets) {
  secrets.add(text);
  if (const auto decoded = base::decode_base64(text)) secrets.add(*decoded);
  // --token=...
  if (const std::size_t equals = text.find('='); equals != std::string::npos)
    secrets.add(std::string_view(text).substr(equals + 1));
}

/// Every value, at any depth.
void add_values(const json& value, base::Secrets& secrets) {
  if (const auto* text = value.get_ptr<const std::string*>())
    add_secret(*text, secrets);
  else if (value.is_number())
    secrets.add(value.dump());
  if (!value.is_structured()) return;
  for (const json& one : value) add_values(one, secrets);
}

void add_file(const json& value, std::vector<std::string>& files) {
  if (const auto* text = value.get_ptr<const std::string*>(); text != nullptr && !text->empty()) files.push_back(*text);
}

/// Whatever stands there counts, also where it has no meaning, but for what says who and where.
void add_user(const json& user, KubeconfigSecrets& found) {
  constexpr std::array<std::string_view, 3> kFiles{"client-key", "client-certificate", "tokenFile"};
  constexpr std::array<std::string_view, 6> kOpen{"username",      "as",        "as-uid", "as-groups",
                                                  "as-user-extra", "extensions"};
  if (!user.is_object()) return;
  for (const auto& [name, value] : user.items()) {
    if (std::ranges::find(kFiles, name) != kFiles.end()) {
      add_file(value, found.files);
    } else if (name == "exec") {
      add_values(member(value, "args"), found.secrets);
      const json& variables = member(value, "env");
      if (variables.is_array())
        for (const json& variable : variables) add_values(member(variable, "value"), found.secrets);
    } else if (name == "auth-provider") {
      add_values(member(value, "config"), found.secrets);
    } else if (std::ranges::find(kOpen, name) == kOpen.end()) {
      add_values(value, found.secrets);
    }
  }
  const auto* name = member(user, "username").get_ptr<const std::string*>();
  const auto* password = member(user, "password").get_ptr<const std::string*>();
  if (name != nullptr && password != nullptr) found.secrets.add(base::encode_base64(*name + ":" + *password));
}

void add_cluster(const json& cluster, KubeconfigSecrets& found) {
  for (const std::string_view name : {"server", "proxy-url"}) found.secrets.add_user_of(base::text_of(cluster, name));
  add_values(member(cluster, "certificate-authority-data"), found.secrets);
  add_file(member(cluster, "certificate-authority"), found.files);
}

void add_document(const json& document, KubeconfigSecrets& found) {
  const json& users = member(document, "users");
  if (users.is_array())
    for (const json& one : users) add_user(member(one, "user"), found);
  const json& clusters = member(document, "clusters");
  if (clusters.is_array())
    for (const json& one : clusters) add_cluster(member(one, "cluster"), found);
}

void add_file_of_secrets(const std::filesystem::path& file, base::Secrets& secrets) {
  if (const auto text = base::read_file(file, kLargestFile, "look for secrets")) secrets.add(*text);
}

/// A file that is, or is taken for, a kubeconfig.
void add_kubeconfig(const std::filesystem::path& file, base::Secrets& secrets) {
  const auto text = base::read_file(file, kLargestFile, "look for secrets");
  if (!text) return;
  KubeconfigSecrets found{.secrets = std::move(secrets), .files = {}};
  add_kubeconfig_secrets(*text, found);
  secrets = std::move(found.secrets);
  for (const std::string& named : found.files) add_file_of_secrets(file.parent_path() / named, secrets);
}

bool ends_like_secret(std::string_view name) {
  constexpr std::array<std::string_view, 6> kEnds{"TOKEN", "PASSWORD", "PASSWD", "SECRET", "KEY", "CREDENTIALS"};
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return std::ranges::any_of(kEnds, [&](std::string_view end) { return upper.ends_with(end); });
}

void add_environment(base::Secrets& secrets) {
  if (::environ == nullptr) return;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string_view name = variable.substr(0, equals);
    const std::string_view value = variable.substr(std::min(equals + 1, variable.size()));
    if (ends_like_secret(name))
      secrets.add(value);
    else
      secrets.add_user_of(value);
  }
}

}  // namespace

void add_kubeconfig_secrets(const std::string& text, KubeconfigSecrets& found) {
  bool is_understood = true;
  documents::read_documents(text, {.document = [&](json&& document) { add_document(document, found); },
                                   .bad = [&](documents::BadDocument&&) { is_understood = false; },
                                   .remark = {}});
  // A configuration that was given in its place, and cannot be understood either, has no secrets.
  if (!is_understood && text.find("users") != std::string::npos) found.secrets.add_words(text);
}

base::Secrets known_secrets(const config::FlagValues& flags) {
  base::Secrets secrets;
  add_environment(secrets);
  for (const std::string_view name : {"token", "ca.crt"})
    add_file_of_secrets(std::filesystem::path(kServiceAccount) / name, secrets);
  // The configuration may be refused, so what was said is looked at besides what was understood.
  for (const auto& [name, values] : flags.given) {
    for (const std::string& value : values) {
      secrets.add_user_of(value);
      if (name == "kubeconfig") add_kubeconfig(value, secrets);
    }
  }
  if (!flags.config) return secrets;
  add_kubeconfig(*flags.config, secrets);  // given in place of the configuration, by mistake
  if (const auto loaded = config::load_config(*flags.config);
      loaded && !loaded->config.client_connection.kubeconfig.empty())
    add_kubeconfig(loaded->config.client_connection.kubeconfig, secrets);
  return secrets;
}

}  // namespace kubenatd::agent::report
