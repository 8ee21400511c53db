#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/api/access.h"
#include "agent/api/kubeconfig_schema.h"
#include "agent/base/base64.h"
#include "agent/base/printable.h"
#include "agent/documents/read.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;

/// A map in a file whose types are right. One that is not there is empty.
class Section {
 public:
  Section() = default;
  Section(const json* map, std::string path) : map_(map), path_(std::move(path)) {}

  [[nodiscard]] bool has(const char* name) const { return find(name) != nullptr; }
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }
  [[nodiscard]] std::string text(const char* name) const {
    const json* value = find(name);
    return value == nullptr || !value->is_string() ? std::string() : value->get<std::string>();
  }
  [[nodiscard]] bool flag(const char* name) const {
    const json* value = find(name);
    return value != nullptr && value->get<bool>();
  }
  [[nodiscard]] bool has_some(const char* name) const {
    const json* value = find(name);
    return value != nullptr && !value->empty();
  }
  [[nodiscard]] Section section(const char* name) const { return {find(name), path_of(name)}; }
  [[nodiscard]] std::vector<Section> list(const char* name) const {
    std::vector<Section> all;
    if (const json* elements = find(name))
      for (const json& element : *elements)
        all.emplace_back(element.is_null() ? nullptr : &element, fmt::format("{}[{}]", path_of(name), all.size()));
    return all;
  }
  /// The element of the list whose name is `wanted`: its member `member`.
  [[nodiscard]] std::optional<Section> named(const char* name, const std::string& wanted, const char* member) const {
    for (const Section& element : list(name))
      if (element.text("name") == wanted) return element.section(member);
    return std::nullopt;
  }

 private:
  [[nodiscard]] const json* find(const char* name) const {
    if (map_ == nullptr) return nullptr;
    const auto found = map_->find(name);
    return found == map_->end() || found->is_null() ? nullptr : &*found;
  }

  const json* map_ = nullptr;
  std::string path_;
};

/// Reads what a context names into a ClusterAccess, by the rules of clientcmd's validation.go and client_config.go.
class Reader {
 public:
  Reader(const std::string& file, std::string shown) : file_(file), shown_(std::move(shown)) {
    access_.origin = shown_;
  }

  [[nodiscard]] rules::Result<ClusterAccess> read(const Section& root, const std::string& context,
                                                  const std::string& master);

 private:
  void read_cluster(const Section& cluster, const std::string& master);
  void read_user(const Section& user);
  void check_exec(const Section& user);
  /// NAME-data, which may not stand beside NAME.
  [[nodiscard]] PemSource read_pem(const Section& section, const std::string& name);
  [[nodiscard]] std::string resolved(const std::string& path) const {
    if (path.empty() || std::filesystem::path(path).is_absolute()) return path;
    return (std::filesystem::path(file_).parent_path() / path).lexically_normal().string();
  }
  /// The first thing wrong is kept.
  void wrong(const Section& section, std::string_view name, std::string cause, int code = 0) {
    if (!error_) error_ = rules::Error{shown_, section.path_of(name), std::move(cause), code};
  }
  void warn(const std::string& field, std::string_view text) {
    access_.warnings.push_back(fmt::format("{}: {}: {}", shown_, field, text));
  }

  const std::string& file_;
  const std::string shown_;
  ClusterAccess access_;
  std::optional<rules::Error> error_;
};

PemSource Reader::read_pem(const Section& section, const std::string& name) {
  PemSource source;
  const std::string data_name = name + "-data";
  source.field = section.path_of(name);
  source.file = resolved(section.text(name.c_str()));
  const std::string data = section.text(data_name.c_str());
  if (data.empty()) return source;
  if (!source.file.empty())
    wrong(section, data_name, fmt::format("and {} are both given: one of them has to go", name));
  source.field = section.path_of(data_name);
  source.text = base::decode_base64_as_go(data).value_or("");
  return source;
}

void Reader::read_cluster(const Section& cluster, const std::string& master) {
  const std::string server = cluster.text("server");
  if (!master.empty() || !server.empty()) {
    auto url = master.empty() ? ServerUrl::parse(server, shown_, cluster.path_of("server"))
                              : ServerUrl::parse(master, "option --master", "address");
    if (url)
      access_.server = std::move(*url);
    else if (!error_)
      error_ = url.error();
  } else {
    wrong(cluster, "server", "is missing");
  }
  access_.authority = read_pem(cluster, "certificate-authority");
  // Another server has another name.
  if (master.empty()) access_.tls_server_name = cluster.text("tls-server-name");
  access_.insecure = cluster.flag("insecure-skip-tls-verify");
  if (access_.insecure && access_.authority.given() && access_.server.tls)
    wrong(cluster, "insecure-skip-tls-verify", "cannot be used together with certificate-authority");
  if (const std::string proxy = cluster.text("proxy-url"); !proxy.empty()) {
    auto parsed = Proxy::parse(proxy, shown_, cluster.path_of("proxy-url"));
    if (parsed)
      access_.proxy = std::move(*parsed);
    else if (!error_)
      error_ = parsed.error();
  }
}

void Reader::check_exec(const Section& user) {
  const Section exec = user.section("exec");
  if (user.has("auth-provider")) wrong(user, "exec", "cannot be used together with auth-provider");
  const std::string version = exec.text("apiVersion");
  const std::string mode = exec.text("interactiveMode");
  if (exec.text("command").empty()) wrong(exec, "command", "is missing");
  if (version.empty()) wrong(exec, "apiVersion", "is missing");
  for (const Section& variable : exec.list("env"))
    if (variable.text("name").empty()) wrong(variable, "name", "is missing");
  const bool old =
      version == "client.authentication.k8s.io/v1beta1" || version == "client.authentication.k8s.io/v1alpha1";
  if (mode.empty() ? !old : mode != "Never" && mode != "IfAvailable" && mode != "Always")
    wrong(exec, "interactiveMode", "is none of Never, IfAvailable, Always");
}

