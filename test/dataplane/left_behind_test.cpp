#include "agent/dataplane/left_behind.h"

#include <optional>

#include "agent/dataplane/other_proxies.h"
#include "test/dataplane/sync_support.h"

// Rules for Services that another proxy left behind, or brings back.
namespace kubenatd::agent::test {
namespace {

using dataplane::LeftBehind;
using dataplane::OtherProxies;
using Mode = config::Config::Mode;
using Kind = OtherProxies::News::Kind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::vector<objects::ObjectEvent> objects() {
  return {put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))};
}

void make_table() {
  must_run("nft add table ip kube-proxy");
  must_run("nft add chain ip kube-proxy services");
  must_run("nft add rule ip kube-proxy services ip saddr 1.2.3.4 counter accept");
}

void make_chains() {
  must_run("iptables -t nat -N KUBE-SERVICES");
  must_run("iptables -t nat -A KUBE-SERVICES -d 1.2.3.4 -j ACCEPT");
  must_run("iptables -t nat -A PREROUTING -j KUBE-SERVICES");
}

bool has_table() {
  return has_line(must_run("nft list tables"), "ip kube-proxy");
}

/// Another proxy's rules as OtherProxies sees them, at times that the test chooses.
class Watched {
 public:
  explicit Watched(Mode mode) : others_(rules::Family::kIpv4, mode), kernel_(open_tables()) {}

  /// Somebody writes `what`, in a transaction that ends with its name.
  void note(const char* table, const char* chain = "") {
    netlink::TableEvent event;
    event.kind = netlink::TableEvent::Kind::kChainAdded;
    event.table_name = table;
    if (std::string_view(table) == "nat") event.table = rules::Table::kNat;
    event.chain = chain;
    others_.note(event, now);
    netlink::TableEvent end;
    end.kind = netlink::TableEvent::Kind::kGeneration;
    end.process_name = "nft";
    end.process_id = 4711;
    others_.note(end, now);
  }
  std::vector<OtherProxies::News> look() {
    std::vector<rules::Error> problems;
    auto news = others_.look(
        kernel_, [this](LeftBehind) { return answers_at; }, now, problems);
    CHECK(problems.empty());
    return news;
  }
  [[nodiscard]] std::vector<LeftBehind> left() const { return others_.left(); }
  [[nodiscard]] std::optional<dataplane::Time> due() const { return others_.due(); }

  dataplane::Time now = dataplane::Clock::now();
  std::optional<std::string> answers_at;

 private:
  OtherProxies others_;
  netlink::NfTables kernel_;
};

}  // namespace

TEST_CASE("what other proxies left is found, by mode and family") {
  SYNC_TEST_WORLD();
  netlink::NfTables kernel = open_tables();
  const auto found = [&](Mode mode, rules::Family family = rules::Family::kIpv4) {
    const auto all = dataplane::find_left_behind(kernel, family, mode);
    REQUIRE(all);
    return *all;
  };
  CHECK(found(Mode::kIptables).empty());
  CHECK(found(Mode::kNftables).empty());
  make_table();
  CHECK(found(Mode::kIptables) == std::vector{LeftBehind::kKubeProxyTable});
  CHECK(found(Mode::kNftables) == std::vector{LeftBehind::kKubeProxyTable});
  CHECK(found(Mode::kNftables, rules::Family::kIpv6).empty());
  // What kubelet makes, too, and chains without rules, tell nothing.
  must_run("iptables -t nat -N KUBE-MARK-MASQ");
  must_run("iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000");
  must_run("iptables -t nat -N KUBE-SERVICES");
  CHECK(found(Mode::kNftables) == std::vector{LeftBehind::kKubeProxyTable});
  must_run("iptables -t nat -A KUBE-SERVICES -d 1.2.3.4 -j ACCEPT");
  CHECK(found(Mode::kNftables) == std::vector{LeftBehind::kKubeProxyTable, LeftBehind::kIptablesChains});
  CHECK(found(Mode::kIptables) == std::vector{LeftBehind::kKubeProxyTable});
  Agent(nftables_config()).apply(objects());
  CHECK(found(Mode::kNftables).empty());
  CHECK(found(Mode::kIptables) == std::vector{LeftBehind::kKubenatdTable});
  // Of ipvs mode: named, never touched.
  must_run("iptables -t nat -N KUBE-LOAD-BALANCER");
  const auto ipvs = dataplane::find_ipvs(kernel, rules::Family::kIpv4);
  REQUIRE(ipvs);
  CHECK(*ipvs == std::vector<std::string>{"chain nat KUBE-LOAD-BALANCER"});
}

TEST_CASE("a start takes kube-proxy's table away, in both modes and families, after its own rules are in force") {
  SYNC_TEST_WORLD();
  const auto mode = GENERATE(Mode::kIptables, Mode::kNftables);
  make_table();
  must_run("nft add table ip6 kube-proxy");
  must_run("nft add table ip other");
  Agent agent(config_of(mode));
  const auto report = agent.apply(objects());
  CHECK(report.other_proxies.size() == 2);
  for (const auto& news : report.other_proxies) {
    CHECK(news.kind == Kind::kRemoved);
    CHECK(news.removed.tables == 1);
  }
  CHECK_FALSE(has_line(must_run("nft list tables"), "kube-proxy"));
  CHECK(has_line(must_run("nft list tables"), "ip other"));
  CHECK(difference(config_of(mode), objects()) == "");
  CHECK(agent.audit().other_proxies.empty());
}

