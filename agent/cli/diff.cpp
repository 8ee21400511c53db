#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/texts.h"
#include "agent/daemon/advice.h"
#include "agent/daemon/inputs.h"
#include "agent/dataplane/left_behind.h"
#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::cli {
namespace {

using dataplane::ObjectDiff;
using Kind = rules::ObjectRef::Kind;

std::string_view note_of(ObjectDiff::Presence presence) {
  switch (presence) {
    case ObjectDiff::Presence::kMissing: return " (missing)";
    case ObjectDiff::Presence::kUnwanted: return " (not wanted)";
    case ObjectDiff::Presence::kBoth: break;
  }
  return "";
}

std::string_view word_of(const ObjectDiff& diff) {
  switch (diff.object.kind) {
    case Kind::kTable: return "table";
    case Kind::kChain:
    case Kind::kRule: return "chain";
    case Kind::kSet:
    case Kind::kElement: return diff.is_map ? "map" : "set";
    case Kind::kFlowtable: return "flowtable";
  }
  return "";
}

/// A name or a rule of anybody's, which may hold any byte.
std::string shown(const std::string& text) {
  constexpr std::size_t kLongest = 16 << 10;
  return base::one_line(text, kLongest);
}

}  // namespace

std::string to_text(const ObjectDiff& diff, rules::Family family) {
  const rules::ObjectRef& object = diff.object;
  const std::string name = shown(object.kind == Kind::kTable ? object.table : object.name);
  const bool is_own = object.table == rules::nftables::kTable;
  std::string text = fmt::format("{} {} {}{}\n", name_of(family),
                                 is_own ? word_of(diff) : std::string_view(object.table), name, note_of(diff.presence));
  for (const ObjectDiff::Line& line : diff.lines)
    text += is_own ? fmt::format("  {} {}\n", line.sign, shown(line.rule))
                   : fmt::format("  {} -A {} {}\n", line.sign, name, shown(line.rule));
  return text;
}

int diff(const Options& options) {
  auto inputs = daemon::read_inputs(options.flags, daemon::Purpose::kLook);
  if (!inputs) {
    base::log_error(inputs.error());
    return kExitNoAnswer;
  }
  dataplane::Model& model = *inputs->model;
  config::Environment environment = model.environment();
  environment.has_nfacct = daemon::counters_exist();
  model.set_environment(std::move(environment));
  if (auto gathered = daemon::gather(*inputs); !gathered) {
    base::log_error(gathered.error());
    return kExitNoAnswer;
  }

  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(daemon::with_kernel_advice(kernel.error()));
    return kExitNoAnswer;
  }
  bool equal = true;
  for (const rules::Family family : rules::kFamilies) {
    if (options.family && *options.family != family) continue;
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    const auto difference = model.dataplane(family).diff(*kernel);
    if (!difference) {
      base::log_error(daemon::with_kernel_advice(difference.error()));
      return kExitNoAnswer;
    }
    for (const ObjectDiff& one : difference->objects) fmt::print("{}", to_text(one, family));
    for (const auto& remark : difference->host_ports)
      base::log_warning(to_text(remark), {{"family", std::string(name_of(family))}});
    const auto others = dataplane::find_left_behind(*kernel, family, model.config().mode);
    if (!others) {
      base::log_error(daemon::with_kernel_advice(others.error()));
      return kExitNoAnswer;
    }
    for (const auto what : *others)
      fmt::print("{} {} (not wanted): made by {}; `kubenatd run` removes it unless its maker runs\n", name_of(family),
                 name_of(what), maker_of(what));
    equal = equal && difference->objects.empty() && others->empty();
  }
  if (!finish_output()) return kExitNoAnswer;
  return equal ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
