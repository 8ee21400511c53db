#include <csignal>
#include <thread>

#include "test/cluster/cluster_support.h"
#include "test/support/places.h"

/// From the first request to the first chains, and what comes after.
namespace kubenatd::test {
namespace {

TEST_CASE("nothing is written before all lists are in and the Node has an address") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  ApiServer& server = cluster.server;
  server.put(service_object("web", "10.96.0.10"));
  server.put(slice_object("web", {kPodA}));
  server.put(node_object({}));
  server.hold(kSlicesPath, true);
  // Chains of an earlier life, which must not lose their rules to a half-known cluster.
  must_run_in(cluster.bare.node, {"iptables-restore"},
              "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -d 10.96.0.10/32 -j RETURN\nCOMMIT\n");
  const unsigned before = nf_tables_generation(cluster.bare.node);

  auto agent = cluster.start();
  INFO(agent.err());
  REQUIRE(
      eventually([&] { return server.watches(kServicesPath) == 1 && server.requests(kSlicesPath) > 0; }, kPatience));
  REQUIRE(eventually([&] { return http_get(cluster.bare.node, 10256, "/livez").status == 200; }, kPatience));
  CHECK(nf_tables_generation(cluster.bare.node) == before);

  server.hold(kSlicesPath, false);
  REQUIRE(cluster.is_watched());
  // Time in which it would have been done, had it not to wait for the Node.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(nf_tables_generation(cluster.bare.node) == before);
  CHECK(agent.err().find("\"ready\"") == std::string::npos);

  server.put(node_object());
  CHECK(cluster.comes("--to-destination 10.244.1.5:8080"));
  CHECK(cluster.goes("-d 10.96.0.10/32 -j RETURN"));
  CHECK(says(agent, "ready"));
  CHECK(eventually([&] { return server.events().size() == 1; }, kPatience));
  CHECK(server.events().at(0).at("reason") == "Starting");
}

TEST_CASE("a health check port of a Service that is taken is an Event of the Service") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  ApiServer& server = cluster.server;
  auto service = service_object("web", "10.96.0.10", 30080);
  service["spec"]["type"] = "LoadBalancer";
  service["spec"]["externalTrafficPolicy"] = "Local";
  service["spec"]["healthCheckNodePort"] = 10256;  // where /healthz is
  server.put(service);
  server.put(slice_object("web", {kPodA}));
  server.put(node_object());
  auto agent = cluster.start();
  const bool told = eventually([&] { return server.events().size() == 2; }, kPatience);
  INFO(agent.err());
  REQUIRE(told);
  const nlohmann::json event = server.events().at(1);
  CHECK(event.at("reason") == "FailedToStartServiceHealthcheck");
  CHECK(event.at("type") == "Warning");
  CHECK(event.at("regarding").at("kind") == "Service");
  CHECK(event.at("regarding").at("name") == "web");
  CHECK(http_get(cluster.bare.node, 10256, "/healthz").status == 200);
}

TEST_CASE("changes reach the chains, whether lists are streamed or come in pages") {
  KUBENATD_NEEDS_NAMESPACES();
  const bool streamed = GENERATE(true, false);
  ClusterNode cluster({.tls = {}, .token = {}, .streamed_lists = streamed});
  ApiServer& server = cluster.server;
  server.put(node_object());
  for (int i = 0; i < 150; ++i) {  // more than a page
    const std::string name = "s" + std::to_string(i);
    server.put(service_object(name, "10.96.1." + std::to_string(i + 1)));
    server.put(slice_object(name, {kPodA}));
  }
  auto agent = cluster.start();
  const bool came = cluster.comes("demo/s149:http -> 10.244.1.5:8080");
  INFO(agent.err());
  REQUIRE(came);
  CHECK(cluster.is_watched());

  server.put(service_object("web", "10.96.0.10", 30080));
  CHECK(cluster.comes("-d 10.96.0.10/32 -p tcp -m comment --comment \"demo/web:http has no endpoints\""));
  server.put(slice_object("web", {kPodA, kPodC}));
  CHECK(cluster.comes("demo/web:http -> 10.244.2.7:8080"));
  server.put(slice_object("web", {kPodA}));
  CHECK(cluster.goes("demo/web:http -> 10.244.2.7:8080"));
  server.put(service_object("web", "10.96.0.99", 30080));
  CHECK(cluster.comes("-d 10.96.0.99/32 -p tcp -m comment --comment \"demo/web:http cluster IP\""));
  server.remove(kServicesPath, "demo", "web");
  CHECK(cluster.goes("demo/web"));
  CHECK(changed_lines(cluster.fresh_rules(), saved_rules(cluster.bare.node)) == "");
  CHECK(agent.running());
}

