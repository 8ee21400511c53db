#include "agent/api/access.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent/api/credentials.h"
#include "test/server/certificates.h"
#include "test/unit/api/scratch_folder.h"

namespace kubenatd::test {
namespace {

using agent::api::AccessOptions;
using agent::api::ClusterAccess;
using agent::api::Credentials;
using agent::api::ServerUrl;

const std::string kConfig = R"(apiVersion: v1
kind: Config
current-context: kind
clusters:
- name: other
  cluster: {server: "https://192.0.2.1:6443"}
- name: kind
  cluster:
    server: https://kind-control-plane:6443/
    certificate-authority-data: Y2EgdGV4dA==
    tls-server-name: kubernetes
    proxy-url: http://proxy.example:3128
- name: files
  cluster:
    server: https://[fd00::1]
    certificate-authority: pki/ca.crt
users:
- name: proxy
  user: {client-certificate: ../a.crt, client-key: /keys/a.key}
- name: token
  user: {token: abc, tokenFile: token}
contexts:
- name: kind
  context: {cluster: kind, user: proxy}
- name: files
  context: {cluster: files, user: token}
- name: nobody
  context: {cluster: files}
)";

ClusterAccess good(const std::string& text, const std::string& context = {}) {
  auto access = agent::api::parse_kubeconfig(text, "/etc/kube/config", context);
  INFO((access ? "" : access.error().to_string()));
  REQUIRE(access);
  return *access;
}

std::string refusal(std::string text, const std::string& from = {}, const std::string& to = {},
                    const std::string& context = {}) {
  if (!from.empty()) {
    REQUIRE(text.find(from) != std::string::npos);
    text.replace(text.find(from), from.size(), to);
  }
  const auto access = agent::api::parse_kubeconfig(text, "/etc/kube/config", context);
  REQUIRE_FALSE(access);
  return access.error().to_string();
}

TEST_CASE("a kubeconfig: data, files, contexts") {
  const ClusterAccess kind = good(kConfig);
  CHECK(kind.server.to_string() == "https://kind-control-plane:6443");
  CHECK(kind.authority.text == "ca text");
  CHECK(kind.certificate.file == "/etc/a.crt");
  CHECK(kind.key.file == "/keys/a.key");
  CHECK(kind.tls_server_name == "kubernetes");
  REQUIRE(kind.proxy);
  CHECK(kind.proxy->to_string() == "http://proxy.example:3128");
  CHECK_FALSE(kind.insecure);

  const ClusterAccess files = good(kConfig, "files");
  CHECK(files.server.host == "fd00::1");
  CHECK(files.server.port == 443);
  CHECK(files.server.authority() == "[fd00::1]:443");
  CHECK(files.authority.file == "/etc/kube/pki/ca.crt");
  CHECK(files.token == "abc");
  CHECK(files.token_file == "/etc/kube/token");
  CHECK(good(kConfig, "nobody").token.empty());
}

TEST_CASE("what is wrong with a kubeconfig is named by file and field") {
  CHECK(refusal(kConfig, {}, {}, "absent") == "/etc/kube/config: contexts: has no context named \"absent\"");
  CHECK(refusal(kConfig, "current-context: kind", "") == "/etc/kube/config: current-context: is missing");
  CHECK(refusal(kConfig, "kind: Config", "kind: Pod") == "/etc/kube/config: kind: \"Pod\" is not \"Config\"");
  CHECK(refusal(kConfig, "cluster: kind,", "cluster: [],") ==
        "/etc/kube/config: contexts[0].context.cluster: is not text");
  CHECK(refusal(kConfig, "Y2EgdGV4dA==", "Y2E") ==
        "/etc/kube/config: clusters[1].cluster.certificate-authority-data: is not base64");
  CHECK(refusal(kConfig, "https://kind", "ftp://kind") ==
        "/etc/kube/config: clusters[1].cluster.server: \"ftp://kind-control-plane:6443/\" is neither http nor https");
  CHECK(
      refusal(kConfig, "http://proxy", "https://proxy").find("clusters[1].cluster.proxy-url: a proxy that is spoken") !=
      std::string::npos);
  CHECK(refusal(kConfig, "tls-server-name: kubernetes", "insecure-skip-tls-verify: true") ==
        "/etc/kube/config: clusters[1].cluster.insecure-skip-tls-verify: cannot be used together with "
        "certificate-authority");
  CHECK(refusal(kConfig, "{client-certificate: ../a.crt, client-key: /keys/a.key}",
                "{exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1}}")
            .starts_with("/etc/kube/config: users[0].user.exec: credential plugins cannot be used: kubenatd runs no "
                         "other program, so not \"aws\". Put a token into \"tokenFile\""));
  CHECK(refusal(kConfig, ", client-key: /keys/a.key", "") == "/etc/kube/config: users[0].user.client-key: is missing");
  CHECK(refusal("- a\n- b\n").find("is not a map") != std::string::npos);
  CHECK(refusal("a: [").find("/etc/kube/config: read kubeconfig: line") != std::string::npos);
}

TEST_CASE("addresses of servers") {
  const auto shown = [](const std::string& text) {
    const auto url = ServerUrl::parse(text, "o", "f");
    return url ? url->to_string() : "refused";
  };
  CHECK(shown("https://a") == "https://a:443");
  CHECK(shown("http://127.0.0.1:8080") == "http://127.0.0.1:8080");
  CHECK(shown("localhost:8080") == "http://localhost:8080");
  CHECK(shown("https://[::1]:6443/k8s/clusters/c-1/") == "https://[::1]:6443/k8s/clusters/c-1");
  CHECK(shown("HTTPS://u:p@a?b#c") == "https://a:443");
  CHECK(shown("https://[fe80::1%25eth0]:6443") == "https://[fe80::1]:6443");
  for (const char* bad :
       {"", "https://", "https://a:0", "https://a:65536", "https://a:1x", "https://a/\r\nX: y", " https://a",
        "https://b\u00fccher", "https://127.1", "https://[a]:1", "https://[::1", "https://::1:443", "unix:///run/a"})
    CHECK(shown(bad) == "refused");
}

TEST_CASE("in a cluster, and --master") {
  AccessOptions options;
  options.proxies.emplace();  // whatever the environment of this test says
  options.pod = {.host = "fd00::1", .port = "443", .folder = "/sa"};
  auto access = agent::api::find_access(options);
  REQUIRE(access);
  CHECK(access->server.to_string() == "https://[fd00::1]:443");
  CHECK(access->authority.file == "/sa/ca.crt");
  CHECK(access->token_file == "/sa/token");
  options.pod.port = "";
  CHECK(agent::api::find_access(options).error().cause.find("KUBERNETES_SERVICE_HOST") != std::string::npos);

  options.master = "http://192.0.2.7:8080";
  access = agent::api::find_access(options);
  REQUIRE(access);
  CHECK(access->server.to_string() == "http://192.0.2.7:8080");
  CHECK(access->token_file.empty());

  const ScratchFolder folder;
  folder.write("config", kConfig);
  options.kubeconfig = folder.path("config");
  access = agent::api::find_access(options);
  REQUIRE(access);
  CHECK(access->server.host == "192.0.2.7");
  CHECK(access->tls_server_name.empty());  // it was that of the other server
  // No credentials over plain http, and a line that says so.
  CHECK_FALSE(access->password);
  REQUIRE(access->warnings.size() == 1);
  CHECK(access->warnings[0] == folder.path("config") +
                                   ": users[0].user.client-certificate: is not sent, because the server's address "
                                   "http://192.0.2.7:8080 is plain http: write https://");
  options.proxies->http = "http://proxy.example:3128";
  access = agent::api::find_access(options);
  REQUIRE(access);
  REQUIRE(access->proxy);
  CHECK(access->proxy->to_string() == "http://proxy.example:3128");  // proxy-url goes before the environment
  // A kubeconfig that names no cluster, in a pod and elsewhere.
  folder.write("empty", "kind: Config\n");
  folder.write("token", "abc");
  options.kubeconfig = folder.path("empty");
  options.master.clear();
  options.pod = {.host = "10.96.0.1", .port = "443", .folder = folder.path("")};
  access = agent::api::find_access(options);
  REQUIRE(access);
  CHECK(access->server.host == "10.96.0.1");
  CHECK(access->warnings ==
        std::vector<std::string>{folder.path("empty") + ": current-context: is missing: the cluster "
                                                        "of this pod is taken"});
  options.pod.folder = "/nowhere";
  CHECK(agent::api::find_access(options).error().to_string() == folder.path("empty") + ": current-context: is missing");
  options.kubeconfig = folder.path("absent");
  CHECK(agent::api::find_access(options).error().code == ENOENT);
}

TEST_CASE("credentials: files that change, and files that are broken") {
  const Authority authority("ca");
  const KeyPair one = authority.issue("one", "");
  const KeyPair two = authority.issue("two", "");
  const ScratchFolder folder;
  folder.write("ca", authority.certificate());
  folder.write("crt", one.certificate);
  folder.write("key", one.key);
  folder.write("token", "first\n");
  ClusterAccess access;
  access.origin = "test";
  access.authority = {"", folder.path("ca"), "certificate-authority"};
  access.certificate = {"", folder.path("crt"), "client-certificate"};
  access.key = {"", folder.path("key"), "client-key"};
  access.token_file = folder.path("token");
  const auto credentials = Credentials::open(access, std::chrono::hours(1));
  REQUIRE(credentials);
  const auto before = (*credentials)->current();
  CHECK(before.authorization == "Bearer first");

  folder.write("token", "second");
  CHECK((*credentials)->current().authorization == "Bearer first");
  (*credentials)->refused();
  auto now = (*credentials)->current();
  CHECK(now.authorization == "Bearer second");
  CHECK(now.tls == before.tls);

  folder.write("crt", two.certificate);  // half of a rotation
  (*credentials)->refused();
  now = (*credentials)->current();
  CHECK(now.problem.find("does not belong to the certificate") != std::string::npos);
  CHECK(now.tls == before.tls);
  folder.write("key", two.key);
  (*credentials)->refused();
  now = (*credentials)->current();
  CHECK(now.problem.empty());
  CHECK(now.tls != before.tls);

  folder.write("token", "with a line end\r\nX-Header: y");
  (*credentials)->refused();
  now = (*credentials)->current();
  CHECK(now.problem.find("is no token") != std::string::npos);
  CHECK(now.authorization == "Bearer second");

  folder.write("ca", "no certificate");
  const auto refused = Credentials::open(access, std::chrono::hours(1));
  REQUIRE_FALSE(refused);
  folder.write("token", "good");
  const auto also = Credentials::open(access, std::chrono::hours(1));
  REQUIRE_FALSE(also);
  CHECK(also.error().to_string().find("holds no certificate in PEM form") != std::string::npos);
}

}  // namespace
}  // namespace kubenatd::test
