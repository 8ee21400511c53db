#include "agent/serve/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/base/file.h"

namespace kubenatd::agent::serve {
namespace {

/// /proc/stat has a line for each processor, and one with a number for each interrupt.
constexpr std::size_t kLongestFile = 1 << 20;

prometheus::MetricFamily single(std::string name, std::string help, prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {std::move(name), std::move(help), type, {std::move(metric)}};
}

std::optional<double> to_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return static_cast<double>(number);
}

/// The field of /proc/self/stat by its number in proc(5), from 3 on. The name before may hold anything but ")".
std::optional<double> stat_field(std::string_view stat, int number) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(name_end + 1);
  for (int field = 2; field < number; ++field) {
    const std::size_t blank = stat.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    stat.remove_prefix(blank + 1);
  }
  return to_number(stat);
}

/// Seconds since 1970 at which the machine started.
std::optional<double> boot_time() {
  const auto stat = base::read_file("/proc/stat", kLongestFile, "read the boot time");
  if (!stat) return std::nullopt;
  constexpr std::string_view kKey = "\nbtime ";
  const std::size_t at = stat->find(kKey);
  if (at == std::string::npos) return std::nullopt;
  return to_number(std::string_view(*stat).substr(at + kKey.size()));
}

std::optional<double> open_files() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error))
    ++count;
  if (error) return std::nullopt;
  return count - 1;  // the one that reads the folder
}

}  // namespace

std::vector<prometheus::MetricFamily> process_metrics() {
  using enum prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](const char* name, const char* help, prometheus::MetricType type, std::optional<double> value) {
    if (value) families.push_back(single(name, help, type, *value));
  };

  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  if (const auto stat = base::read_file("/proc/self/stat", kLongestFile, "read process figures")) {
    const auto user = stat_field(*stat, 14);
    const auto system = stat_field(*stat, 15);
    const auto start = stat_field(*stat, 22);
    const auto pages = stat_field(*stat, 24);
    const auto boot = boot_time();
    if (user && system)
      add("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", Counter,
          (*user + *system) / ticks);
    if (start && boot)
      add("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", Gauge,
          *boot + *start / ticks);
    add("process_virtual_memory_bytes", "Virtual memory size in bytes.", Gauge, stat_field(*stat, 23));
    if (pages)
      add("process_resident_memory_bytes", "Resident memory size in bytes.", Gauge,
          *pages * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  }
  add("process_open_fds", "Number of open file descriptors.", Gauge, open_files());
  if (rlimit limit{}; ::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    add("process_max_fds", "Maximum number of open file descriptors.", Gauge, static_cast<double>(limit.rlim_cur));
  return families;
}

}  // namespace kubenatd::agent::serve
