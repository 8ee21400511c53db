#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// More health check ports than the process may have descriptors.
namespace kubenatd::test {
namespace {

constexpr int kServices = 300;
constexpr int kFirstPort = 32000;

/// A node whose folder has the Services, and its agent, not started yet.
struct BusyNode {
  BusyNode() {
    for (int i = 0; i < kServices; ++i) {
      ServiceSpec service{.name = fmt::format("lb-{}", i),
                          .cluster_ips = {fmt::format("10.96.{}.{}", i / 250, i % 250)}};
      service.type = "LoadBalancer";
      service.external_policy = "Local";
      service.health_check_node_port = kFirstPort + i;
      manifests.put(service, ready({kPodA}));
    }
  }
  BareNode bare;
  Manifests manifests;
  Agent agent{bare.node, manifests};
};

/// `run` with limits of descriptors, soft and hard.
Child start_limited(const BareNode& bare, const Agent& agent, int soft, int hard) {
  std::vector<std::string> command{"sh", "-c", fmt::format("ulimit -Sn {} && ulimit -Hn {} && exec \"$@\"", soft, hard),
                                   "sh", program()};
  for (std::string& word : agent.command("run")) command.push_back(std::move(word));
  ProcessOptions options;
  options.namespace_fd = bare.node.fd();
  return Child(command, options);
}

std::string status_of(const BareNode& bare, const std::string& path, int port) {
  const auto answer = run_in(bare.node, {"python3", "-c",
                                         "import sys, urllib.request as u, urllib.error as e\n"
                                         "try: print(u.urlopen(sys.argv[1], timeout=5).status)\n"
                                         "except e.HTTPError as h: print(h.code)\n"
                                         "except OSError as o: print(o)",
                                         fmt::format("http://127.0.0.1:{}{}", port, path)});
  return answer.out.substr(0, answer.out.find('\n'));
}

std::size_t listeners(const BareNode& bare) {
  std::size_t count = 0;
  for (const std::string& line : lines_of(must_run_in(bare.node, {"cat", "/proc/net/tcp", "/proc/net/tcp6"})))
    for (int i = 0; i < kServices; ++i)
      if (line.find(fmt::format(":{:04X} ", kFirstPort + i)) != std::string::npos &&
          line.find(" 0A ") != std::string::npos)
        ++count;
  return count;
}

}  // namespace

TEST_CASE("Many health check ports under a low soft limit of descriptors are all open") {
  KUBENATD_NEEDS_NAMESPACES();
  const BusyNode node;
  const auto& [bare, manifests, agent] = node;
  Child child = start_limited(bare, agent, 256, 2048);
  CHECK(eventually([&] { return listeners(bare) == kServices; }, std::chrono::seconds(30)));
  CHECK(status_of(bare, "/", kFirstPort + kServices - 1) == "200");
  CHECK(status_of(bare, "/healthz", 10256) == "200");
}

TEST_CASE("More health check ports than descriptors: the rest is named and everything else goes on") {
  KUBENATD_NEEDS_NAMESPACES();
  const BusyNode node;
  const auto& [bare, manifests, agent] = node;
  Child child = start_limited(bare, agent, 256, 256);
  CHECK(eventually([&] { return status_of(bare, "/healthz", 10256) == "200"; }, std::chrono::seconds(30)));
  CHECK(eventually([&] { return child.err().find("LimitNOFILE=") != std::string::npos; }));
  const std::size_t open = listeners(bare);
  CHECK(open >= 100);
  CHECK(open < kServices);
  CHECK(status_of(bare, "/metrics", 10249) == "200");
  // Objects are still followed.
  manifests.put({.name = "lb-0", .cluster_ips = {"10.96.0.0"}}, ready({kPodB}));
  CHECK(eventually([&] { return has_rule(bare.node, kPodB); }));
}

}  // namespace kubenatd::test
