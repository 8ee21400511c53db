#include "test/soak/rule_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>

#include "test/soak/kernel_faults.h"

namespace kubenatd::soak {

using std::chrono::milliseconds;

namespace {

/// For healing what others changed, with the agent's own delays when it happens often (10 s) and a loaded machine.
constexpr std::chrono::seconds kHeals{40};

/// Transactions of a table of somebody else, so many that their events do not fit into a small socket.
std::string many_transactions(unsigned count) {
  std::string text = "for i in $(seq " + std::to_string(count) + "); do nft -f - <<<'table inet soak_busy { chain c { ";
  for (int i = 0; i < 60; ++i) text += "counter; ";
  return text + "}; }; delete table inet soak_busy'; done";
}

}  // namespace

RuleFaults::RuleFaults(const Options& options, const test::Lab& lab, const Agent& agent, test::ApiServer& server,
                       Changes& changes, FaultLog& faults, Complaints& complaints)
    : options_(options),
      lab_(lab),
      agent_(agent),
      server_(server),
      changes_(changes),
      faults_(faults),
      complaints_(complaints),
      foreign_(lab.node),
      dice_(options.seed, 3),
      thread_([this] { run(); }) {}

RuleFaults::~RuleFaults() {
  stop();
}

void RuleFaults::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void RuleFaults::rest(milliseconds time) const {
  const Time end = Clock::now() + time;
  while (!stopping_ && Clock::now() < end) std::this_thread::sleep_for(milliseconds(20));
}

void RuleFaults::run() {
  while (!stopping_) {
    try {
      rest(dice_.between(milliseconds(200), options_.longest_pause));
      if (stopping_) return;
      const unsigned kind = dice_.below(20);
      if (kind < 13) {
        damage(false);
      } else if (kind < 16) {
        damage(true);
      } else if (kind < 19 || !options_.full_table) {
        writers();
      } else {
        full_table();
      }
    } catch (const std::exception& error) {
      fmt::print(stderr, "soak: a fault could not be made: {}\n", error.what());
      rest(milliseconds(1000));
    }
  }
}

bool RuleFaults::is_right(std::chrono::seconds limit, std::string& difference) {
  const auto pause = changes_.pause();
  manifests_.write("objects.json", server_.manifest());
  Time deadline = Clock::now() + limit * test::patience();
  while (true) {
    const bool heard = agent_.hears();
    const auto result = agent_.diff(manifests_.path().string());
    if (result.ok()) return true;
    difference = result.out + result.err;
    // Only an agent that runs and knows of all changes has to have done it.
    if (!heard || !agent_.hears()) deadline = Clock::now() + limit * test::patience();
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(50));
  }
}

void RuleFaults::damage(bool events_lost) {
  // Mostly at a time at which the API server is well: then the look has an answer soon.
  std::unique_lock truce(truce_, std::defer_lock);
  if (!dice_.one_in(3)) {
    truce.lock();
    for (int i = 0; i < 100 && !agent_.hears(); ++i) rest(milliseconds(50));
  }
  const auto damage = random_damage(options_.mode, lab_.node, dice_);
  if (!damage) return;
  std::optional<NarrowEvents> narrow;
  if (events_lost && agent_.pid() != 0) {
    narrow.emplace(agent_.pid());
    if (narrow->why()) faults_.skip("lost events (ENOBUFS)", *narrow->why());
  }
  auto window = faults_.begin(events_lost ? "lost events (ENOBUFS) and " + damage->kind : damage->kind, Harm::kRules);
  if (narrow) static_cast<void>(test::run_in(lab_.node, {"bash", "-c", many_transactions(3)}));
  const Time begun = Clock::now();
  const auto result = test::run_in(lab_.node, damage->command, damage->input);
  if (narrow) static_cast<void>(test::run_in(lab_.node, {"bash", "-c", many_transactions(3)}));
  if (!result.ok()) ++refused_;
  narrow.reset();
  if (!truce.owns_lock()) truce.lock();
  std::string difference;
  if (is_right(kHeals, difference)) {
    const bool heard = !faults_.explain(Harm::kNews, begun, Clock::now(), Harm::kNews);
    if (!heard && (damage->kind == "iptables -F" || damage->kind == "chain flushed")) flushed_unseen_ = true;
    auto& longest = healing_[damage->kind + (heard ? "" : ", without an agent or its news meanwhile")];
    longest = std::max(longest, Clock::now() - begun);
  } else {
    constexpr std::size_t kShown = 2000;
    complaints_.add(fmt::format("{} ({}) is not healed; kubenatd diff says:\n{}", damage->kind, damage->input,
                                difference.substr(0, kShown)));
  }
  if (damage->takes_others) foreign_.put();
  window.end(milliseconds(200));
}

void RuleFaults::writers() {
  const auto window = faults_.begin("foreign writers in a loop", Harm::kNothing);
  const std::string seconds = std::to_string(1 + dice_.below(3));
  static_cast<void>(test::run_in(
      lab_.node, {"bash", "-c",
                  "end=$((SECONDS + " + seconds +
                      "))\n"
                      "while ((SECONDS < end)); do\n"
                      "  nft 'table ip soak_writer { chain c { counter; }; }; delete table ip soak_writer'\n"
                      "  iptables -w -t nat -A SOAK-OTHER -s 192.0.2.77 -j RETURN\n"
                      "  iptables -w -t nat -D SOAK-OTHER -s 192.0.2.77 -j RETURN\n"
                      "done"}));
}

void RuleFaults::full_table() {
  constexpr int kSeconds = 6;
  const std::scoped_lock truce(truce_);
  auto window = faults_.begin("full connection table", Harm::kRules);
  if (const auto why = fill_conntrack(lab_.node, kSeconds)) faults_.skip("full connection table", *why);
  rest(std::chrono::seconds(kSeconds + 2));
  window.end(milliseconds(500));
}

}  // namespace kubenatd::soak
