#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "test/support/process.h"
#include "test/unit/api/api_support.h"
#include "test/unit/api/scratch_folder.h"

/// Who is let in, and who is believed.
namespace kubenatd::test {
namespace {

const Step kOneService = [](Reply& reply) {
  stream_list(reply, {service("a")}, "20");
  reply.hang();
};

agent::api::ApiOptions secure(const ScriptedServer& server, const std::string& authority) {
  auto options = services_of(server);
  options.access.server.tls = true;
  options.access.authority = {authority, "", "certificate-authority-data"};
  return options;
}

TEST_CASE("TLS: the right authority, by address and by name") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("kube-apiserver", "DNS:localhost,IP:127.0.0.1"), ""});
  server.always(kOneService);
  auto options = secure(server, authority.certificate());
  SECTION("address") {
    Follower follower(options);
    follower.until_synced();
    CHECK(server.asked(kServices)[0].server_name.empty());
    CHECK(server.asked(kServices)[0].headers.at("host") == options.access.server.authority());
  }
  SECTION("name") {
    options.access.server.host = "localhost";
    Follower follower(options);
    follower.until_synced();
    CHECK(server.asked(kServices)[0].server_name == "localhost");
  }
  SECTION("another authority beside it") {
    options.access.authority.text = Authority("old-ca").certificate() + authority.certificate();
    Follower follower(options);
    follower.until_synced();
  }
}

TEST_CASE("TLS: tls-server-name instead of the address") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("kube-apiserver", "DNS:kubernetes"), ""});
  server.always(kOneService);
  auto options = secure(server, authority.certificate());
  options.access.tls_server_name = "kubernetes";
  Follower follower(options);
  follower.until_synced();
  CHECK(server.asked(kServices)[0].server_name == "kubernetes");
}

TEST_CASE("TLS: an IPv6 address") {
  const Authority authority("cluster-ca");
  std::unique_ptr<ScriptedServer> server;
  try {
    server = std::make_unique<ScriptedServer>(ServerTls{authority.issue("kube-apiserver", "IP:::1"), ""}, true);
  } catch (const std::runtime_error&) {
    WARN("SKIPPED: no IPv6 on the loopback interface");
    return;
  }
  server->always(kOneService);
  auto options = secure(*server, authority.certificate());
  options.access.server.host = "::1";
  Follower follower(options);
  follower.until_synced();
  CHECK(server->asked(kServices)[0].headers.at("host") == "[::1]:" + std::to_string(server->port()));
}

TEST_CASE("TLS: a server that is not the one is refused, and says why") {
  const Authority authority("cluster-ca");
  const Authority other("other-ca");
  std::string alternatives = "IP:127.0.0.1";
  std::string trusted = authority.certificate();
  std::string cause;
  std::string advice = "; its authority is CN = cluster-ca, which is not among those of ";
  SECTION("another authority") {
    trusted = other.certificate();
    cause = "unable to get local issuer certificate";
    advice += "certificate-authority-data";
  }
  SECTION("the system's authorities") {
    trusted.clear();
    cause = "unable to get local issuer certificate";
  }
  SECTION("another address") {
    alternatives = "IP:127.0.0.2,DNS:localhost";
    cause = "IP address mismatch";
    advice = "; it is for IP:127.0.0.2, DNS:localhost: use one of them as the server's address or as tls-server-name";
  }
  ScriptedServer server(ServerTls{authority.issue("127.0.0.1", alternatives), ""});
  server.always(kOneService);
  Follower follower(secure(server, trusted));
  follower.until([&] { return follower.complained("the server's certificate for 127.0.0.1 is refused: " + cause); });
  CHECK(follower.complained(advice));
  CHECK(follower.objects.empty());
  CHECK_FALSE(follower.synced);
  CHECK(server.asked(kServices).empty());
}

/// OpenSSL looks at the environment when the process starts, so this runs the test below in a process of its own.
TEST_CASE("TLS: the system's authorities are trusted where none are given") {
  const Authority authority("cluster-ca");
  const KeyPair pair = authority.issue("127.0.0.1", "IP:127.0.0.1");
  const ScratchFolder folder;
  folder.write("ca", authority.certificate());
  folder.write("crt", pair.certificate);
  folder.write("key", pair.key);
  const auto result = run({"env", "SSL_CERT_FILE=" + folder.path("ca"), "KUBENATD_TEST_SERVER=" + folder.path(""),
                           std::filesystem::read_symlink("/proc/self/exe"), "TLS: trusts what SSL_CERT_FILE names"});
  INFO(result.describe());
  CHECK(result.ok());
  CHECK(result.out.find("1 test case") != std::string::npos);
}

TEST_CASE("TLS: trusts what SSL_CERT_FILE names", "[.]") {
  const char* folder = std::getenv("KUBENATD_TEST_SERVER");
  REQUIRE(folder != nullptr);
  const auto read = [&](const std::string& name) { return read_file(std::filesystem::path(folder) / name); };
  ScriptedServer server(ServerTls{{read("crt"), read("key")}, ""});
  server.always(kOneService);
  Follower follower(secure(server, ""));
  follower.until_synced();
}

