#include <atomic>
#include <functional>
#include <thread>

#include "netlink/core/monitor.h"
#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

constexpr int kServices = 3000;

std::vector<objects::ObjectEvent> objects() {
  std::vector<objects::ObjectEvent> events;
  for (int i = 0; i < kServices; ++i) {
    const std::string name = "s" + std::to_string(i);
    const std::string low = std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    events.push_back(put(service(name, "10.96." + low)));
    events.push_back(put(slice(name, {"10.244." + low, "10.245." + low, "10.246." + low, "10.247." + low})));
  }
  return events;
}

/// Follows what is committed, one entry a transaction, from a thread of its own.
class Witness {
 public:
  struct Transaction {
    std::size_t chains = 0;      ///< made
    std::size_t rules = 0;       ///< added
    std::size_t dispatches = 0;  ///< of them in KUBE-SERVICES
    std::size_t hooks = 0;       ///< of them in builtin chains
  };

  Witness() {
    auto socket = world().kernel().connect();
    REQUIRE(socket);
    // Everything of one transaction is announced before anybody can read any of it.
    constexpr std::size_t kRoom = std::size_t{512} << 20;
    (*socket)->grow_receive_buffer(kRoom);
    netlink::Monitor monitor(std::move(*socket));
    REQUIRE(monitor.join());
    thread_ = std::thread(&Witness::follow, this, std::move(monitor));
  }
  ~Witness() {
    if (thread_.joinable()) (void)end();
  }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  /// What was seen until now.
  [[nodiscard]] std::vector<Transaction> end() {
    ending_ = true;
    thread_.join();
    return std::move(seen_);
  }
  [[nodiscard]] bool missed() const { return missed_; }

 private:
  void follow(netlink::Monitor monitor) {
    Transaction current;
    for (bool last = false; !last;) {
      last = ending_;
      const auto drained = monitor.drain([&](const netlink::TableEvent& event) {
        using Kind = netlink::TableEvent::Kind;
        if (event.kind == Kind::kChainAdded) ++current.chains;
        if (event.kind == Kind::kRuleAdded) {
          ++current.rules;
          if (event.chain == "KUBE-SERVICES" && event.table == rules::Table::kNat) ++current.dispatches;
          if (event.chain.starts_with("KUBE-") == false) ++current.hooks;
        }
        if (event.kind == Kind::kGeneration) seen_.push_back(std::exchange(current, {}));
      });
      if (!drained || drained->overrun) missed_ = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::thread thread_;
  std::vector<Transaction> seen_;
  std::atomic<bool> ending_ = false;
  std::atomic<bool> missed_ = false;
};

std::size_t lines_with(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (const std::string& line : kubenatd::test::lines_of(text)) count += has_line(line, part) ? 1 : 0;
  return count;
}

void cold_start(config::Config::Dispatch dispatch) {
  config::Config config = test::config(dispatch);
  Agent agent(config);
  const auto all = objects();
  std::vector<Witness::Transaction> seen;
  std::size_t transactions = 0;
  {
    Witness witness;
    const dataplane::RoundReport report = agent.apply(all);
    for (const auto& family : report.families) transactions += family.sync.transactions;
    seen = witness.end();
    REQUIRE_FALSE(witness.missed());
  }
  // IPv4 first, and staged; then IPv6, which is empty and small.
  REQUIRE(seen.size() == transactions);
  REQUIRE(seen.size() >= 4);
  const std::size_t last = seen.size() - 2;
  for (std::size_t i = 0; i < last; ++i) {
    INFO("transaction " << i);
    CHECK(seen[i].chains > 0);
    CHECK(seen[i].hooks == 0);
    CHECK(seen[i].dispatches == 0);
  }
  CHECK(seen[last].hooks > 0);
  CHECK(seen[last].dispatches > 0);

  const std::string text = must_run("iptables-save -t nat");
  CHECK(lines_with(text, "cluster IP") == 2 * kServices);
  CHECK(lines_with(text, "-j DNAT") == 4 * kServices);
  check_no_difference(config, all);
  CHECK_FALSE(agent.audit().wrote());
  // One more change is small again.
  const dataplane::RoundReport change = agent.apply({put(slice("s7", {"10.244.0.8"}))});
  CHECK(written_chains(change) == 4);
  for (const auto& family : change.families) CHECK(family.sync.transactions <= 1);
}

}  // namespace

TEST_CASE("a large cold start is staged: what packets meet comes in the last transaction, linear", "[long]") {
  SYNC_TEST_WORLD();
  cold_start(config::Config::Dispatch::kLinear);
}

TEST_CASE("a large cold start is staged: what packets meet comes in the last transaction, tree", "[long]") {
  SYNC_TEST_WORLD();
  cold_start(config::Config::Dispatch::kTree);
}

TEST_CASE("a large load into a table that is in use: nothing in use changes before the last transaction", "[long]") {
  SYNC_TEST_WORLD();
  const config::Config config = test::config(config::Config::Dispatch::kTree);
  Agent agent(config);
  const auto all = objects();
  const std::vector<objects::ObjectEvent> few(all.begin(), all.begin() + 20);
  agent.apply(few);
  std::vector<Witness::Transaction> seen;
  {
    Witness witness;
    agent.apply(std::vector<objects::ObjectEvent>(all.begin() + 20, all.end()));
    seen = witness.end();
    REQUIRE_FALSE(witness.missed());
  }
  REQUIRE(seen.size() >= 3);
  for (std::size_t i = 0; i + 1 < seen.size(); ++i) CHECK(seen[i].dispatches == 0);
  CHECK(seen.back().dispatches > 0);
  check_no_difference(config, all);

  std::vector<objects::ObjectEvent> away;
  for (std::size_t i = 20; i < all.size(); ++i) away.push_back({all[i].kind, all[i].key, nullptr});
  agent.apply(away);
  check_no_difference(config, few);
}

}  // namespace kubenatd::agent::test
