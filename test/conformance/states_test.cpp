#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "test/conformance/compare.h"
#include "test/conformance/states.h"
#include "test/support/cluster.h"
#include "test/support/places.h"

/// States: objects, a configuration and the iptables-save texts that they must lead to.
namespace kubenatd::test {
namespace {

namespace fs = std::filesystem;

/// For a test that is nothing without them.
std::vector<fs::path> needed_recorded_states() {
  auto states = recorded_states();
  if (states.empty())
    std::printf("SKIPPED: no recorded states in %s (set KUBENATD_CONFORMANCE)\n", recorded_folder().c_str());
  return states;
}

/// Those that have every kind of rule between them: what a slow machine tries of the project's own.
constexpr std::array kVaried{"dual-stack-affinity", "host-ports", "lb-local-ranges-external-ips", "udp-tcp-same-port"};

/// The project's own states, of these names or of all others.
std::vector<fs::path> own_states_varied(bool varied) {
  std::vector<fs::path> states = own_states();
  std::erase_if(states, [&](const fs::path& state) {
    return (std::ranges::find(kVaried, state.filename()) != kVaried.end()) != varied;
  });
  if (varied) {
    REQUIRE(states.size() == kVaried.size());
  } else {
    REQUIRE(states.size() >= 8);
  }
  return states;
}

void check_state(const fs::path& state) {
  const Applied applied(state);
  const auto result = applied.run_once();
  if (!result.ok()) return report(state, "run --once", {result.describe()});

  const auto four = applied.live(false);
  const auto six = applied.live(true);
  report(state, "IPv4", differences(read_file(state / "iptables-save"), four));
  report(state, "IPv6", differences(read_file(state / "ip6tables-save"), six));
  // Rendering is the same state without a kernel.
  report(state, "render IPv4", differences(four, applied.rendered("ipv4")));
  report(state, "render IPv6", differences(six, applied.rendered("ipv6")));

  const auto generation = nf_tables_generation(applied.bare.node);
  const auto again = applied.run_once();
  if (!again.ok()) report(state, "second run --once", {again.describe()});
  if (nf_tables_generation(applied.bare.node) != generation) report(state, "second run --once", {"wrote something"});
  const auto diff = run_in(applied.bare.node, applied.arguments("diff"));
  if (!diff.ok()) report(state, "diff", {diff.describe()});
}

TEST_CASE("The project's most varied states lead to their expected rules", "[short]") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : own_states_varied(true)) check_state(state);
}

TEST_CASE("The project's other states lead to their expected rules") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : own_states_varied(false)) check_state(state);
}

TEST_CASE("States recorded from kube-proxy lead to its rules") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : needed_recorded_states()) check_state(state);
}

TEST_CASE("States recorded from kube-proxy are equal by the comparison that comes with them") {
  KUBENATD_NEEDS_NAMESPACES();
  const auto script = recorded_folder() / "compare.py";
  const auto states = needed_recorded_states();
  if (!states.empty() && (!fs::exists(script) || !run({"python3", "--version"}).ok())) {
    std::printf("SKIPPED: no %s or no python3\n", script.c_str());
    return;
  }
  const TempFolder folder;
  for (const auto& state : states) {
    const Applied applied(state);
    const auto result = applied.run_once();
    if (!result.ok()) report(state, "run --once", {result.describe()});
    for (const bool ipv6 : {false, true}) {
      const std::string name = ipv6 ? "ip6tables-save" : "iptables-save";
      const auto actual = folder.write(name, applied.live(ipv6));
      const auto compared = run({"python3", script.string(), (state / name).string(), actual.string()});
      if (!compared.ok()) report(state, name, lines_of(compared.out + compared.err));
    }
  }
}

/// The chains that all writers of host ports share stay, as the portmap plugin leaves them; no rule leads out of them.
bool is_shared_host_port_line(const std::string& line) {
  return line.find("CNI-HOSTPORT-") != std::string::npos && line.find("CNI-DN-") == std::string::npos;
}

TEST_CASE("One node that goes from state to state keeps nothing of the last") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  // Forward and backward, so that every kind of rule is also taken away.
  auto states = own_states();
  const auto recorded = recorded_states();
  states.insert(states.end(), recorded.begin(), recorded.end());
  auto order = states;
  order.insert(order.end(), states.rbegin(), states.rend());
  for (const auto& state : order) {
    // One state asks for it; it lasts, and what is in the kernel at start decides about a rule.
    set_sysctl(bare.node, "net/netfilter/nf_conntrack_tcp_be_liberal", "0");
    const auto result =
        run_in(bare.node, {program(), "run", "--manifests", state.string(), "--config",
                           (state / "config.yaml").string(), "--hostname-override", "node-1", "--once"});
    if (!result.ok()) report(state, "run --once", {result.describe()});
    auto found = differences(read_file(state / "iptables-save"), must_run_in(bare.node, {"iptables-save"}));
    // KUBE-FIREWALL is kubelet's too: like kube-proxy, kubenatd takes nothing out of it.
    std::erase_if(found, [](const std::string& line) { return line.starts_with("filter KUBE-FIREWALL: + ! -s 127"); });
    std::erase_if(found, is_shared_host_port_line);
    report(state, "IPv4", found);
    auto found6 = differences(read_file(state / "ip6tables-save"), must_run_in(bare.node, {"ip6tables-save"}));
    std::erase_if(found6, is_shared_host_port_line);
    report(state, "IPv6", found6);
  }
}

// There is no text of kube-proxy's to compare with; that the kernel takes a state and gives it back as it was is one.
void check_in_nftables_mode(const fs::path& state) {
  Applied applied(state);
  const TempFolder folder;
  // None of them says a mode.
  applied.config = folder.write("config.yaml", read_file(state / "config.yaml") + "\nmode: nftables\n");
  const auto result = applied.run_once();
  if (!result.ok()) return report(state, "run --once", {result.describe()});
  const auto listed = must_run_in(applied.bare.node, {"nft", "list", "table", "ip", "kubenatd"});
  if (listed.find("map ") == std::string::npos) report(state, "table ip kubenatd", lines_of(listed));

  const auto generation = nf_tables_generation(applied.bare.node);
  const auto again = applied.run_once();
  if (!again.ok()) report(state, "second run --once", {again.describe()});
  if (nf_tables_generation(applied.bare.node) != generation) report(state, "second run --once", {"wrote something"});
  const auto diff = run_in(applied.bare.node, applied.arguments("diff"));
  if (!diff.ok()) report(state, "diff", {diff.describe()});
}

TEST_CASE("The project's most varied states become a table in nftables mode that a second run leaves",
          "[nftables][short]") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : own_states_varied(true)) check_in_nftables_mode(state);
}

TEST_CASE("The project's other states become a table in nftables mode that a second run leaves", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : own_states_varied(false)) check_in_nftables_mode(state);
}

TEST_CASE("States recorded from kube-proxy become a table in nftables mode that a second run leaves", "[nftables]") {
  KUBENATD_NEEDS_NAMESPACES();
  for (const auto& state : needed_recorded_states()) check_in_nftables_mode(state);
}

}  // namespace
}  // namespace kubenatd::test
