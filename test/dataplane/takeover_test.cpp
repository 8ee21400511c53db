#include "agent/dataplane/takeover.h"

#include "test/dataplane/sync_support.h"

// Entries that another portmap left of dead containers, in both modes; the case gives the time.
namespace kubenatd::agent::test {
namespace {

using config::Config;
using dataplane::Takeover;
using dataplane::Time;

constexpr Time kStart = Time{} + std::chrono::hours(1);
constexpr const char* kChain = "CNI-DN-0d1f6a9b3c2e7f5a4b801";

objects::ObjectEvent put_node(const std::string& range = "10.244.1.0/24") {
  objects::Node node;
  node.key = {"", "node-1"};
  if (!range.empty()) node.pod_cidrs = {*rules::Prefix::parse(range)};
  return {objects::Kind::kNode, node.key, std::make_shared<const objects::Object>(node)};
}

objects::ObjectEvent put_pod(const std::string& name, const std::string& address, std::uint16_t host_port = 8080) {
  objects::Pod pod;
  pod.key = {"demo", name};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  if (!address.empty()) pod.addresses = {ip(address)};
  pod.ports = {{"", rules::Protocol::kTcp, 80, host_port, {}}};
  return {objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)};
}

/// Dataplane of IPv4 as the reconciler drives it, with a clock of the test's.
class Driven {
 public:
  explicit Driven(Config::Mode mode) : model_(config_of(mode), environment()), mode_(mode) {
    auto session = dataplane::NfSession::open(world().kernel());
    REQUIRE(session);
    session_.emplace(std::move(*session));
    REQUIRE(session_->start());
  }
  [[nodiscard]] dataplane::Dataplane& ipv4() { return model_.dataplane(rules::Family::kIpv4); }
  [[nodiscard]] dataplane::Model& model() { return model_; }

  /// A round: what others did is taken in, and what is due is done.
  dataplane::SyncReport round(std::vector<objects::ObjectEvent> events = {}) {
    if (!events.empty()) (void)model_.apply(std::move(events));
    const auto others = [&](const netlink::TableEvent& event) { (void)ipv4().note(event, now); };
    REQUIRE(session_->drain(others));
    if (!ipv4().due() || *ipv4().due() > now) return {};
    auto done = ipv4().sync(*session_, others, {.now = now, .everything = false});
    INFO((done ? "" : done.error().to_string()));
    REQUIRE(done);
    return std::move(*done);
  }
  /// Everything that is due until then.
  dataplane::SyncReport wait(dataplane::Clock::duration time) {
    const Time end = now + time;
    dataplane::SyncReport all;
    while (ipv4().due() && *ipv4().due() <= end) {
      now = std::max(now, *ipv4().due());
      const dataplane::SyncReport report = round();
      all.wrote = all.wrote || report.wrote;
      all.removed.insert(all.removed.end(), report.removed.begin(), report.removed.end());
      all.host_ports.insert(all.host_ports.end(), report.host_ports.begin(), report.host_ports.end());
      all.emptied.insert(all.emptied.end(), report.emptied.begin(), report.emptied.end());
      all.transactions += report.transactions;
    }
    now = end;
    return all;
  }
  /// Whether kubenatd has a rule or element that leads the port there.
  [[nodiscard]] bool serves(const std::string& address, std::uint16_t port = 8080) const {
    if (mode_ == Config::Mode::kNftables)
      return has_line(must_run("nft list map ip kubenatd hostports"),
                      "tcp . " + std::to_string(port) + " comment \"Pod demo/web\" : " + address + " . 80");
    return has_line(saved(), "--dport " + std::to_string(port) + " -j DNAT --to-destination " + address + ":80") &&
           has_line(saved(), "id: \\\"demo/web\\\"");
  }

  Time now = kStart;

