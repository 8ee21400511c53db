#include "test/soak/news_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "test/support/process.h"

namespace kubenatd::soak {
namespace {

/// The agent's delays between tries, as client-go's, grow up to 30 s and as much again at random.
constexpr std::chrono::seconds kComesBack{80};
/// From a watch that is answered to the rules that follow from what it says first.
constexpr std::chrono::seconds kTakesIn{3};

}  // namespace

NewsWatch::NewsWatch(const Agent& agent, FaultLog& faults, Complaints& complaints)
    : agent_(agent), faults_(faults), complaints_(complaints), thread_([this] { look(); }) {}

NewsWatch::~NewsWatch() {
  stopping_ = true;
  thread_.join();
}

void NewsWatch::look() {
  std::optional<FaultLog::Window> window;
  Time since{};
  bool told = false;
  while (!stopping_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const Time now = Clock::now();
    if (agent_.hears()) {
      if (window) window->end(kTakesIn * test::patience());
      window.reset();
      told = false;
      continue;
    }
    if (!window) {
      since = now;
      window.emplace(faults_.begin("no news from the API server", Harm::kNews, false));
    }
    const auto waited = now - std::max(since, well_since_.load());
    longest_ = std::max(longest_.load(), waited);
    if (told || waited < kComesBack * test::patience()) continue;
    told = true;
    complaints_.add(fmt::format("does not watch everything {:.0f} s after the API server was well", seconds(waited)));
  }
}

}  // namespace kubenatd::soak
