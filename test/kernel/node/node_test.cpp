#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "agent/node/check.h"
#include "agent/node/show.h"
#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/writer.h"
#include "test/support/netns.h"

/// This kernel, which can do both modes.
namespace kubenatd::agent::node {
namespace {

using config::Config;

struct Facts {
  Config config = config::default_config();
  config::Environment environment;
  std::optional<objects::Node> node;
  [[nodiscard]] dataplane::NodeFacts get() const {
    return {.config = config, .environment = environment, .node = node, .known_endpoints = 0, .service_cidrs = {}};
  }
};

}  // namespace

TEST_CASE("this kernel can do both modes in both families, which is found out without a trace") {
  if (!test::enter_fresh_namespace()) return;
  auto tables = netlink::NfTables::open();
  REQUIRE(tables);
  auto monitor = netlink::Monitor::open();
  REQUIRE(monitor);
  REQUIRE(monitor->join());
  const auto before = tables->generation();
  REQUIRE(before);
  Facts facts;
  facts.environment.has_nfacct = false;
  dataplane::NetlinkKernel kernel;
  const Report report = check_kernel(
      kernel, {.modes = {Config::Mode::kIptables, Config::Mode::kNftables}, .facts = facts.get(), .rival = {}});
  INFO(to_text(report));
  for (const Finding& finding : report.findings)
    if (finding.mode) CHECK(finding.state == State::kYes);
  CHECK(report.findings.size() > 40);
  const auto after = tables->generation();
  REQUIRE(after);
  CHECK(*after == *before);
  for (const char* table : {"nat", "filter", "mangle", "kubenatd", "kubenatd-trial", "kubenatd-trial-nat"})
    for (const rules::Family family : rules::kFamilies) CHECK(tables->has_table(family, table) == false);
  std::size_t heard = 0;
  REQUIRE(monitor->drain([&heard](const auto& /*event*/) { ++heard; }));
  CHECK(heard == 0);
}

TEST_CASE("beside rules in use it is found out the same way, and they stay") {
  if (!test::enter_fresh_namespace()) return;
  auto tables = netlink::NfTables::open();
  REQUIRE(tables);
  Facts facts;
  facts.environment.has_nfacct = false;
  dataplane::NetlinkKernel kernel;
  // Tables of the same names, with base chains in them.
  netlink::Batch batch;
  for (const char* chain : {"PREROUTING", "POSTROUTING"}) {
    netlink::iptables::add_table(batch, rules::Family::kIpv4, rules::Table::kNat);
    netlink::iptables::add_base_chain(batch, rules::Family::kIpv4, rules::Table::kNat, chain);
  }
  REQUIRE(tables->commit(batch, std::nullopt));
  const Report report = check_kernel(kernel, {.modes = {Config::Mode::kIptables}, .facts = facts.get(), .rival = {}});
  INFO(to_text(report));
  CHECK(verdict_on(Config::Mode::kIptables, report.findings) == State::kYes);
  CHECK(tables->has_chain(rules::Family::kIpv4, rules::Table::kNat, "PREROUTING") == true);
  CHECK(tables->has_chain(rules::Family::kIpv4, rules::Table::kNat, "kubenatd-trial") == false);
}

TEST_CASE("without the rights it is said so") {
  if (!test::enter_fresh_namespace()) return;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(3);
    Facts facts;
    dataplane::NetlinkKernel kernel;
    const Report report = check_node(kernel, {.modes = {Config::Mode::kNftables}, .facts = facts.get(), .rival = {}});
    const bool unknown = verdict_on(Config::Mode::kNftables, report.findings) == State::kUnknown;
    const bool said =
        to_text(report).find("unknown  CAP_NET_ADMIN: this process does not have it") != std::string::npos;
    ::_exit(unknown && said ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace kubenatd::agent::node
