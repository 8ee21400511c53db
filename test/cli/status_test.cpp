#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "test/cli/cli_support.h"
#include "test/support/places.h"

/// What the running agent says of itself.
namespace kubenatd::test {
namespace {

using nlohmann::json;

/// `status -o json`, once it says what is waited for.
json status_until(const Agent& agent, const std::function<bool(const json&)>& wanted) {
  json last;
  for (int i = 0; i < 600; ++i) {
    auto command = agent.command("status");
    command.insert(command.end(), {"-o", "json"});
    const auto told = agent.invoke(command);
    if (told.status == 0 || told.status == 1) {
      last = json::parse(told.out);
      if (wanted(last)) return last;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  FAIL("the status never became what was wanted: " << last.dump(2));
  return last;
}

bool is_ready(const json& status) {
  return status.at("ready") == true;
}

TEST_CASE("status and services say plainly that no agent answers") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  for (const char* verb : {"status", "services"}) {
    const auto told = agent.invoke(agent.command(verb));
    INFO(told.describe());
    CHECK(told.status == 3);
    CHECK(told.out.empty());
    CHECK(told.err.find("127.0.0.1:10249") != std::string::npos);
    CHECK(told.err.find("no agent runs here") != std::string::npos);
  }
  const auto off = agent.invoke({"status", "--metrics-bind-address", "", "--metrics-port", "0"});
  INFO(off.describe());
  CHECK(off.status == 3);
  CHECK(off.err.find("no metrics address") != std::string::npos);
}

TEST_CASE("status tells of a running agent and of drift that it healed") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const Agent agent(bare.node, manifests);
  const Child running = agent.start();
  const json status = status_until(agent, is_ready);
  INFO(status.dump(2));
  CHECK(status.at("problems").empty());
  CHECK(status.at("mode") == (in_nftables_mode() ? "nftables" : "iptables"));
  CHECK(status.at("objects").at("services") == 1);
  CHECK(status.at("families").at(0).at("family") == "IPv4");
  CHECK(status.at("families").at(0).at("driftHealed") == 0);
  const auto text = agent.invoke(agent.command("status"));
  INFO(text.describe());
  CHECK(text.status == 0);
  CHECK(text.out.starts_with("kubenatd "));

  must_run_in(bare.node, {"iptables", "-t", "nat", "-I", "KUBE-SERVICES", "-d", "192.0.2.7", "-j", "RETURN"});
  const json healed =
      status_until(agent, [](const json& one) { return one.at("families").at(0).at("driftHealed") != 0; });
  CHECK(healed.at("families").at(0).contains("lastDrift"));
  CHECK(healed.at("lastHappening") > status.at("lastHappening"));
}

TEST_CASE("services lists what the running agent knows and shows one of them") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const Agent agent(bare.node, manifests);
  const Child running = agent.start();
  static_cast<void>(status_until(agent, is_ready));
  const auto all = agent.invoke(agent.command("services"));
  INFO(all.describe());
  CHECK(all.status == 0);
  CHECK(all.out.starts_with("NAMESPACE"));
  CHECK(all.out.find("10.96.0.10") != std::string::npos);
  auto one = agent.command("services");
  one.insert(one.begin() + 1, "web");
  const auto detail = agent.invoke(one);
  INFO(detail.describe());
  CHECK(detail.status == 0);
  CHECK(detail.out.find("NodePort 30080/tcp") != std::string::npos);
  CHECK(detail.out.find(kPodA) != std::string::npos);
  one.insert(one.end(), {"-o", "json"});
  const auto document = json::parse(agent.invoke(one).out);
  CHECK(document.at("rows").at(0).at("detail").size() == 2);
  one = agent.command("services");
  one.insert(one.begin() + 1, "nobody");
  const auto none = agent.invoke(one);
  INFO(none.describe());
  CHECK(none.status == 1);
  CHECK(none.out.empty());
}

}  // namespace
}  // namespace kubenatd::test
