#include "agent/config/conntrack_settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/base/sysctl.h"

namespace kubenatd::agent::config {
namespace {

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// CPUs in a list such as "0-3,8,10-11"; none when it is not one.
std::optional<std::size_t> count_list(std::string_view list) {
  // What Linux can be built for (MAXSMP) is 8192; more is not a list of CPUs.
  constexpr unsigned kHighestCpu = 65535;
  std::size_t count = 0;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view part = list.substr(0, comma);
    const std::size_t dash = part.find('-');
    const auto first = number_of<unsigned>(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of<unsigned>(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last > kHighestCpu) return std::nullopt;
    count += *last - *first + 1;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  if (count == 0) return std::nullopt;
  return count;
}

long long seconds_of(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

struct Place {
  std::string_view name;
  const std::filesystem::path& root;
};

/// What leaves the kernel's setting alone.
std::string_view way_without(std::string_view field) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kWays{
      {{"conntrack.maxPerCore", "conntrack.maxPerCore 0 (--conntrack-max-per-core=0)"},
       {"conntrack.tcpEstablishedTimeout",
        "conntrack.tcpEstablishedTimeout 0s (--conntrack-tcp-timeout-established=0)"},
       {"conntrack.tcpCloseWaitTimeout", "conntrack.tcpCloseWaitTimeout 0s (--conntrack-tcp-timeout-close-wait=0)"},
       {"conntrack.tcpBeLiberal", "conntrack.tcpBeLiberal false (--conntrack-tcp-be-liberal=false)"},
       {"conntrack.udpTimeout", "conntrack.udpTimeout 0s (--conntrack-udp-timeout=0)"},
       {"conntrack.udpStreamTimeout", "conntrack.udpStreamTimeout 0s (--conntrack-udp-timeout-stream=0)"}}};
  const auto* const found = std::ranges::find(kWays, field, &std::pair<std::string_view, std::string_view>::first);
  return found == kWays.end() ? std::string_view() : found->second;
}

/// What makes the setting writable; empty: nothing is known.
std::string way_to_write(int code) {
  switch (code) {
    case EROFS:
      return fmt::format("a privileged container, or the node's setting mounted below {}", base::kMountedSysctls);
    case EACCES:
    case EPERM: return "root in the node's own network namespace (hostNetwork)";
    default: return {};
  }
}

void fail(const ConntrackSetting& setting, const rules::Error& error, ConntrackOutcome& outcome) {
  std::string line = fmt::format("{}: {}", setting.field, error.to_string());
  if (!setting.asked) {
    outcome.left.push_back(std::move(line));
    return;
  }
  if (const std::string way = way_to_write(error.code); !way.empty())
    line += fmt::format(" (needs {}; {} leaves it alone)", way, way_without(setting.field));
  outcome.failed.push_back(std::move(line));
}

void apply_one(const ConntrackSetting& setting, const Place& place, ConntrackOutcome& outcome) {
  const rules::Result<std::string> now = base::read_sysctl(place.name, place.root);
  if (!now) {
    // A module that is not loaded is not there to be set: later.
    if (now.error().code == ENOENT) {
      outcome.not_loaded = true;
      outcome.left.push_back(fmt::format("{}: the kernel has no {}", setting.field, place.name));
      return;
    }
    return fail(setting, now.error(), outcome);
  }
  if (!setting.differs_from(*now)) return;
  if (auto written = base::write_sysctl(place.name, std::to_string(setting.value), place.root); !written) {
    return fail(setting, written.error(), outcome);
  }
  outcome.changed.push_back(fmt::format("{}: {} instead of {}", place.name, setting.value, base::one_line(*now, 40)));
}

}  // namespace

bool ConntrackSetting::differs_from(std::string_view now) const {
  const auto number = number_of<long long>(now);
  if (!number) return true;
  return is_least_value ? *number < value : *number != value;
}

std::vector<ConntrackSetting> wanted_conntrack_settings(const Config::Conntrack& conntrack, std::size_t cpus) {
  std::vector<ConntrackSetting> wanted;
  if (conntrack.max_per_core > 0) {
    const long long scaled = static_cast<long long>(conntrack.max_per_core) * static_cast<long long>(cpus);
    const long long max = std::max<long long>(scaled, conntrack.min);
    wanted.push_back({.name = std::string(kSysctlConntrackMax),
                      .value = max,
                      .asked = conntrack.max_set,
                      .field = "conntrack.maxPerCore"});
    // Four entries a bucket, as the kernel itself had it for long. A table with fewer buckets works too, only slower:
    // no reason not to start.
    wanted.push_back({.name = std::string(kConntrackHashSize),
                      .value = max / 4,
                      .is_least_value = true,
                      .asked = false,
                      .field = "conntrack.maxPerCore"});
  }
  const auto timeout = [&](std::string_view name, Duration value, bool asked, const char* field) {
    if (value <= Duration::zero()) return;
    wanted.push_back({.name = std::string(name), .value = seconds_of(value), .asked = asked, .field = field});
  };
  timeout(kSysctlTcpEstablished, conntrack.tcp_established_timeout, conntrack.tcp_established_timeout_set,
          "conntrack.tcpEstablishedTimeout");
  timeout(kSysctlTcpCloseWait, conntrack.tcp_close_wait_timeout, conntrack.tcp_close_wait_timeout_set,
          "conntrack.tcpCloseWaitTimeout");
  if (conntrack.tcp_be_liberal) {
    wanted.push_back({.name = std::string(base::kSysctlTcpBeLiberal),
                      .value = 1,
                      .is_least_value = true,
                      .asked = true,
                      .field = "conntrack.tcpBeLiberal"});
  }
  // These two are left alone by default.
  timeout(kSysctlUdp, conntrack.udp_timeout, true, "conntrack.udpTimeout");
  timeout(kSysctlUdpStream, conntrack.udp_stream_timeout, true, "conntrack.udpStreamTimeout");
  return wanted;
}

std::size_t count_cpus(const std::filesystem::path& sys) {
  constexpr std::size_t kLongestList = 65536;
  if (const auto list = base::read_file(sys / "devices/system/cpu/online", kLongestList, "count CPUs")) {
    if (const auto count = count_list(base::trimmed(*list))) return *count;
  }
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<std::size_t>(online) : 1;
}

ConntrackOutcome apply_conntrack_settings(const std::vector<ConntrackSetting>& settings, const KernelPaths& paths) {
  ConntrackOutcome outcome;
  for (const ConntrackSetting& setting : settings) {
    apply_one(setting, {setting.name, setting.name == kConntrackHashSize ? paths.sys : paths.proc_sys}, outcome);
  }
  return outcome;
}

}  // namespace kubenatd::agent::config
