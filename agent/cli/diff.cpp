#include <fmt/format.h>

#include <cstdio>

#include "agent/cli/commands.h"
#include "agent/cli/inputs.h"
#include "agent/cli/log.h"
#include "agent/sync/live_diff.h"

namespace kubenatd::agent {
namespace {

void print(const ChainDiff& diff, rules::Family family) {
  const std::string_view note = diff.presence == ChainDiff::Presence::kMissing    ? " (missing)"
                                : diff.presence == ChainDiff::Presence::kUnwanted ? " (not wanted)"
                                                                                  : "";
  fmt::print("{} {} {}{}\n", name_of(family), name_of(diff.table), diff.chain, note);
  for (const ChainDiff::Line& line : diff.lines) fmt::print("  {} -A {} {}\n", line.sign, diff.chain, line.rule);
}

}  // namespace

int diff(const Options& options) {
  auto inputs = read_inputs(options, false);
  if (!inputs) {
    log_error(inputs.error().to_string(), {});
    return kExitNoAnswer;
  }
  Model& model = *inputs->model;
  Environment environment = model.environment();
  environment.has_nfacct = counters_exist();
  model.set_environment(std::move(environment));
  if (auto gathered = gather(*inputs); !gathered) {
    log_error(gathered.error().to_string(), {});
    return kExitNoAnswer;
  }

  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    log_error(kernel.error().to_string(), {});
    return kExitNoAnswer;
  }
  bool equal = true;
  for (const rules::Family family : rules::kFamilies) {
    if (options.family && *options.family != family) continue;
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    auto diffs = diff_with_live(*kernel, family, model.desired(family));
    if (!diffs) {
      log_error(diffs.error().to_string(), {});
      return kExitNoAnswer;
    }
    equal = equal && diffs->empty();
    for (const ChainDiff& one : *diffs) print(one, family);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return kExitNoAnswer;
  return equal ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent
