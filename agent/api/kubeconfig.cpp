#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/api/access.h"
#include "agent/base/base64.h"
#include "agent/base/printable.h"
#include "agent/documents/read.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;

/// A map in the file that knows its path. The first thing wrong is kept; what is asked afterwards gives nothing.
class Section {
 public:
  Section(const json* map, std::string path, const std::string& file, std::optional<rules::Error>& error)
      : map_(map), path_(std::move(path)), file_(file), error_(error) {}

  [[nodiscard]] bool has(const char* name) const { return find(name) != nullptr; }
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  [[nodiscard]] std::string text(const char* name) const {
    const json* value = find(name);
    if (value == nullptr) return {};
    if (value->is_string()) return value->get<std::string>();
    wrong(name, "is not text");
    return {};
  }

  [[nodiscard]] bool flag(const char* name) const {
    const json* value = find(name);
    if (value == nullptr) return false;
    if (value->is_boolean()) return value->get<bool>();
    wrong(name, "is not true or false");
    return false;
  }

  [[nodiscard]] Section section(const char* name) const {
    const json* value = find(name);
    if (value != nullptr && !value->is_object()) {
      wrong(name, "is not a map");
      value = nullptr;
    }
    return {value, path_of(name), file_, error_};
  }

  /// The element of the list `list` whose name is `wanted`: its member `member`.
  [[nodiscard]] std::optional<Section> named(const char* list, const std::string& wanted, const char* member) const {
    const json* elements = find(list);
    if (elements != nullptr && !elements->is_array()) {
      wrong(list, "is not a list");
      return std::nullopt;
    }
    for (std::size_t i = 0; elements != nullptr && i < elements->size(); ++i) {
      const json& element = (*elements)[i];
      if (!element.is_object() || !element.contains("name") || element["name"] != wanted) continue;
      return Section(&element, fmt::format("{}[{}]", path_of(list), i), file_, error_).section(member);
    }
    wrong(list, fmt::format("has no {} named {}", member, base::in_quotes(wanted, 200)));
    return std::nullopt;
  }

  void wrong(std::string_view name, std::string cause) const {
    if (!error_) error_ = rules::Error{base::one_line(file_, 4096), path_of(name), std::move(cause), 0};
  }

 private:
  [[nodiscard]] const json* find(const char* name) const {
    if (map_ == nullptr) return nullptr;
    const auto found = map_->find(name);
    return found == map_->end() || found->is_null() ? nullptr : &*found;
  }

  const json* map_;
  std::string path_;
  const std::string& file_;
  std::optional<rules::Error>& error_;
};

/// What a path of the file means.
std::string resolved(const std::string& path, const std::string& file) {
  if (path.empty()) return {};
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

/// NAME-data, which goes before NAME.
PemSource read_pem(const Section& section, const std::string& name, const std::string& file) {
  PemSource source;
  const std::string data_name = name + "-data";
  if (const std::string data = section.text(data_name.c_str()); !data.empty()) {
    source.field = section.path_of(data_name);
    if (auto decoded = base::decode_base64(data))
      source.text = std::move(*decoded);
    else
      section.wrong(data_name, "is not base64");
    return source;
  }
  source.field = section.path_of(name);
  source.file = resolved(section.text(name.c_str()), file);
  return source;
}

void read_cluster(const Section& cluster, const std::string& file, ClusterAccess& access,
                  std::optional<rules::Error>& error) {
  if (const std::string server = cluster.text("server"); !server.empty()) {
    auto url = ServerUrl::parse(server, base::one_line(file, 4096), cluster.path_of("server"));
    if (url)
      access.server = std::move(*url);
    else if (!error)
      error = url.error();
  }
  access.authority = read_pem(cluster, "certificate-authority", file);
  access.tls_server_name = cluster.text("tls-server-name");
  access.insecure = cluster.flag("insecure-skip-tls-verify");
  if (access.insecure && access.authority.given())
    cluster.wrong("insecure-skip-tls-verify", "cannot be used together with certificate-authority");
  const std::string proxy = cluster.text("proxy-url");
  if (proxy.empty()) return;
  auto url = ServerUrl::parse(proxy, base::one_line(file, 4096), cluster.path_of("proxy-url"));
  if (!url) {
    if (!error) error = url.error();
  } else if (!proxy.starts_with("http://") || !url->path.empty()) {
    cluster.wrong("proxy-url", base::in_quotes(proxy, 200) + ": only http://HOST:PORT is supported");
  } else {
    access.proxy = std::move(*url);
  }
}

void read_user(const Section& user, const std::string& file, ClusterAccess& access) {
  // Whoever leaves one of these out is somebody else to the API server, so they are not passed over.
  for (const char* unsupported :
       {"exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"})
    if (user.has(unsupported))
      user.wrong(unsupported, "is not supported: use a client certificate, a token or a tokenFile");
  access.certificate = read_pem(user, "client-certificate", file);
  access.key = read_pem(user, "client-key", file);
  if (access.certificate.given() != access.key.given())
    user.wrong(access.key.given() ? "client-certificate" : "client-key", "is missing");
  access.token = user.text("token");
  access.token_file = resolved(user.text("tokenFile"), file);
}

}  // namespace

rules::Result<ClusterAccess> parse_kubeconfig(const std::string& text, const std::string& file,
                                              const std::string& context) {
  const std::string shown = base::one_line(file, 4096);
  std::vector<json> found;
  const auto read = documents::read_all(text, [&](json&& document) {
    if (found.size() < 2) found.push_back(std::move(document));
  });
  if (!read) return rules::fail(shown, "read kubeconfig", read.error().object + ": " + read.error().cause);
  if (found.size() != 1 || !found[0].is_object()) return rules::fail(shown, "read kubeconfig", "is not one map");

  std::optional<rules::Error> error;
  const Section root(found.data(), "", file, error);
  ClusterAccess access;
  access.origin = shown;
  if (const std::string kind = root.text("kind"); !kind.empty() && kind != "Config")
    root.wrong("kind", base::in_quotes(kind) + " is not \"Config\"");
  const std::string wanted = context.empty() ? root.text("current-context") : context;
  if (wanted.empty()) root.wrong("current-context", "is missing");
  if (error) return std::unexpected(*error);

  if (const auto chosen = root.named("contexts", wanted, "context")) {
    const std::string cluster = chosen->text("cluster");
    if (cluster.empty())
      chosen->wrong("cluster", "is missing");
    else if (const auto found = root.named("clusters", cluster, "cluster"))
      read_cluster(*found, file, access, error);
    if (const std::string user = chosen->text("user"); !user.empty())
      if (const auto found = root.named("users", user, "user")) read_user(*found, file, access);
  }
  if (error) return std::unexpected(*error);
  return access;
}

}  // namespace kubenatd::agent::api