 private:
  dataplane::Model model_;
  Config::Mode mode_;
  std::optional<dataplane::NfSession> session_;
};

void leave_entry(const std::string& address, const std::string& ports = "8080") {
  must_run("iptables -t nat -N CNI-HOSTPORT-DNAT");
  must_run(std::string("iptables -t nat -N ") + kChain);
  must_run(std::string("iptables -t nat -A ") + kChain + " -p tcp --dport 8080 -j DNAT --to-destination " + address +
           ":80");
  must_run("iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports " + ports + " -j " + kChain);
}

void leave_plain_entry(const std::string& address) {
  must_run("nft add table ip cni_hostport");
  must_run("nft add chain ip cni_hostport hostports");
  must_run("nft add rule ip cni_hostport hostports tcp dport 8080 dnat to " + address + ":80");
  must_run("nft add rule ip cni_hostport hostports tcp dport 9090 dnat to 10.244.1.98:80");
}

std::vector<std::string> texts(const dataplane::SyncReport& report) {
  std::vector<std::string> all;
  for (const auto& claim : report.removed) all.push_back(to_text_of_removed(claim));
  for (const auto& remark : report.host_ports) all.push_back(to_text(remark));
  return all;
}

const std::string kWithheld = std::string("Pod demo/web: hostPort 8080/tcp is withheld: chain ") + kChain +
                              " leads to 10.244.1.99:80, where no Pod of this node has that hostPort";

void takes_over(Config::Mode mode) {
  leave_entry("10.244.1.99");
  Driven driven(mode);
  CHECK(texts(driven.round({put_node(), put_pod("web", "10.244.1.11")})) == std::vector{kWithheld});
  CHECK_FALSE(driven.serves("10.244.1.11"));
  CHECK_FALSE(driven.wait(Takeover::kGrace - std::chrono::milliseconds(1)).wrote);
  CHECK(has_line(saved(), kChain));
  const dataplane::SyncReport report = driven.wait(std::chrono::milliseconds(1));
  CHECK(texts(report) == std::vector<std::string>{std::string("the entry for hostPort 8080/tcp of chain ") + kChain +
                                                      " leads to 10.244.1.99:80, where no Pod of this node has that "
                                                      "hostPort: it is removed",
                                                  "Pod demo/web: hostPort 8080/tcp is no longer withheld"});
  CHECK(report.transactions == 1);
  CHECK(driven.serves("10.244.1.11"));
  CHECK_FALSE(has_line(saved(), kChain));
  CHECK_FALSE(has_line(saved(), "10.244.1.99"));
  const auto written = generation();
  (void)driven.wait(10 * Takeover::kGrace);
  CHECK(generation() == written);
  netlink::NfTables tables = open_tables();
  dataplane::Model fresh(config_of(mode), environment());
  (void)fresh.apply({put_node(), put_pod("web", "10.244.1.11")});
  const auto difference = fresh.dataplane(rules::Family::kIpv4).diff(tables);
  REQUIRE(difference);
  CHECK(difference->objects.empty());
  CHECK(difference->host_ports.empty());
  {
    Driven again(mode);
    (void)again.round({put_node(), put_pod("web", "10.244.1.11")});
    (void)again.wait(2 * Takeover::kGrace);
    CHECK(generation() == written);
  }
  // The real container comes back, and the API tells of it later.
  must_run(std::string("iptables -t nat -N ") + kChain);
  must_run(std::string("iptables -t nat -A ") + kChain +
           " -p tcp --dport 8080 -j DNAT --to-destination 10.244.1.12:80");
  must_run(std::string("iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j ") + kChain);
  CHECK(driven.round().host_ports.size() == 1);
  CHECK_FALSE(driven.serves("10.244.1.11"));
  (void)driven.wait(Takeover::kGrace / 2);
  CHECK(driven.round({put_pod("web", "10.244.1.12")}).host_ports.size() == 1);
  (void)driven.wait(10 * Takeover::kGrace);
  CHECK(has_line(saved(), kChain));
  CHECK_FALSE(driven.serves("10.244.1.11"));
}

void leaves_what_may_live(Config::Mode mode) {
  leave_entry("10.244.1.99");
  Driven driven(mode);
  const auto stays = [&] {
    (void)driven.wait(10 * Takeover::kGrace);
    CHECK(has_line(saved(), std::string("-A ") + kChain));
    CHECK_FALSE(driven.serves("10.244.1.11"));
  };
  const auto goes = [&] {
    CHECK(driven.wait(10 * Takeover::kGrace).removed.size() == 1);
    CHECK_FALSE(has_line(saved(), kChain));
    CHECK(driven.serves("10.244.1.11"));
  };
  SECTION("the range of the node's pods is not known") {
    (void)driven.round({put_node(""), put_pod("web", "10.244.1.11")});
    stays();
    (void)driven.round({put_node()});
    goes();
  }
  SECTION("the address is outside that range") {
    (void)driven.round({put_node("10.244.7.0/24"), put_pod("web", "10.244.1.11")});
    stays();
  }
  SECTION("it is that of another pod with the port") {
    (void)driven.round({put_node(), put_pod("web", "10.244.1.11"), put_pod("late", "10.244.1.99")});
    stays();
    (void)driven.round({{objects::Kind::kPod, {"demo", "late"}, nullptr}});
    goes();
  }
  SECTION("a pod with the port has no address yet") {
    (void)driven.round({put_node(), put_pod("web", "10.244.1.11"), put_pod("late", "")});
    stays();
    (void)driven.round({put_pod("late", "10.244.1.98")});
    goes();
  }
  SECTION("changes of pods are not heard of") {
    (void)driven.round({put_node(), put_pod("web", "10.244.1.11")});
    driven.model().set_pods_current(false);
    stays();
    driven.model().set_pods_current(true);
    goes();
  }
  SECTION("no pod wants the port") {
    (void)driven.round({put_node(), put_pod("web", "10.244.1.11", 7070)});
    stays();
  }
}

void takes_over_plain(Config::Mode mode) {
  leave_plain_entry("10.244.1.99");
  Driven driven(mode);
  CHECK(texts(driven.round({put_node(), put_pod("web", "10.244.1.11")})).size() == 1);
  CHECK_FALSE(driven.serves("10.244.1.11"));
  CHECK(driven.wait(Takeover::kGrace).removed.size() == 1);
  CHECK(driven.serves("10.244.1.11"));
  const std::string left = must_run("nft list table ip cni_hostport");
  CHECK_FALSE(has_line(left, "10.244.1.99"));
  CHECK(std::ranges::count_if(kubenatd::test::lines_of(left),
                              [](const std::string& line) { return line.starts_with("\t\t"); }) == 1);
}

void others_jump_to_it(Config::Mode mode) {
  leave_entry("10.244.1.99");
  must_run("iptables -t nat -N OTHERS");
  must_run(std::string("iptables -t nat -A OTHERS -j ") + kChain);
  Driven driven(mode);
  (void)driven.round({put_node(), put_pod("web", "10.244.1.11")});
  const dataplane::SyncReport report = driven.wait(Takeover::kGrace);
  CHECK(report.removed.size() == 1);
  CHECK(report.emptied.size() == 1);
  CHECK(driven.serves("10.244.1.11"));
  CHECK(has_line(saved(), std::string("-A OTHERS -j ") + kChain));
  CHECK_FALSE(has_line(saved(), "10.244.1.99"));
}

}  // namespace