TEST_CASE("an object that is refused is named and leaves the rest working") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  cluster.server.put(node_object());
  auto broken = service_object("broken", "10.96.0.11");
  broken["spec"]["ports"][0]["port"] = 700'000;
  cluster.server.put(broken);
  cluster.server.put(service_object("web", "10.96.0.10"));
  auto agent = cluster.start();
  CHECK(cluster.comes("10.96.0.10/32"));
  CHECK(says(agent, "demo/broken"));
  cluster.server.put(service_object("broken", "10.96.0.11"));
  CHECK(cluster.comes("10.96.0.11/32"));
}

TEST_CASE("run --once, render and diff with an API server") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  cluster.server.put(node_object());
  cluster.server.put(service_object("web", "10.96.0.10"));
  cluster.server.put(slice_object("web", {kPodA, kPodC}));

  const auto rendered = cluster.invoke("render");
  INFO(rendered.describe());
  CHECK(rendered.ok());
  CHECK(rendered.out.find("--to-destination 10.244.2.7:8080") != std::string::npos);
  CHECK(cluster.invoke("diff").status == 1);

  const auto once = cluster.invoke("run", {"--once"});
  INFO(once.describe());
  CHECK(once.ok());
  CHECK(cluster.has("--to-destination 10.244.2.7:8080"));
  const auto diff = cluster.invoke("diff");
  INFO(diff.describe());
  CHECK(diff.ok());

  // The same by flags alone, and with --master before the kubeconfig's server.
  const std::string kubeconfig = (cluster.files.path() / "kubeconfig.yaml").string();
  const std::vector<std::string> flags{program(), "render", "--kubeconfig", kubeconfig, "--hostname-override",
                                       "node-1"};
  CHECK(run_in(cluster.bare.node, flags).out.find("demo/web:http -> 10.244.2.7:8080") != std::string::npos);
  cluster.write_kubeconfig("http://127.0.0.1:1");
  CHECK(run_in(cluster.bare.node, {program(), "render", "--kubeconfig", kubeconfig, "--hostname-override", "node-1",
                                   "--master", cluster.server.url()})
            .ok());
}

TEST_CASE("SIGTERM ends the agent and leaves the rules; the next one writes nothing") {
  KUBENATD_NEEDS_NAMESPACES();
  ClusterNode cluster;
  cluster.server.put(node_object());
  cluster.server.put(service_object("web", "10.96.0.10"));
  cluster.server.put(slice_object("web", {kPodA}));
  {
    auto agent = cluster.start();
    REQUIRE(says(agent, "ready"));
    REQUIRE(cluster.is_watched());
    agent.signal(SIGTERM);
    const auto ended = agent.wait(kPatience);
    REQUIRE(ended);
    CHECK(ended->status == 0);
  }
  CHECK(cluster.has("--to-destination 10.244.1.5:8080"));
  const unsigned before = nf_tables_generation(cluster.bare.node);
  auto agent = cluster.start();
  REQUIRE(says(agent, "ready"));
  CHECK(nf_tables_generation(cluster.bare.node) == before);
}

}  // namespace
}  // namespace kubenatd::test
