#include "test/soak/clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>

namespace kubenatd::soak {

using std::chrono::milliseconds;
using test::Outcome;

namespace {

// Below are ports of servers, above those that the kernel gives.
constexpr unsigned kFirstPort = 22'000;
constexpr unsigned kPorts = 38'000;

/// From an event to the rules that follow from it, with room to spare.
constexpr std::chrono::seconds kHeard{5};

/// The test's own trouble with a port that is taken, not an answer of the network.
bool is_of_the_port(const Outcome& outcome) {
  return outcome.kind == Outcome::Kind::kUnreachable &&
         (outcome.by == std::strerror(EADDRINUSE) || outcome.by == std::strerror(EADDRNOTAVAIL));
}

std::string text(const Outcome& outcome) {
  std::ostringstream stream;
  stream << outcome;
  return stream.str();
}

}  // namespace

Clients::Clients(const Options& options, const Ways& ways, const FaultLog& faults, Figures& figures,
                 Complaints& complaints)
    : ways_(ways),
      faults_(faults),
      figures_(figures),
      complaints_(complaints),
      pace_(1'000'000LL * kThreads / std::max(options.rate, 1)) {
  for (const auto& way : ways_) ports_[way->from] = 0;
  for (unsigned i = 0; i < kThreads; ++i) threads_.emplace_back([this, i, &options] { ask_on(i, options.seed); });
  threads_.emplace_back([this, count = options.kept, seed = options.seed] { keep(count, seed); });
}

Clients::~Clients() {
  stop();
}

void Clients::stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::uint16_t Clients::next_port(const Way& way) {
  return static_cast<std::uint16_t>(kFirstPort + ports_.at(way.from)++ % kPorts);
}

void Clients::ask_on(unsigned number, unsigned seed) {
  Dice dice(seed, 1000 + number);
  Time next = Clock::now();
  while (!stopping_) {
    Way& way = *dice.one_of(ways_);
    if (way.state == Way::State::kOff) continue;
    ++way.in_flight;
    // Once more: it may have been withdrawn, and be drained by now.
    if (way.state != Way::State::kOff) ask(way);
    --way.in_flight;
    next = std::max(next + pace_, Clock::now() - std::chrono::seconds(1));
    std::this_thread::sleep_until(next);
  }
}

void Clients::ask(Way& way) {
  const bool trial = way.state == Way::State::kTrial;
  Time begun = Clock::now();
  Outcome outcome;
  do {
    begun = Clock::now();
    test::Conversation conversation(*way.from, way.transport, way.address, way.port, next_port(way));
    outcome = trial ? conversation.ask(milliseconds(1000)) : conversation.ask();
  } while (is_of_the_port(outcome));
  const Time ended = Clock::now();
  if (!outcome.answered()) {
    if (trial) return trial_failed(way, ended);
    // A way that was taken away and given back may have been answered by the rules of before; then the agent takes in
    // both changes, one after the other.
    if (!way.proven) return way.offer();
    return figures_.failed(way.kind,
                           fmt::format("{}, there for {:.2f} s", way.what, seconds(ended - way.trial_since.load())),
                           text(outcome), begun, ended);
  }
  if (!way.proven &&
      ended - std::max(way.trial_since.load(), faults_.calm_since(Harm::kNews, ended)) > kHeard * test::patience())
    way.proven = true;
  if (trial) {
    // Only if nobody has withdrawn it meanwhile.
    Way::State expected = Way::State::kTrial;
    way.state.compare_exchange_strong(expected, Way::State::kOn);
  }
  if (outcome.at != way.heard_on)
    return figures_.failed(way.kind, way.what, fmt::format("answered on port {}", outcome.at), begun, ended);
  if (const auto left = way.behind->left_before(outcome.by, begun))
    return figures_.strayed(way.kind, way.what, outcome.by, *left, begun, ended);
  figures_.answered(way.kind);
}

void Clients::trial_failed(Way& way, Time now) {
  constexpr std::chrono::seconds kLimit{30};
  const Time since = std::max(way.trial_since.load(), faults_.calm_since(Harm::kNews, now));
  if (way.state != Way::State::kTrial || now - since < kLimit * test::patience()) return;
  complaints_.add(
      fmt::format("{} does not answer, {:.1f} s after it was made", way.what, seconds(now - way.trial_since.load())));
  way.trial_since = now;
}

void Clients::keep(int count, unsigned seed) {
  struct Kept {
    Way* way = nullptr;
    std::optional<test::Conversation> conversation;
    std::string by;
    Time answered{};
  };
  Dice dice(seed, 2000);
  std::vector<Kept> all(static_cast<std::size_t>(count));
  while (!stopping_) {
    for (Kept& kept : all) {
      if (stopping_) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1000) / std::max(count, 1));
      if (!kept.conversation) {
        Way& way = *dice.one_of(ways_);
        if (way.state != Way::State::kOn || way.transport != test::Transport::kTcp || !way.lasts) continue;
        kept.way = &way;
        kept.answered = Clock::now();
        kept.by.clear();
        kept.conversation.emplace(*way.from, way.transport, way.address, way.port, next_port(way));
      }
      const Outcome outcome = kept.conversation->ask();
      const Time now = Clock::now();
      // The first answer makes it a kept one: to connect is what others try.
      if (outcome.answered() && (kept.by.empty() || kept.by == outcome.by)) {
        kept.by = outcome.by;
        kept.answered = now;
        figures_.answered("kept");
        continue;
      }
      if (!kept.by.empty())
        figures_.failed("kept", kept.way->what,
                        outcome.answered() ? "answered by another pod" : "kept, then " + text(outcome), kept.answered,
                        now);
      kept.conversation.reset();
    }
  }
}

}  // namespace kubenatd::soak
