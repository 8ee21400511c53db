#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "agent/node/connection_tracking.h"
#include "agent/node/fast_path.h"
#include "agent/node/forwarding.h"
#include "agent/node/leftovers.h"
#include "agent/node/limits.h"
#include "agent/node/rights.h"
#include "agent/node/table_ownership.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/writer.h"
#include "netlink/nftables/codec.h"
#include "test/support/fake/kernel.h"

/// What is said of a node by the facts about it.
namespace kubenatd::agent::node {
namespace {

using config::Config;

const Finding& find(const Findings& findings, std::string_view name) {
  for (const Finding& finding : findings)
    if (finding.name == name) return finding;
  FAIL("no finding " << name);
  return findings.front();
}

bool says(const Finding& finding, std::string_view text) {
  return (finding.what + finding.remedy).find(text) != std::string::npos;
}

/// A node on which all is well.
Forwarding good_forwarding() {
  return {.ipv4 = true,
          .ipv6 = true,
          .reverse_path = 2,
          .reverse_path_interface = "eth0",
          .route_localnet = true,
          .settings_writable = true,
          .has_bridge = true,
          .bridges_call_iptables = true,
          .bridges_call_ip6tables = true,
          .has_ipv6 = true,
          .ipv6_disabled = false};
}

void check_all_yes(const Findings& findings) {
  for (const Finding& finding : findings) {
    INFO(describe(finding));
    CHECK(finding.state == State::kYes);
  }
}

}  // namespace

TEST_CASE("rights: without CAP_NET_ADMIN nothing can be known, in a user namespace it may not count") {
  check_all_yes(judge(Rights{.net_admin = true, .user_namespace = false}));
  const Finding without = judge(Rights{.net_admin = false, .user_namespace = false}).front();
  CHECK(without.state == State::kUnknown);
  CHECK(says(without, "NET_ADMIN"));
  CHECK(judge(Rights{}).front().state == State::kUnknown);
  const Finding contained = judge(Rights{.net_admin = true, .user_namespace = true}).front();
  CHECK(contained.state == State::kWarning);
  CHECK(says(contained, "user namespace"));
}

TEST_CASE("own-table: whether others can change the table of nftables mode, and who owns it now") {
  using Own = config::Settings::OwnTable;
  check_all_yes(judge(TableOwners{.kernel_can = true, .owners = {}}, Own::kAuto));
  check_all_yes(judge(TableOwners{.kernel_can = false, .owners = {}}, Own::kAuto));
  check_all_yes(judge(TableOwners{}, Own::kOff));
  CHECK(says(judge(TableOwners{.kernel_can = true, .owners = {}}, Own::kOff).front(), "--own-table off"));
  const Finding lacking = judge(TableOwners{.kernel_can = false, .owners = {}}, Own::kOn).front();
  CHECK(lacking.state == State::kWarning);
  CHECK(lacking.since == "6.9");
  const Finding unknown = judge(TableOwners{}, Own::kAuto).front();
  CHECK(unknown.state == State::kUnknown);
  CHECK(verdict_on(Config::Mode::kNftables, {unknown}) == State::kYes);
  CHECK(says(judge(TableOwners{.kernel_can = true, .owners = {"ip kubenatd by kubenatd (4711)"}}, Own::kAuto).front(),
             "owned now: ip kubenatd by kubenatd (4711)"));
}

TEST_CASE("own-table: is found out from the kernel, of which nothing stays") {
  kubenatd::test::FakeKernel kernel;
  CHECK(read_table_owners(kernel).kernel_can == true);
  CHECK(kernel.tables(rules::Family::kIpv4).empty());
  netlink::NfTables other(kernel.connect().value());
  netlink::Batch batch;
  netlink::nftables::add_nft_table(batch, rules::Family::kIpv4, netlink::kTableOwner | netlink::kTablePersist);
  REQUIRE(other.commit(batch, std::nullopt));
  const TableOwners owned = read_table_owners(kernel);
  REQUIRE(owned.owners.size() == 1);
  CHECK(owned.owners.front().starts_with("ip kubenatd by "));
  kernel.know_table_flags(0x3);
  CHECK(read_table_owners(kernel).kernel_can == false);
  kernel.withhold_rights();
  CHECK_FALSE(read_table_owners(kernel).kernel_can);
}

TEST_CASE("fast-path: whether connections can bypass the rules, and on which devices") {
  using rules::nftables::FastPath;
  const std::vector<config::DevicePattern> none, every{{"auto"}};
  const node::FastPath can{.support = dataplane::FastPathSupport{.can = FastPath::kTcpAndUdp, .limit = {}},
                           .devices = {{"eth0", 2}, {"cni0", 3}}};
  check_all_yes(judge(can, every));
  check_all_yes(judge(can, none));
  CHECK(says(judge(can, every).front(), "bypass the rules on 2 devices"));
  CHECK(says(judge(can, none).front(), "off; possible on 2 devices"));
  const node::FastPath idle{.support = can.support, .devices = {}};
  CHECK(judge(idle, every).front().state == State::kWarning);
  const node::FastPath lacking{
      .support = dataplane::FastPathSupport{.can = FastPath::kOff,
                                            .limit = "the kernel lacks CONFIG_NF_FLOW_TABLE (module nf_flow_table)"},
      .devices = {}};
  check_all_yes(judge(lacking, none));
  CHECK(judge(lacking, every).front().state == State::kWarning);
  CHECK(says(judge(lacking, every).front(), "CONFIG_NF_FLOW_TABLE"));
  const node::FastPath unknown{.support = std::unexpected(rules::Error{"nf_tables", "try out", "no rights", 1}),
                               .devices = {}};
  CHECK(judge(unknown, every).front().state == State::kUnknown);
}

TEST_CASE("connection tracking: not loaded, loaded only now, nearly full") {
  check_all_yes(judge(ConnectionTracking{true, 100, 262144, false}));
  check_all_yes(judge(ConnectionTracking{true, 235000, 262144, true}));
  const Finding full = find(judge(ConnectionTracking{true, 240000, 262144, false}), "conntrack");
  CHECK(full.state == State::kWarning);
  CHECK(says(full, "240000 of 262144"));
  const Finding late = find(judge(ConnectionTracking{false, 0, 262144, false}), "conntrack");
  CHECK(late.state == State::kWarning);
  CHECK(says(late, "was not loaded before"));
  CHECK(says(late, "/etc/modules-load.d"));
  const Finding absent = find(judge(ConnectionTracking{false, std::nullopt, std::nullopt, std::nullopt}), "conntrack");
  CHECK(absent.state == State::kWarning);
  CHECK(says(absent, "modprobe nf_conntrack"));
}

TEST_CASE("forwarding: each switch that is wrong is named, and no other") {
  check_all_yes(judge(good_forwarding(), true));
  const auto only = [](void (*spoil)(Forwarding&), std::string_view name, std::string_view text) {
    Forwarding forwarding = good_forwarding();
    spoil(forwarding);
    const Findings findings = judge(forwarding, true);
    for (const Finding& finding : findings) {
      INFO(describe(finding));
      CHECK((finding.state == State::kYes) == (finding.name != name));
    }
    INFO(name);
    CHECK(find(findings, name).state == State::kWarning);
    CHECK(says(find(findings, name), text));
  };
  only([](Forwarding& f) { f.ipv4 = false; }, "ip_forward", "net.ipv4.ip_forward=1");
  only([](Forwarding& f) { f.ipv6 = false; }, "forwarding", "net.ipv6.conf.all.forwarding=1");
  only([](Forwarding& f) { f.reverse_path = 1; }, "rp_filter", "strict on eth0");
  only([](Forwarding& f) { f.bridges_call_iptables = false; }, "bridge-nf-call-iptables", "modprobe br_netfilter");
  only([](Forwarding& f) { f.bridges_call_ip6tables = false; }, "bridge-nf-call-ip6tables", "modprobe br_netfilter");
  only([](Forwarding& f) { f.ipv6_disabled = true; }, "ipv6", "disable_ipv6");
  only([](Forwarding& f) { f.has_ipv6 = false; }, "ipv6", "no IPv6 addresses");
  only([](Forwarding& f) { f.route_localnet = f.settings_writable = false; }, "route_localnet",
       "cannot be written from here");
}

TEST_CASE("forwarding: what is not wanted or not there is not asked for") {
  Forwarding forwarding = good_forwarding();
  forwarding.route_localnet = forwarding.settings_writable = false;
  CHECK(find(judge(forwarding, false), "route_localnet").state == State::kYes);
  forwarding = good_forwarding();
  forwarding.route_localnet = false;  // run sets it
  CHECK(find(judge(forwarding, true), "route_localnet").state == State::kYes);
  forwarding = good_forwarding();
  forwarding.has_bridge = forwarding.bridges_call_iptables = false;
  CHECK(find(judge(forwarding, true), "bridge-nf-call-iptables").state == State::kYes);
  forwarding = good_forwarding();
  forwarding.ipv4.reset();
  forwarding.reverse_path.reset();
  CHECK(find(judge(forwarding, true), "ip_forward").state == State::kUnknown);
  CHECK(find(judge(forwarding, true), "rp_filter").state == State::kUnknown);
}

TEST_CASE("limits: few descriptors, no inotify") {
  const Limits good{
      .descriptors = 1024, .most_descriptors = 524288, .inotify = 0, .inotify_instances = 128, .inotify_watches = 8192};
  check_all_yes(judge(good, 96));
  Limits few = good;
  few.descriptors = few.most_descriptors = 256;
  CHECK(find(judge(few, 96), "descriptors").state == State::kWarning);
  CHECK(says(find(judge(few, 96), "descriptors"), "hard limit 256"));
  few.most_descriptors = 64;
  CHECK(says(find(judge(few, 96), "descriptors"), "the work itself"));
  Limits instances = good;
  instances.inotify = EMFILE;
  CHECK(find(judge(instances, 96), "inotify").state == State::kWarning);
  CHECK(says(find(judge(instances, 96), "inotify"), "fs.inotify.max_user_instances"));
  instances.inotify = ENOSPC;
  CHECK(says(find(judge(instances, 96), "inotify"), "fs.inotify.max_user_watches"));
}

TEST_CASE("leftovers: each of another proxy is named") {
  const std::vector<Config::Mode> both{Config::Mode::kIptables, Config::Mode::kNftables};
  check_all_yes(judge(Leftovers{}, both, {}));
  const Findings alive = judge(Leftovers{}, both, "it answers at 127.0.0.1:10249");
  CHECK(find(alive, "other-proxy").state == State::kWarning);
  CHECK(says(find(alive, "other-proxy"), "127.0.0.1:10249"));

  Leftovers leftovers;
  leftovers.proxy_tables = {"ip kube-proxy", "ip6 kube-proxy"};
  leftovers.ipvs = {"interface kube-ipvs0", "chain nat KUBE-LOAD-BALANCER"};
  leftovers.legacy_tables = {"nat of iptables-legacy", "filter of iptables-legacy"};
  leftovers.not_read = {"tables of ip6tables-legacy: Permission denied"};
  Findings findings = judge(leftovers, both, {});
  CHECK(says(find(findings, "kube-proxy-tables"), "ip kube-proxy, ip6 kube-proxy"));
  CHECK(says(find(findings, "ipvs"), "kube-ipvs0"));
  CHECK(find(findings, "iptables-legacy").state == State::kWarning);
  CHECK(says(find(findings, "iptables-legacy"), "nat of iptables-legacy, filter of iptables-legacy"));
  CHECK(find(findings, "leftovers").state == State::kUnknown);
  CHECK(verdict_on(Config::Mode::kIptables, findings) == State::kYes);  // what is beside does not keep it from running

  leftovers.legacy_services = {"nat of iptables-legacy"};
  leftovers.own_tables = {"ip kubenatd"};
  leftovers.proxy_chains = {"ip nat KUBE-SERVICES"};
  findings = judge(leftovers, {Config::Mode::kIptables}, {});
  CHECK(says(find(findings, "iptables-legacy"), "Services of a kube-proxy"));
  CHECK(says(find(findings, "other-mode"), "ip kubenatd"));
  CHECK(says(find(judge(leftovers, {Config::Mode::kNftables}, {}), "other-mode"), "ip nat KUBE-SERVICES"));
}

TEST_CASE("leftovers are found in the kernel") {
  test::FakeKernel kernel;
  test::ForeignWriter writer(kernel);
  netlink::Batch batch;
  netlink::iptables::add_table(batch, rules::Family::kIpv4, rules::Table::kNat);
  netlink::iptables::add_chain(batch, rules::Family::kIpv4, rules::Table::kNat, "KUBE-SERVICES");
  netlink::nftables::add_nft_table(batch, rules::Family::kIpv6);
  netlink::Batch table;
  netlink::nftables::add_nft_table(table, rules::Family::kIpv4);
  batch.append(table.in_table("kube-proxy"));
  REQUIRE(writer.write(batch));
  const Leftovers leftovers = read_leftovers(kernel);
  CHECK(leftovers.proxy_tables == std::vector<std::string>{"ip kube-proxy"});
  CHECK(leftovers.own_tables == std::vector<std::string>{"ip6 kubenatd"});
  CHECK(leftovers.proxy_chains == std::vector<std::string>{"ip nat KUBE-SERVICES"});
}

}  // namespace kubenatd::agent::node