TEST_CASE("TLS: insecure-skip-tls-verify") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("x", "DNS:elsewhere"), ""});
  server.always(kOneService);
  auto options = secure(server, "");
  options.access.insecure = true;
  Follower follower(options);
  follower.until_synced();
}

TEST_CASE("TLS: client certificates, and their renewal on the next connection") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("x", "IP:127.0.0.1"), authority.certificate()});
  std::atomic<bool> renewed{false};
  server.on(kServices, {[&](Reply& reply) {
                          stream_list(reply, {}, "20");
                          while (!renewed && reply.pause(std::chrono::milliseconds(2))) continue;
                          reply.end();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("a")));
                          reply.hang();
                        }});
  const ScratchFolder folder;
  const auto write = [&](const std::string& name) {
    const KeyPair pair = authority.issue(name, "");
    folder.write("crt", pair.certificate);
    folder.write("key", pair.key);
  };
  write("system:kube-proxy");
  auto options = secure(server, authority.certificate());
  options.access.certificate = {"", folder.path("crt"), "client-certificate"};
  options.access.key = {"", folder.path("key"), "client-key"};
  options.timing.credentials = std::chrono::milliseconds(0);
  Follower follower(options);
  follower.until_synced();
  CHECK(server.asked(kServices)[0].peer == "system:kube-proxy");
  write("renewed");
  renewed = true;
  follower.until([&] { return follower.objects.size() == 1; });
  CHECK(server.asked(kServices).back().peer == "renewed");
  CHECK(follower.problems.empty());
}

TEST_CASE("a client without the certificate that the server wants is told") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("x", "IP:127.0.0.1"), authority.certificate()});
  Follower follower(secure(server, authority.certificate()));
  follower.until([&] { return follower.complained(": no client certificate was shown"); });
  CHECK(server.asked(kServices).empty());
}

TEST_CASE("no credentials go over plain http") {
  ScriptedServer server;
  server.always(kOneService);
  auto options = services_of(server);
  options.access.token = "secret";
  options.access.password = agent::api::UserPassword{"u", "p"};
  options.access.server.user = agent::api::UserPassword{"u", "p"};
  Follower follower(options);
  follower.until_synced();
  for (const Ask& ask : server.all_asked()) CHECK_FALSE(ask.headers.contains("authorization"));
}

TEST_CASE("401 names the credentials that were sent and 403 the role") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("kube-apiserver", "IP:127.0.0.1"), ""});
  const bool known = GENERATE(false, true);
  server.always([known](Reply& reply) {
    if (known)
      reply.answer(403, status(403, "Forbidden", "services is forbidden"));
    else
      reply.answer(401, status(401, "Unauthorized", "Unauthorized"));
  });
  auto options = secure(server, authority.certificate());
  options.access.token = "secret";
  options.access.token_field = "users[0].user.token";
  Follower follower(options);
  follower.until([&] {
    return follower.complained(
        known ? "the API server answers 403: services is forbidden; the ClusterRole "
                "system:node-proxier allows what is needed; credentials: users[0].user.token of test"
              : "the API server answers 401: Unauthorized; it does not accept the credentials: "
                "users[0].user.token of test");
  });
}

TEST_CASE("a token that rotates: 401 makes it be read again") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("kube-apiserver", "IP:127.0.0.1"), ""});
  server.always([](Reply& reply) {
    const auto given = reply.ask.headers.find("authorization");
    if (given == reply.ask.headers.end() || given->second != "Bearer second")
      return reply.answer(401, status(401, "Unauthorized", "Unauthorized"));
    kOneService(reply);
  });
  const ScratchFolder folder;
  folder.write("token", "first");
  auto options = secure(server, authority.certificate());
  options.access.token_file = folder.path("token");
  Follower follower(options);
  follower.until([&] { return follower.complained("the API server answers 401: Unauthorized"); });
  CHECK_FALSE(follower.synced);
  folder.write("token", "second\n");
  follower.until_synced();
  CHECK(server.asked(kServices).front().headers.at("authorization") == "Bearer first");
}

TEST_CASE("plain HTTP through a proxy") {
  ScriptedServer proxy;
  proxy.always(kOneService);
  auto options = services_of(proxy);
  options.access.server = {false, "api.example", 8080, "", {}};
  options.access.proxy = http_proxy(proxy.port());
  Follower follower(options);
  follower.until([&] { return follower.synced; });
}

TEST_CASE("stopping is prompt, whatever is going on") {
  const int how = GENERATE(0, 1, 2, 3);
  ScriptedServer server;
  server.always([how](Reply& reply) {
    if (how == 0) return reply.hang();
    if (how == 1) return reply.answer(503, "{}");
    if (how == 2) {
      reply.begin();
      reply.chunk("{\"type\":");
      return reply.hang();
    }
    stream_list(reply, {service("a")}, "20");
    reply.hang();
  });
  auto options = services_of(server);
  options.timing = {};  // as in a cluster: none of its limits may be waited for
  auto source = agent::api::ApiSource::open(options);
  REQUIRE(source);
  while (server.asked(kServices).empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (how == 3)
    while (!(*source)->take().synced) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  source->reset();  // a hang is the test's own time limit
}

}  // namespace
}  // namespace kubenatd::test
