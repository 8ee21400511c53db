#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "test/conformance/compare.h"
#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// Past 1000 endpoints kube-proxy leaves out the comments of endpoints, and those only.
namespace kubenatd::test {
namespace {

std::vector<EndpointSpec> endpoints(int count, int subnet) {
  std::vector<EndpointSpec> result;
  for (int i = 0; i < count; ++i) result.push_back({fmt::format("10.244.{}.{}", subnet + i / 200, 1 + i % 200)});
  return result;
}

struct Counts {
  int endpoint_rules = 0, endpoint_comments = 0;
  int sep_rules = 0, sep_comments = 0;
  int other_comments = 0;
};

Counts count(const Manifests& manifests) {
  const auto result =
      run({program(), "render", "--manifests", manifests.path(), "--hostname-override", "node-1", "--family", "ipv4"});
  INFO(result.err);
  REQUIRE(result.ok());
  Counts counts;
  for (const auto& line : lines_of(result.out)) {
    const bool comment = line.find("--comment") != std::string::npos;
    if (line.starts_with("-A KUBE-SVC-") && line.find("-j KUBE-SEP-") != std::string::npos) {
      ++counts.endpoint_rules;
      counts.endpoint_comments += comment;
    } else if (line.starts_with("-A KUBE-SEP-")) {
      ++counts.sep_rules;
      counts.sep_comments += comment;
    } else if (line.find("demo/") != std::string::npos) {
      counts.other_comments += comment;
    }
  }
  return counts;
}

TEST_CASE("Endpoints lose their comments past 1000 of them in all services together") {
  const Manifests manifests;
  const ServiceSpec one{.name = "one", .cluster_ips = {"10.96.0.1"}};
  const ServiceSpec two{.name = "two", .cluster_ips = {"10.96.0.2"}};
  manifests.put(one, endpoints(600, 10));
  manifests.put(two, endpoints(400, 20));
  const auto at_limit = count(manifests);
  CHECK(at_limit.endpoint_rules == 1000);
  CHECK(at_limit.endpoint_comments == 1000);
  CHECK(at_limit.sep_rules == 2000);
  CHECK(at_limit.sep_comments == 2000);
  CHECK(at_limit.other_comments == 2);

  // One that is not even ready counts too.
  auto more = endpoints(401, 20);
  more.back().ready = false;
  manifests.put(two, more);
  const auto past = count(manifests);
  CHECK(past.endpoint_rules == 1000);
  CHECK(past.endpoint_comments == 0);
  CHECK(past.sep_rules == 2000);
  CHECK(past.sep_comments == 0);
  CHECK(past.other_comments == 2);
}

TEST_CASE("Crossing the limit to and fro ends in the same rules as starting there") {
  KUBENATD_NEEDS_NAMESPACES();
  const Manifests manifests;
  const ServiceSpec one{.name = "one", .cluster_ips = {"10.96.0.1"}};
  const ServiceSpec two{.name = "two", .cluster_ips = {"10.96.0.2"}};
  manifests.put(one, endpoints(995, 10));
  manifests.put(two, endpoints(5, 20));
  const BareNode bare;
  const Agent agent(bare.node, manifests);
  agent.apply();
  const auto below = saved_rules(bare.node);
  manifests.put(two, endpoints(6, 20));
  agent.apply();
  const BareNode fresh;
  Agent(fresh.node, manifests).apply();
  CHECK(differences(saved_rules(fresh.node), saved_rules(bare.node)).empty());
  manifests.put(two, endpoints(5, 20));
  agent.apply();
  CHECK(changed_lines(below, saved_rules(bare.node)) == "");
}

}  // namespace
}  // namespace kubenatd::test
