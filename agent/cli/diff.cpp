#include <fmt/format.h>

#include <cstdio>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/daemon/inputs.h"
#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/iptables/diff.h"
#include "agent/dataplane/nftables/diff.h"

namespace kubenatd::agent::cli {
namespace {

std::string_view note_of(dataplane::iptables::ChainDiff::Presence presence) {
  switch (presence) {
    case dataplane::iptables::ChainDiff::Presence::kMissing: return " (missing)";
    case dataplane::iptables::ChainDiff::Presence::kUnwanted: return " (not wanted)";
    case dataplane::iptables::ChainDiff::Presence::kBoth: break;
  }
  return "";
}

void print(const dataplane::iptables::ChainDiff& diff, rules::Family family) {
  fmt::print("{} {} {}{}\n", name_of(family), name_of(diff.table), diff.chain, note_of(diff.presence));
  for (const dataplane::iptables::ChainDiff::Line& line : diff.lines)
    fmt::print("  {} -A {} {}\n", line.sign, diff.chain, line.rule);
}

void print(const dataplane::nftables::NftablesDiff& diff, rules::Family family) {
  fmt::print("{} {}{}\n", name_of(family), diff.object, note_of(diff.presence));
  for (const dataplane::iptables::ChainDiff::Line& line : diff.lines) fmt::print("  {} {}\n", line.sign, line.rule);
}

/// Compares and prints one family; whether it is equal.
rules::Result<bool> compare(netlink::NfTables& kernel, rules::Family family, dataplane::Model& model) {
  const auto print_all = [&](const auto& diffs) -> rules::Result<bool> {
    if (!diffs) return std::unexpected(diffs.error());
    for (const auto& one : *diffs) print(one, family);
    return diffs->empty();
  };
  if (model.config().mode == config::Config::Mode::kNftables) {
    auto& host_ports = model.desired(family).host_ports();
    if (host_ports.any_wanted()) {
      auto claims = dataplane::read_foreign_host_ports(kernel, family);
      if (!claims) return std::unexpected(claims.error());
      host_ports.set_foreign(std::move(*claims));
      model.elements(family).set_host_ports(host_ports.in_force());
    }
    return print_all(dataplane::nftables::diff_nftables_with_live(kernel, family, model.elements(family)));
  }
  return print_all(dataplane::iptables::diff_with_live(kernel, family, model.desired(family)));
}

}  // namespace

int diff(const Options& options) {
  auto inputs = daemon::read_inputs(options.flags, daemon::Purpose::kLook);
  if (!inputs) {
    base::log_error(inputs.error().to_string(), {});
    return kExitNoAnswer;
  }
  dataplane::Model& model = *inputs->model;
  config::Environment environment = model.environment();
  environment.has_nfacct = daemon::counters_exist();
  model.set_environment(std::move(environment));
  if (auto gathered = daemon::gather(*inputs); !gathered) {
    base::log_error(gathered.error().to_string(), {});
    return kExitNoAnswer;
  }

  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(kernel.error().to_string(), {});
    return kExitNoAnswer;
  }
  bool equal = true;
  for (const rules::Family family : rules::kFamilies) {
    if (options.family && *options.family != family) continue;
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    const auto same = compare(*kernel, family, model);
    if (!same) {
      base::log_error(same.error().to_string(), {});
      return kExitNoAnswer;
    }
    for (const std::string& remark : model.desired(family).host_ports().take_remarks())
      base::log_warning(remark, {{"family", std::string(name_of(family))}});
    equal = equal && *same;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return kExitNoAnswer;
  return equal ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
