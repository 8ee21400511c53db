#include <fmt/format.h>

#include <chrono>
#include <random>
#include <thread>

#include "test/cluster/cluster_support.h"

/// Thousands of changes at random, through a server that has all kinds of trouble meanwhile.
namespace kubenatd::test {
namespace {

using nlohmann::json;

/// Changes of Services, EndpointSlices and the Node, the same ones for the same seed.
class RandomObjects {
 public:
  RandomObjects(ApiServer& server, unsigned seed) : server_(server), random_(seed) {}

  void change() {
    const std::string name = fmt::format("s{}", below(kServices));
    const unsigned kind = below(100);
    if (kind < 25) return server_.put(service(name));
    if (kind < 35) return server_.remove(kServicesPath, "demo", name);
    if (kind < 88) return server_.put(slice(name));
    if (kind < 97) return server_.remove(kSlicesPath, "demo", name + "-x");
    json node = node_object();
    node["metadata"]["labels"]["topology.kubernetes.io/zone"] = below(2) == 0 ? "zone-a" : "zone-b";
    server_.put(node);
  }

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

 private:
  static constexpr unsigned kServices = 60;

  json service(const std::string& name) {
    const unsigned number = static_cast<unsigned>(std::stoul(name.substr(1)));
    json object = service_object(name, fmt::format("10.96.{}.{}", below(2), number + 1),
                                 below(3) == 0 ? static_cast<int>(30000 + number) : 0);
    json& spec = object["spec"];
    if (below(4) == 0) {
      spec["sessionAffinity"] = "ClientIP";
      spec["sessionAffinityConfig"] = {{"clientIP", {{"timeoutSeconds", 10 + below(100)}}}};
    }
    if (below(4) == 0) spec["internalTrafficPolicy"] = "Local";
    if (spec["type"] == "NodePort" && below(2) == 0) spec["externalTrafficPolicy"] = "Local";
    if (below(5) == 0) spec["externalIPs"] = {fmt::format("192.0.2.{}", number + 1)};
    if (below(3) == 0)
      spec["ports"].push_back({{"name", "dns"}, {"port", 53}, {"targetPort", 8080}, {"protocol", "UDP"}});
    return object;
  }

  json slice(const std::string& name) {
    std::vector<std::string> addresses;
    for (unsigned i = below(6); i > 0; --i)
      addresses.push_back(fmt::format("10.244.{}.{}", 1 + below(2), 2 + below(30)));
    json object = slice_object(name, addresses);
    if (below(2) == 0) object["ports"].push_back({{"name", "dns"}, {"port", 8053}, {"protocol", "UDP"}});
    const bool hints = below(3) == 0;
    for (json& endpoint : object["endpoints"]) {
      if (below(5) == 0) endpoint["conditions"] = {{"ready", false}, {"serving", true}, {"terminating", true}};
      if (hints) endpoint["hints"] = {{"forZones", {{{"name", below(2) == 0 ? "zone-a" : "zone-b"}}}}};
    }
    return object;
  }

  ApiServer& server_;
  std::mt19937 random_;
};

TEST_CASE("thousands of changes end in the chains of a fresh start") {
  KUBENATD_NEEDS_NAMESPACES();
  const unsigned seed = GENERATE(1U, 2U);
  INFO("seed " << seed);
  ClusterNode cluster;
  ApiServer& server = cluster.server;
  RandomObjects objects(server, seed);
  server.put(node_object());
  auto agent = cluster.start();
  REQUIRE(cluster.is_watched());

  constexpr int kChanges = 4000;
  for (int i = 0; i < kChanges; ++i) {
    objects.change();
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(objects.below(8)));
    if (i % 500 != 499) continue;
    switch (i / 500) {
      case 1: server.cut(); break;
      case 2:
        // On a busy machine the first sync may be still to come.
        REQUIRE(eventually([&] { return saved_rules(cluster.bare.node).contains("KUBE-SERVICES"); }, kPatience));
        must_run_in(cluster.bare.node, {"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
        break;
      case 3: server.say(kSlicesPath, "{\"type\":"); break;
      case 4:
        server.forget_history();
        server.cut();
        break;
      case 5:
        server.go_away();
        server.come_back();
        break;
      default: break;
    }
  }
  const std::string wanted = cluster.fresh_rules();
  std::string differs;
  const bool same = eventually(
      [&] {
        differs = changed_lines(wanted, saved_rules(cluster.bare.node));
        return differs.empty();
      },
      kPatience);
  INFO(differs);
  INFO(agent.err());
  CHECK(same);
  CHECK(wanted.find("-A KUBE-SVC-") != std::string::npos);
  CHECK(changed_lines(cluster.fresh_rules(true), saved_rules(cluster.bare.node, true)) == "");
  const auto diff = cluster.invoke("diff");
  INFO(diff.describe());
  CHECK(diff.ok());
  CHECK(agent.running());
}

}  // namespace
}  // namespace kubenatd::test
