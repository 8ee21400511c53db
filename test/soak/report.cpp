#include "test/soak/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

namespace kubenatd::soak {
namespace {

void print_longest(const char* title, const std::map<std::string, Figures::Longest>& all) {
  fmt::print("{}:{}\n", title, all.empty() ? " never" : "");
  std::vector<std::pair<std::string, Figures::Longest>> sorted(all.begin(), all.end());
  std::ranges::sort(sorted, std::greater{}, [](const auto& one) { return one.second.time; });
  for (const auto& [fault, longest] : sorted)
    fmt::print("  {:6.2f} s  {} ({} times)\n", seconds(longest.time), fault, longest.count);
}

std::size_t print_counts(const std::map<std::string, std::size_t>& counts) {
  std::size_t all = 0;
  for (const auto& [what, count] : counts) {
    fmt::print("  {:7}  {}\n", count, what);
    all += count;
  }
  return all;
}

std::size_t sum(const std::map<std::string, std::size_t>& counts) {
  std::size_t all = 0;
  for (const auto& [what, count] : counts) all += count;
  return all;
}

}  // namespace

void Report::print(const RunOptions& options, const FaultLog& faults, const Figures::Summary& traffic) const {
  fmt::print("\n== soak: mode {}, seed {}, {:g} minutes, {} Services\n", options.mode, options.seed, options.minutes,
             options.services);
  const auto counts = faults.counts();
  fmt::print("changes of objects: {}\nstarts of the agent: {}{}, ended for want of memory: {}\nfaults: {}\n", changes,
             lives, owned ? ", half of them without --own-table" : "", ends, sum(counts));
  print_counts(counts);
  if (refused != 0) fmt::print("  damage that did nothing, or that the kernel did not allow: {}\n", refused);
  for (const auto& [kind, why] : faults.skipped()) fmt::print("  skipped: {}: {}\n", kind, why);
  fmt::print("connections and questions that were answered: {}\n", sum(traffic.answered));
  print_counts(traffic.answered);
  fmt::print("that failed: {}\n", sum(traffic.failed));
  print_counts(traffic.failed);
  print_longest("answered by a pod that had left, at most so long before, during", traffic.strayed);
  print_longest("new connections to one Service went wrong, at most for so long, during", traffic.wrong);
  fmt::print("from a damage to a look of kubenatd diff that found all right, at most:\n");
  for (const auto& [kind, time] : healing) fmt::print("  {:6.2f} s  {}\n", seconds(time), kind);
  fmt::print("without news from an API server that is well, at most: {:.1f} s\n", seconds(no_news));
  fmt::print("RSS: {:.1f} MB at the start, {:.1f} MB at the end\ndescriptors: {} at the start, {} at the end\n",
             start.rss_mb, end.rss_mb, start.descriptors, end.descriptors);
  fmt::print("kubenatd's fault: {}\n", complaints);
  std::fflush(stdout);
}

}  // namespace kubenatd::soak
