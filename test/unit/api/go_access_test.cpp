#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/api/access.h"
#include "agent/api/credentials.h"
#include "agent/api/proxy.h"
#include "agent/api/url.h"
#include "agent/base/base64.h"
#include "test/server/certificates.h"
#include "test/support/places.h"
#include "test/unit/api/scratch_folder.h"

/// Kubeconfigs, server addresses and the proxy's environment against tables that Go made (test/oracle/kubeconfig).
namespace kubenatd::test {
namespace {

using agent::api::ClusterAccess;
using agent::api::Credentials;
using nlohmann::json;

std::vector<json> table(const std::string& name) {
  std::ifstream file(project_file("test/unit/api/") + name);
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  REQUIRE(lines.size() > 1000);
  return lines;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Why kubenatd refuses what Go takes; empty: there is no reason.
std::string why_refused(const json& go) {
  if (go.contains("here")) return go["here"][0];  // no program is run, and nobody is impersonated
  const std::string url = go.value("url", "");
  // Go takes these, and fails at the first request.
  if (!url.starts_with("http://") && !url.starts_with("https://")) return "another scheme";
  if (!agent::api::is_usable_host(go.value("host", ""))) return "no name that DNS can have";
  if (!agent::api::usable_port(go.value("port", ""))) return "no port";
  const std::string proxy = go.value("proxy", "");
  if (proxy.starts_with("https:")) return "TLS to the proxy";
  std::string cause;
  if (const auto parsed = agent::api::Url::parse(proxy, cause);
      !proxy.empty() && (!parsed || !agent::api::is_usable_host(parsed->host)))
    return "a proxy without a host";
  return {};
}

/// What is not as Go has it; empty: nothing.
std::string difference(const json& go, const ClusterAccess& access, const std::string& authorization,
                       const std::string& folder) {
  const auto differs = [](const std::string& what, const std::string& here) { return what + ": " + here; };
  const auto& server = access.server;
  std::string url = go.value("url", "");
  if (url.ends_with('?')) url.pop_back();
  if (url.starts_with("https://") != server.tls) return differs("scheme", server.to_string());
  if (server.host != go["host"].get<std::string>()) return differs("host", server.host);
  if (server.port != agent::api::usable_port(go["port"])) return differs("port", server.to_string());
  const std::string path = url.substr(url.find('/', url.find("://") + 3));
  if (server.path + "/x" != path) return differs("path", server.path);
  // Go sends the user of an address with plain http.
  if (server.tls ? authorization != go.value("authorization", "") : !authorization.empty())
    return differs("authorization", authorization);
  const auto source = [&folder](const agent::api::PemSource& pem) {
    return pem.text.empty() ? replaced(pem.file, folder, "@DIR@") : std::string("data");
  };
  if (server.tls) {
    if (source(access.authority) != go.value("authority", "")) return differs("authority", source(access.authority));
    if (source(access.certificate) != go.value("certificate", "")) return differs("cert", source(access.certificate));
    if (source(access.key) != go.value("key", "")) return differs("key", source(access.key));
    if (access.tls_server_name != go.value("server_name", "")) return differs("name", access.tls_server_name);
    if (access.insecure != go.value("insecure", false)) return differs("insecure", access.insecure ? "true" : "false");
  }
  const std::string proxy = go.value("proxy", "");
  if (proxy.empty() != !access.proxy) return differs("proxy", access.proxy ? access.proxy->to_string() : "none");
  if (!access.proxy) return {};
  const auto wanted = agent::api::Proxy::parse(proxy, "o", "f");
  if (!wanted || wanted->to_string() != access.proxy->to_string() ||
      wanted->user.has_value() != access.proxy->user.has_value() ||
      (wanted->user && wanted->user->header() != access.proxy->user->header()))
    return differs("proxy", access.proxy->to_string());
  return {};
}

/// A folder with what the kubeconfigs of the table name.
class Files {
 public:
  Files() {
    const Authority authority("oracle");
    const KeyPair pair = authority.issue("oracle", "");
    std::filesystem::create_directories(folder_.path("kube/pki"));
    for (const char* name : {"kube/ca.pem", "kube/pki/ca.pem", "up.pem"}) folder_.write(name, authority.certificate());
    // One key for all: "up.pem" is used as a client certificate, too.
    folder_.write("up.pem", pair.certificate);
    folder_.write("kube/cert.pem", pair.certificate);
    folder_.write("kube/key.pem", pair.key);
    folder_.write("kube/token", "from-file\n");
    folder_.write("kube/empty", "");
    certificate_ = agent::base::encode_base64(pair.certificate);
    key_ = agent::base::encode_base64(pair.key);
  }
  [[nodiscard]] std::string root() const { return folder_.path("kube").substr(0, folder_.path("kube").size() - 5); }
  [[nodiscard]] std::string put(const std::string& text) const {
    std::string config = replaced(text, "@DIR@", root());
    for (const char* name : {"@CA@", "@CERT@"}) config = replaced(config, name, certificate_);
    folder_.write("kube/config", replaced(config, "@KEY@", key_));
    return folder_.path("kube/config");
  }

 private:
  ScratchFolder folder_;
  std::string certificate_;
  std::string key_;
};

void compare(const std::string& name) {
  const Files files;
  std::size_t differences = 0;
  std::map<std::string, std::size_t> reasons;
  for (const json& go : table(name)) {
    agent::api::AccessOptions options;
    options.proxies.emplace();
    options.pod = {.host = "", .port = "", .folder = "/nowhere"};
    options.master = go.value("master", "");
    if (go.contains("config")) options.kubeconfig = files.put(go["config"]);
    if (!go.contains("config") && options.master.empty()) continue;  // would be the pod's cluster
    auto access = agent::api::find_access(options);
    rules::Error error;
    std::string authorization;
    if (access) {
      const auto credentials = Credentials::open(*access, std::chrono::hours(1));
      if (credentials)
        authorization = (*credentials)->current().authorization;
      else
        access = std::unexpected(credentials.error());
    }
    std::string wrong;
    if (go.contains("error")) {
      if (access) wrong = "taken: " + access->server.to_string();
    } else if (!access) {
      const std::string reason = why_refused(go);
      ++reasons[reason];
      if (reason.empty()) wrong = access.error().to_string();
    } else {
      wrong = go.contains("here") ? "taken" : difference(go, *access, authorization, files.root());
    }
    // A document of nothing is none to us; Go takes it for the first, and then there is no configuration.
    const std::string config = go.value("config", "");
    if (config.starts_with("---\n# nothing\n---\n")) continue;
    if (config == "\t") continue;  // nothing to us as well; Go's YAML takes no tab there
    if (wrong.empty()) continue;
    constexpr std::size_t kShown = 20;
    if (++differences > kShown) continue;
    UNSCOPED_INFO("go:   " << go.dump());
    UNSCOPED_INFO("here: " << wrong);
  }
  for (const auto& [reason, count] : reasons) UNSCOPED_INFO(reason << ": " << count);
  CHECK(differences == 0);
}

TEST_CASE("server addresses are read as client-go reads them") {
  compare("go_addresses.jsonl");
}

TEST_CASE("kubeconfigs are read as client-go reads them") {
  compare("go_kubeconfigs.jsonl");
}

TEST_CASE("the environment names the proxy that net/http would take") {
  std::size_t differences = 0;
  for (const json& go : table("go_proxies.jsonl")) {
    const agent::api::ProxyEnvironment environment{.http = go.value("http", ""),
                                                   .https = go.value("https", ""),
                                                   .none = go.value("no", ""),
                                                   .cgi = go.value("cgi", false)};
    std::string cause;
    const auto url = agent::api::Url::parse(go["url"].get<std::string>(), cause);
    REQUIRE(url);
    agent::api::ServerUrl server{url->scheme == "https", url->host, 443, {}, {}};
    server.port = agent::api::usable_port(url->port).value_or(server.tls ? 443 : 80);
    const auto said = agent::api::proxy_said(environment, server);
    std::string wrong;
    if (go.value("error", false)) {
      if (said) wrong = "no error";
    } else if (!said) {
      wrong = said.error().to_string();
    } else if (said->empty() != !go.contains("proxy")) {
      wrong = said->empty() ? "straight on" : *said;
    } else if (!said->empty()) {
      const auto proxy = agent::api::proxy_for(environment, server);
      const auto wanted = agent::api::Url::parse(go["proxy"].get<std::string>(), cause);
      const bool possible = wanted && (wanted->scheme == "http" || wanted->scheme.starts_with("socks5")) &&
                            agent::api::is_usable_host(wanted->host) &&
                            (wanted->port.empty() || agent::api::usable_port(wanted->port));
      if (possible != proxy.has_value())
        wrong = proxy ? (*proxy)->to_string() : proxy.error().to_string();
      else if (possible && ((*proxy)->host != wanted->host ||
                            (!wanted->port.empty() && (*proxy)->port != agent::api::usable_port(wanted->port)) ||
                            (*proxy)->user.has_value() != wanted->has_user))
        wrong = (*proxy)->to_string();
    }
    if (wrong.empty()) continue;
    constexpr std::size_t kShown = 20;
    if (++differences > kShown) continue;
    UNSCOPED_INFO("go:   " << go.dump());
    UNSCOPED_INFO("here: " << wrong);
  }
  CHECK(differences == 0);
}

}  // namespace
}  // namespace kubenatd::test
