#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// Manifests that are wrong: named in one line, and everything else goes on.
namespace kubenatd::test {
namespace {

const ServiceSpec kGood{.name = "good", .cluster_ips = {"10.96.0.10"}};

std::string service_with(const std::string& name, const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: demo}\nspec:\n" + spec;
}

TEST_CASE("A malformed manifest is named and leaves the rest working") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(kGood, ready({kPodA}));
  const std::vector<std::pair<std::string, std::string>> bad{
      {"broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: [\n"},
      {"broken.json", "{\"kind\": \"Service\", "},
      {"binary.yaml", std::string("\x00\xff\xfe\x01 kind", 9)},
      {"tabs.yaml", "kind:\tService\n\tmetadata: x\n"},
      {"scalar.yaml", "just a word\n"},
      {"list.yaml", "- 1\n- 2\n"},
      {"port.yaml", service_with("port", "  clusterIP: 10.96.0.20\n  ports: [{port: 70000}]\n")},
      {"negative.yaml", service_with("negative", "  clusterIP: 10.96.0.21\n  ports: [{port: -1}]\n")},
      {"address.yaml", service_with("address", "  clusterIP: 10.96.0.256\n  ports: [{port: 80}]\n")},
      {"protocol.yaml", service_with("protocol", "  clusterIP: 10.96.0.22\n  ports: [{port: 80, protocol: ICMP}]\n")},
      {"spec.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: spec, namespace: demo}\nspec: 7\n"},
      {"noname.yaml", "apiVersion: v1\nkind: Service\nspec: {clusterIP: 10.96.0.23}\n"},
      {"slice.yaml",
       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata: {name: slice, "
       "namespace: demo, labels: {kubernetes.io/service-name: good}}\nports: 3\nendpoints: [[]]\n"},
  };
  for (const auto& [name, text] : bad) manifests.write(name, text);
  const Agent agent(bare.node, manifests);
  const auto result = agent.once();
  INFO(result.describe());

  CHECK(result.status != 0);  // something could not be applied
  CHECK(result.status < 256);
  CHECK(has_rule(bare.node, "demo/good:http cluster IP"));
  CHECK_FALSE(has_rule(bare.node, "10.96.0.2"));
  const auto said = result.out + result.err;
  for (const auto* name :
       {"broken.yaml", "broken.json", "demo/port", "demo/negative", "demo/address", "demo/protocol", "demo/spec"}) {
    INFO(name);
    CHECK(said.find(name) != std::string::npos);
  }
  CHECK(said.find("70000") != std::string::npos);
}

TEST_CASE("A file that turns bad keeps what it gave, and is heard again when it is good") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(kGood, ready({kPodA}));
  const Agent agent(bare.node, manifests);
  agent.apply();
  auto daemon = agent.start();
  // It has read the file when it follows another one.
  const ServiceSpec first{.name = "first", .cluster_ips = {"10.96.0.12"}};
  manifests.put(first, ready({kPodB}));
  REQUIRE(eventually([&] { return has_rule(bare.node, "demo/first:http cluster IP"); }));

  manifests.write("good.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: [\n");
  const ServiceSpec marker{.name = "marker", .cluster_ips = {"10.96.0.11"}};
  manifests.put(marker, ready({kPodB}));
  CHECK(eventually([&] { return has_rule(bare.node, "demo/marker:http cluster IP"); }));
  CHECK(has_rule(bare.node, "demo/good:http cluster IP"));

  auto changed = kGood;
  changed.cluster_ips = {"10.96.0.99"};
  manifests.put(changed);
  CHECK(eventually([&] { return has_rule(bare.node, "-A KUBE-SERVICES -d 10.96.0.99/32"); }));
  CHECK_FALSE(has_rule(bare.node, "10.96.0.10/32"));
  CHECK(daemon.running());
}

TEST_CASE("Names and texts in manifests cannot break out of their rule") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(kGood, ready({kPodA}));
  manifests.write("evil.yaml",
                  "apiVersion: v1\nkind: Service\nmetadata:\n  name: \"x\\\" -j ACCEPT\\n-A INPUT -j ACCEPT\"\n"
                  "  namespace: demo\nspec: {clusterIP: 10.96.0.30, ports: [{port: 80}]}\n");
  manifests.write("long.yaml",
                  service_with(std::string(70'000, 'a'), "  clusterIP: 10.96.0.31\n  ports: [{port: 80}]\n"));
  const Agent agent(bare.node, manifests);
  const auto result = agent.once();
  INFO(result.err.substr(0, 4000));
  CHECK(result.status < 256);
  CHECK(has_rule(bare.node, "demo/good:http cluster IP"));
  CHECK_FALSE(has_rule(bare.node, "-A INPUT -j ACCEPT"));
  // What is in the kernel is still something that iptables can read back and write.
  const auto again = run_in(bare.node, {"iptables-restore", "--test"}, must_run_in(bare.node, {"iptables-save"}));
  INFO(again.describe());
  CHECK(again.ok());
}

TEST_CASE("Aliases that would unfold without end are refused") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(kGood, ready({kPodA}));
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i)
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  manifests.write("bomb.yaml", bomb);
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += '[';
  manifests.write("deep.yaml", deep);
  manifests.write("deep.json", deep);
  const Agent agent(bare.node, manifests);
  const auto result = agent.once();
  INFO(result.err.substr(0, 4000));
  CHECK(result.status < 256);
  CHECK(has_rule(bare.node, "demo/good:http cluster IP"));
}

TEST_CASE("An empty folder, one that is missing, one that cannot be read") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const TempFolder empty;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  const auto nothing =
      agent.invoke({"run", "--manifests", empty.path().string(), "--hostname-override", "node-1", "--once"});
  INFO(nothing.describe());
  CHECK(nothing.ok());
  const auto missing = agent.invoke(
      {"run", "--manifests", (empty.path() / "absent").string(), "--hostname-override", "node-1", "--once"});
  INFO(missing.describe());
  CHECK(missing.status != 0);
  CHECK(missing.status < 256);
  CHECK((missing.out + missing.err).find("absent") != std::string::npos);
}

}  // namespace
}  // namespace kubenatd::test
