#include "test/soak/process_faults.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <sstream>

namespace kubenatd::soak {

using std::chrono::milliseconds;

void ProcessFaults::make(Dice& dice) {
  const unsigned kind = dice.below(10);
  if (kind < 4 || !agent_.takes_signals()) return kill(dice);
  if (kind < 6) return terminate(dice);
  if (kind < 9) return reload(dice);
  short_of_memory(dice);
}

void ProcessFaults::kill(Dice& dice) {
  const auto window = faults_.begin("kill -9", Harm::kNews);
  agent_.kill();
  if (dice.one_in(2)) rest_(dice.between(milliseconds(0), milliseconds(2000)));
  agent_.start(dice);
  // Once more, in the middle of its start.
  if (!dice.one_in(4)) return;
  rest_(dice.between(milliseconds(0), milliseconds(800)));
  agent_.kill();
  agent_.start(dice);
}

void ProcessFaults::terminate(Dice& dice) {
  const auto window = faults_.begin("SIGTERM and restart", Harm::kNews);
  agent_.terminate();
  if (dice.one_in(2)) rest_(dice.between(milliseconds(0), milliseconds(2000)));
  if (dice.one_in(2)) agent_.configure(dice);
  agent_.start(dice);
}

void ProcessFaults::change_mode(Dice& dice) {
  const std::string mode = agent_.mode();
  const std::string other = mode == "nftables" ? "iptables" : "nftables";
  // The rules of the mode before stand until those of the new one are in force.
  const auto window = faults_.begin("restart in the other mode and back", Harm::kNews);
  const auto restart = [&](const std::string& next) {
    if (dice.one_in(3) || !agent_.takes_signals())
      agent_.kill();
    else
      agent_.terminate();
    agent_.set_mode(next);
    agent_.start(dice);
  };
  restart(other);
  // Back at any moment: before it has begun, in the middle of its start, or when all is settled.
  rest_(dice.between(milliseconds(0), milliseconds(6000)));
  restart(mode);
}

void ProcessFaults::reload(Dice& dice) {
  if (dice.one_in(4)) {
    const auto window = faults_.begin("SIGHUP with a configuration that cannot be read", Harm::kNothing);
    agent_.configure_garbage();
    agent_.hang_up();
    rest_(dice.between(milliseconds(50), milliseconds(1500)));
    agent_.write_configuration();
    agent_.hang_up();
    return;
  }
  const auto window = faults_.begin("SIGHUP with another configuration", Harm::kNews);
  agent_.configure(dice);
  agent_.hang_up();
}

void ProcessFaults::short_of_memory(Dice& dice) {
  const pid_t pid = agent_.pid();
  if (pid == 0) return;
  std::istringstream pages(test::read_file(fmt::format("/proc/{}/statm", pid)));
  rlim_t size = 0;
  pages >> size;
  if (size == 0) return;
  constexpr rlim_t kPage = 4096;
  const rlimit narrow{size * kPage + (rlim_t{dice.below(4)} << 20U), RLIM_INFINITY};
  const rlimit wide{RLIM_INFINITY, RLIM_INFINITY};
  if (::prlimit(pid, RLIMIT_AS, &narrow, nullptr) != 0) {
    faults_.skip("memory limit", std::strerror(errno));
    return;
  }
  auto window = faults_.begin("memory limit", Harm::kNews);
  agent_.allow_end(true);
  // What it must have memory for: all objects again.
  agent_.hang_up();
  rest_(dice.between(milliseconds(500), milliseconds(3000)));
  // Only the one that had the limit: another one has none.
  if (agent_.pid() == pid) static_cast<void>(::prlimit(pid, RLIMIT_AS, &wide, nullptr));
  rest_(milliseconds(500));
  agent_.allow_end(false);
}

}  // namespace kubenatd::soak