TEST_CASE("rules of another proxy that come while kubenatd runs are noticed and removed") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  agent.apply(objects());
  const bool of_nft = GENERATE(true, false);
  if (of_nft) {
    make_table();
  } else {
    make_chains();
  }
  REQUIRE(agent.reconciler().handle_events());
  const dataplane::Time now = dataplane::Clock::now();
  CHECK(agent.reconciler().deadline() > now - minutes(1));
  CHECK(agent.reconciler().deadline() <= now + OtherProxies::kSettle);
  // An audit does not wait until the writer is quiet.
  const auto report = agent.audit();
  REQUIRE(report.other_proxies.size() == 1);
  CHECK(report.other_proxies[0].what == (of_nft ? LeftBehind::kKubeProxyTable : LeftBehind::kIptablesChains));
  CHECK(has_line(report.other_proxies[0].writer, " ("));  // the fake kernel's programs have one name
  CHECK_FALSE(has_table());
  CHECK_FALSE(has_line(saved(), "KUBE-SERVICES"));
  CHECK(difference(nftables_config(), objects()) == "");
}

TEST_CASE("a proxy that answers keeps its rules until it does not") {
  SYNC_TEST_WORLD();
  make_table();
  Watched watched(Mode::kIptables);
  watched.answers_at = "127.0.0.1:10249";
  auto news = watched.look();
  REQUIRE(news.size() == 1);
  CHECK(news[0].kind == Kind::kAnswers);
  CHECK(news[0].where == "127.0.0.1:10249");
  CHECK(has_table());
  CHECK(watched.left() == std::vector{LeftBehind::kKubeProxyTable});
  // It is told once, however often it writes.
  for (int i = 0; i < 5; ++i) {
    watched.now += OtherProxies::kAskAgain;
    watched.note("kube-proxy");
    CHECK(watched.look().empty());
  }
  watched.answers_at.reset();
  watched.now += OtherProxies::kAskAgain;
  news = watched.look();
  REQUIRE(news.size() == 1);
  CHECK(news[0].kind == Kind::kRemoved);
  CHECK_FALSE(has_table());
  CHECK(watched.left().empty());
  CHECK_FALSE(watched.due());
}

TEST_CASE("rules that come back again and again are named and left, until nobody has written them for long") {
  SYNC_TEST_WORLD();
  Watched watched(Mode::kIptables);
  CHECK(watched.look().empty());
  for (std::size_t i = 0; i < OtherProxies::kMost; ++i) {
    watched.now += minutes(5);
    make_table();
    watched.note("kube-proxy");
    CHECK(watched.look().empty());  // its writer may not be through
    watched.now += OtherProxies::kSettle;
    const auto news = watched.look();
    REQUIRE(news.size() == 1);
    CHECK(news[0].kind == (i == 0 ? Kind::kRemoved : Kind::kRemovedAgain));
    CHECK(news[0].writer == "nft (4711)");
    CHECK_FALSE(has_table());
  }
  make_table();
  watched.note("kube-proxy");
  watched.now += OtherProxies::kSettle;
  auto news = watched.look();
  REQUIRE(news.size() == 1);
  CHECK(news[0].kind == Kind::kComesBack);
  CHECK(watched.left().size() == 1);
  // A kube-proxy that runs writes once an hour at least.
  for (int i = 0; i < 5; ++i) {
    watched.now += hours(1);
    watched.note("kube-proxy");
    CHECK(watched.look().empty());
    CHECK(has_table());
  }
  CHECK(watched.due().has_value());
  watched.now += OtherProxies::kAskAgain;
  CHECK(watched.look().empty());
  watched.now += OtherProxies::kPeriod;
  news = watched.look();
  REQUIRE(news.size() == 1);
  CHECK(news[0].kind == Kind::kRemoved);
  CHECK_FALSE(has_table());
  CHECK(watched.left().empty());
}

TEST_CASE("a proxy that takes its rules away itself is not told of any more") {
  SYNC_TEST_WORLD();
  make_table();
  Watched watched(Mode::kIptables);
  watched.answers_at = "127.0.0.1:10249";
  CHECK(watched.look().size() == 1);
  must_run("nft delete table ip kube-proxy");
  watched.note("kube-proxy");
  watched.now += OtherProxies::kAskAgain;
  CHECK(watched.look().empty());
  CHECK(watched.left().empty());
}

TEST_CASE("a writer that never stops is looked at all the same") {
  SYNC_TEST_WORLD();
  Watched watched(Mode::kNftables);
  CHECK(watched.look().empty());
  make_chains();
  const dataplane::Time start = watched.now;
  for (int i = 0; i < 20; ++i) {
    watched.note("nat", "KUBE-SERVICES");
    REQUIRE(watched.due());
    CHECK(*watched.due() <= start + OtherProxies::kLongestSettle);
    watched.now += std::chrono::milliseconds(400);
  }
  const auto news = watched.look();
  REQUIRE(news.size() == 1);
  CHECK(news[0].what == LeftBehind::kIptablesChains);
  CHECK_FALSE(has_line(saved(), "KUBE-SERVICES"));
}

TEST_CASE("kubelet's own chains are nobody's left behind") {
  SYNC_TEST_WORLD();
  Watched watched(Mode::kNftables);
  CHECK(watched.look().empty());
  must_run("iptables -t nat -N KUBE-MARK-MASQ");
  must_run("iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000");
  watched.note("nat", "KUBE-MARK-MASQ");
  CHECK_FALSE(watched.due());
  CHECK(has_line(saved(), "KUBE-MARK-MASQ"));
}

}  // namespace kubenatd::agent::test
