#include <atomic>
#include <csignal>
#include <memory>

#include "test/cluster/cluster_support.h"

/// What API servers and networks do to an agent. Its chains stay whatever happens, and it catches up.
namespace kubenatd::test {
namespace {

/// A Service "web" and one "old", in the chains.
struct Running {
  explicit Running(ApiServer::Options options = {}, const std::string& authority = {},
                   const nlohmann::json& credentials = nlohmann::json::object())
      : cluster(std::move(options), authority) {
    cluster.write_kubeconfig(server.url(), credentials);
    server.put(node_object());
    for (const std::string name : {"web", "old"}) {
      server.put(service_object(name, name == "web" ? "10.96.0.10" : "10.96.0.20"));
      server.put(slice_object(name, {kPodA}));
    }
    agent.emplace(cluster.start());
    INFO(agent->err());
    REQUIRE(says(*agent, "ready"));
    REQUIRE(cluster.is_watched());
    REQUIRE(cluster.has("demo/old:http -> 10.244.1.5:8080"));
  }

  /// The two changes that the agent is to find out about.
  void change() {
    server.put(slice_object("web", {kPodA, kPodC}));
    server.remove(kServicesPath, "demo", "old");
  }
  void check_caught_up() {
    const bool came = cluster.comes("demo/web:http -> 10.244.2.7:8080") && cluster.goes("demo/old");
    INFO(agent->err());
    CHECK(came);
    CHECK(changed_lines(cluster.fresh_rules(), saved_rules(cluster.bare.node)) == "");
    CHECK(agent->running());
  }

  ClusterNode cluster;
  ApiServer& server = cluster.server;
  std::optional<Child> agent;
};

TEST_CASE("connections that are cut are made again, and nothing is missed") {
  KUBENATD_NEEDS_NAMESPACES();
  Running running;
  running.server.cut();
  running.change();
  running.check_caught_up();
}

TEST_CASE("410 Gone: a new list, which also tells what is not there any more") {
  KUBENATD_NEEDS_NAMESPACES();
  Running running;
  running.server.hold(kServicesPath, true);
  running.server.hold(kSlicesPath, true);
  running.server.cut();
  running.change();
  running.server.forget_history();
  running.server.hold(kSlicesPath, false);
  CHECK(running.cluster.comes("demo/web:http -> 10.244.2.7:8080"));
  CHECK(running.cluster.has("demo/old"));  // of which no list has told yet
  running.server.hold(kServicesPath, false);
  running.check_caught_up();
}

TEST_CASE("429 with Retry-After, and other answers that are none") {
  KUBENATD_NEEDS_NAMESPACES();
  const int status = GENERATE(429, 503);
  Running running;
  auto left = std::make_shared<std::atomic<int>>(4);
  running.server.set_trouble([left, status](Reply& reply) {
    if (left->fetch_sub(1) <= 0) return false;
    reply.answer(status, R"({"kind":"Status","message":"not now"})", "Retry-After: 1\r\n");
    return true;
  });
  running.server.cut();
  running.change();
  running.check_caught_up();
  CHECK(running.agent->err().find("not now") != std::string::npos);
}

TEST_CASE("what is no JSON, or no event, is told once and survived") {
  KUBENATD_NEEDS_NAMESPACES();
  const std::string line = GENERATE(as<std::string>{}, R"({"type":"MODIFIED","object":{"kind")", "<html>proxy</html>",
                                    R"({"type":"MODIFIED","object":{"kind":"Service","metadata":{"name":7}}})",
                                    R"({"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}})");
  Running running;
  running.server.say(kServicesPath, line);
  running.change();
  running.check_caught_up();
}