void Reader::read_user(const Section& user) {
  access_.certificate = read_pem(user, "client-certificate");
  access_.key = read_pem(user, "client-key");
  if (access_.certificate.given() && !access_.key.given()) wrong(user, "client-key", "is missing");
  if (!access_.certificate.given() && access_.key.given()) {
    warn(access_.key.field, "is not used, because there is no client-certificate");
    access_.key = {};
  }
  access_.token = user.text("token");
  access_.token_file = resolved(user.text("tokenFile"));
  access_.token_field = user.path_of(access_.token.empty() ? "tokenFile" : "token");
  UserPassword password{user.text("username"), user.text("password")};
  if (!access_.token.empty() && (!password.user.empty() || !password.password.empty()))
    wrong(user, "username", "cannot be used together with token");
  if (!password.user.empty()) {
    access_.password_field = user.path_of("username");
    access_.password = std::move(password);
  }
  if (user.has("exec")) check_exec(user);

  const bool somebody = !user.text("as").empty();
  for (const char* more : {"as-uid", "as-groups", "as-user-extra"})
    if (!somebody && user.has_some(more)) wrong(user, more, "is given without \"as\"");
  // Whoever leaves it out is somebody else to the API server, so it is not passed over.
  if (somebody) wrong(user, "as", "impersonation is not supported: give the credentials of the user that is meant");
  if (!access_.server.tls) return;  // then none of the following is looked at, as in client-go
  if (access_.password && !access_.token_file.empty())
    wrong(user, "username", "cannot be used together with tokenFile");
  constexpr std::string_view kInstead =
      "Put a token into \"tokenFile\" (of a service account: kubectl create token), or give client-certificate and "
      "client-key; in a pod leave the kubeconfig out, and its service account is used";
  if (user.has("exec"))
    wrong(user, "exec",
          fmt::format("credential plugins cannot be used: kubenatd runs no other program, so not {}. {}",
                      base::in_quotes(user.section("exec").text("command"), 200), kInstead));
  if (user.has("auth-provider"))
    wrong(user, "auth-provider",
          fmt::format("{} is not supported, nor by Kubernetes 1.26 and later. {}",
                      base::in_quotes(user.section("auth-provider").text("name"), 80), kInstead));
}

rules::Result<ClusterAccess> Reader::read(const Section& root, const std::string& context, const std::string& master) {
  const std::string wanted = context.empty() ? root.text("current-context") : context;
  const auto chosen = root.named("contexts", wanted, "context");
  if (!chosen && !wanted.empty())
    wrong(root, "contexts", fmt::format("has no context named {}", base::in_quotes(wanted, 200)));
  const Section names = chosen.value_or(Section());
  const std::string cluster_name = names.text("cluster");
  const std::string user_name = names.text("user");

  const auto cluster = root.named("clusters", cluster_name, "cluster");
  if (cluster || !master.empty())
    read_cluster(cluster.value_or(Section()), master);
  else
    access_.server.tls = false;  // as for client-go, which then looks for no credentials
  if (const auto user = root.named("users", user_name, "user"))
    read_user(*user);
  else if (!user_name.empty())
    warn(names.path_of("user"),
         fmt::format("there is no user {}: no credentials are sent", base::in_quotes(user_name)));
  if (!cluster && master.empty()) {
    // Only when nothing else is wrong, another place may say which cluster.
    if (wanted.empty())
      wrong(root, "current-context", "is missing", ENODATA);
    else if (cluster_name.empty())
      wrong(names, "cluster", "is missing", ENODATA);
    else
      wrong(root, "clusters", fmt::format("has no cluster named {}", base::in_quotes(cluster_name, 200)), ENODATA);
  }
  if (error_) return std::unexpected(*error_);
  return std::move(access_);
}

}  // namespace

rules::Result<ClusterAccess> parse_kubeconfig(const std::string& text, const std::string& file,
                                              const std::string& context, const std::string& master) {
  const std::string shown = base::one_line(file, 4096);
  // Go reads the first document and looks at no other.
  std::optional<json> document;
  std::optional<rules::Error> bad;
  documents::read_documents(text, {.document =
                                       [&](json&& found) {
                                         if (!document && !bad) document = std::move(found);
                                       },
                                   .bad =
                                       [&](documents::BadDocument&& found) {
                                         if (!document && !bad) bad = std::move(found.error);
                                       },
                                   .remark = {}});
  if (bad) return rules::fail(shown, "read kubeconfig", bad->object + ": " + bad->cause);
  const json& found = document ? *document : document.emplace(json::object());
  if (auto status = check_kubeconfig(found, shown); !status) return std::unexpected(status.error());

  const Section root(&found, "");
  const std::string kind = root.text("kind");
  const std::string version = root.text("apiVersion");
  if (!kind.empty() && kind != "Config")
    return rules::fail(shown, "kind", base::in_quotes(kind) + " is not \"Config\"");
  if (!version.empty() && version != "v1" && version != "/v1" && version != "/")
    return rules::fail(shown, "apiVersion", base::in_quotes(version) + " is not \"v1\"");
  return Reader(file, shown).read(root, context, master);
}

}  // namespace kubenatd::agent::api