TEST_CASE("a dead container's entry is taken over after a while in iptables mode") {
  SYNC_TEST_WORLD();
  takes_over(Config::Mode::kIptables);
}

TEST_CASE("a dead container's entry is taken over after a while in nftables mode") {
  SYNC_TEST_WORLD();
  takes_over(Config::Mode::kNftables);
}

TEST_CASE("an entry that may lead to a container stays in iptables mode") {
  SYNC_TEST_WORLD();
  leaves_what_may_live(Config::Mode::kIptables);
}

TEST_CASE("an entry that may lead to a container stays in nftables mode") {
  SYNC_TEST_WORLD();
  leaves_what_may_live(Config::Mode::kNftables);
}

TEST_CASE("a dead entry of the plugin's own table is taken over in iptables mode") {
  SYNC_TEST_WORLD();
  takes_over_plain(Config::Mode::kIptables);
}

TEST_CASE("a dead entry of the plugin's own table is taken over in nftables mode") {
  SYNC_TEST_WORLD();
  takes_over_plain(Config::Mode::kNftables);
}

TEST_CASE("a dead entry's chain that others jump to is emptied in iptables mode") {
  SYNC_TEST_WORLD();
  others_jump_to_it(Config::Mode::kIptables);
}

TEST_CASE("a dead entry's chain that others jump to is emptied in nftables mode") {
  SYNC_TEST_WORLD();
  others_jump_to_it(Config::Mode::kNftables);
}

}  // namespace kubenatd::agent::test