TEST_CASE("while the server is away chains stay, drift is healed and health is told") {
  KUBENATD_NEEDS_NAMESPACES();
  Running running;
  const Namespace& node = running.cluster.bare.node;
  running.server.go_away();
  const std::string before = saved_rules(node);
  must_run_in(node, {"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
  must_run_in(node, {"iptables", "-t", "nat", "-D", "PREROUTING", "-m", "comment", "--comment",
                     "kubernetes service portals", "-j", "KUBE-SERVICES"});
  CHECK(eventually([&] { return changed_lines(before, saved_rules(node)).empty(); }, kPatience));
  CHECK(says(*running.agent, "healed what others had changed"));
  CHECK(http_get(node, 10256, "/healthz").status == 200);
  CHECK(http_get(node, 10256, "/livez").status == 200);
  CHECK(says(*running.agent, "tried again in"));

  running.change();
  running.server.come_back();
  running.check_caught_up();
}

TEST_CASE("an agent that starts while the server is away leaves the chains alone and waits") {
  KUBENATD_NEEDS_NAMESPACES();
  Running running;
  const Namespace& node = running.cluster.bare.node;
  running.agent->signal(SIGKILL);
  REQUIRE(running.agent->wait(kPatience));
  running.server.go_away();
  const unsigned before = nf_tables_generation(node);
  running.agent.emplace(running.cluster.start());
  CHECK(says(*running.agent, "tried again in"));
  CHECK(nf_tables_generation(node) == before);
  CHECK(http_get(node, 10256, "/livez").status == 200);
  running.change();
  running.server.come_back();
  running.check_caught_up();
}

TEST_CASE("addresses of the server's name that swallow packets do not keep the agent from the one that answers") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  // Neighbours that nobody is: what is sent to them goes to the other end of the cable and no further.
  REQUIRE(run_in(cluster.bare.node, {"sh", "-c",
                                     "ip neigh add 192.168.77.99 lladdr 02:00:00:00:00:99 dev eth0 && "
                                     "ip -6 neigh add fd00:77::99 lladdr 02:00:00:00:00:99 dev eth0"})
              .status == 0);
  const std::string hosts =
      cluster.files
          .write("hosts", "fd00:77::99 api.lab.test\n192.168.77.99 api.lab.test\n127.0.0.1 api.lab.test localhost\n")
          .string();
  cluster.write_kubeconfig("http://api.lab.test:" + std::to_string(cluster.server.port()));
  cluster.server.put(node_object());
  cluster.server.put(service_object("web", "10.96.0.10"));
  cluster.server.put(slice_object("web", {kPodA}));
  std::vector<std::string> arguments{
      "unshare", "-m", "sh", "-c", "mount --make-rprivate / && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"",
      "sh",      hosts};
  for (const std::string& argument : cluster.command("run")) arguments.push_back(argument);
  ProcessOptions options;
  options.namespace_fd = cluster.bare.node.fd();
  const Child agent(arguments, options);
  const bool came = cluster.comes("demo/web:http -> 10.244.1.5:8080");
  INFO(agent.err());
  REQUIRE(came);

  cluster.server.go_away();
  cluster.server.put(slice_object("web", {kPodC}));
  cluster.server.come_back();
  CHECK(cluster.comes("demo/web:http -> 10.244.2.7:8080"));
}

TEST_CASE("over TLS with a token that rotates") {
  KUBENATD_NEEDS_NAMESPACES();
  const Authority authority("the cluster's");
  const TempFolder secrets;
  const std::string file = secrets.write("token", "first\n").string();
  Running running({.tls = ServerTls{authority.issue("server", "IP:127.0.0.1"), {}}, .token = "first"},
                  authority.certificate(), {{"tokenFile", file}});
  secrets.write("token", "second\n");
  running.server.set_token("second");
  running.server.cut();
  running.change();
  running.check_caught_up();
}

TEST_CASE("over TLS with a client certificate; a server of another authority is not believed") {
  KUBENATD_NEEDS_NAMESPACES();
  const Authority authority("the cluster's");
  const Authority clients("its clients'");
  const Authority stranger("somebody's");
  const TempFolder secrets;
  const KeyPair own = clients.issue("system:node-proxier", "");
  const nlohmann::json credentials = {{"client-certificate", secrets.write("own.pem", own.certificate).string()},
                                      {"client-key", secrets.write("own.key", own.key).string()}};
  Running running({.tls = ServerTls{authority.issue("server", "IP:127.0.0.1"), clients.certificate()}, .token = {}},
                  authority.certificate(), credentials);
  running.change();
  running.check_caught_up();

  const BareNode other;
  ClusterNode wrong({.tls = ServerTls{stranger.issue("server", "IP:127.0.0.1"), {}}, .token = {}},
                    authority.certificate());
  wrong.server.put(node_object());
  auto agent = wrong.start();
  CHECK(says(agent, "certificate"));
  CHECK_FALSE(wrong.has("KUBE-SERVICES"));
}

}  // namespace
}  // namespace kubenatd::test
