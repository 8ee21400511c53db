#include <fmt/format.h>
#include <sys/utsname.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/base/rfc3339.h"
#include "agent/base/sysctl.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/running_agent.h"
#include "agent/cli/texts.h"
#include "agent/config/conntrack_settings.h"
#include "agent/daemon/advice.h"
#include "agent/daemon/inputs.h"
#include "agent/explain/sources.h"
#include "agent/node/show.h"
#include "agent/report/known_secrets.h"
#include "agent/report/rules_text.h"
#include "agent/report/text.h"
#include "agent/seen/json.h"
#include "agent/seen/show.h"
#include "agent/serve/seen_pages.h"
#include "netlink/core/nf_tables.h"
#include "netlink/host/conntrack_stats.h"
#include "netlink/walk/ruleset_reader.h"

namespace kubenatd::agent::cli {
namespace {

using report::Section;
using Text = rules::Result<std::string>;

/// Rules of some thousand Services; the start says most.
constexpr std::size_t kMostRules = 512U << 10;
constexpr std::size_t kMostMetrics = 512U << 10;
constexpr std::size_t kMostHistory = 128U << 10;
constexpr std::size_t kMostLog = 256U << 10;
/// For the API server, which may be what is wrong.
constexpr std::chrono::seconds kPatience{10};

std::string about() {
  utsname kernel{};
  (void)::uname(&kernel);
  return fmt::format(
      "made at {} by kubenatd {} on {}, {} {} {}\n"
      "\"{}\" stands where a token, password, key or certificate was.\n"
      "Names and addresses of Services, pods and nodes are in it: read it before you give it away.\n",
      base::to_rfc3339(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())), KUBENATD_VERSION,
      kernel.nodename, kernel.sysname, kernel.release, kernel.machine, base::kLeftOut);
}

Text node_check(const config::FlagValues& flags) {
  const auto report = check_this_node(flags);
  if (!report) return std::unexpected(report.error());
  return node::to_text(*report);
}

Text status_text(const config::FlagValues& flags) {
  const auto document = ask_running_agent(flags, serve::kStatusPath);
  if (!document) return document;
  const auto status = seen::read_status(*document);
  if (!status) return std::unexpected(status.error());
  return to_text(*status);
}

/// One event a line.
Text history_text(const config::FlagValues& flags) {
  const auto document = ask_running_agent(flags, serve::kHistoryPath);
  if (!document) return document;
  const auto json = nlohmann::ordered_json::parse(*document, nullptr, false);
  const auto events = json.is_object() ? json.find("happenings") : json.end();
  if (events == json.end() || !events->is_array())
    return rules::fail(serve::kHistoryPath, "read", "the answer is no history");
  std::string text;
  for (const auto& event : *events)
    text += event.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  return text;
}

Text conntrack_text() {
  std::string text;
  for (const std::string_view name :
       {config::kSysctlConntrackCount, config::kSysctlConntrackMax, config::kSysctlTcpEstablished,
        config::kSysctlTcpCloseWait, config::kSysctlUdp, config::kSysctlUdpStream}) {
    const auto value = base::read_sysctl(name);
    text += fmt::format("{} = {}\n", name, value ? *value : "not available: " + value.error().to_string());
  }
  const auto stats = netlink::host::read_conntrack_stats();
  if (!stats) return text + "counters: not available: " + daemon::with_kernel_advice(stats.error()).to_string() + "\n";
  return text + fmt::format("insert_failed = {}\ndrop = {}\nearly_drop = {}\n", stats->insert_failed, stats->dropped,
                            stats->early_dropped);
}

/// What objects of this configuration ask for.
struct Wanted {
  Text objects, rules, differences;
};

Text differences_text(const dataplane::Model& model) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(daemon::with_kernel_advice(kernel.error()));
  std::string text;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    const auto difference = model.dataplane(family).diff(*kernel);
    if (!difference) return std::unexpected(daemon::with_kernel_advice(difference.error()));
    for (const dataplane::ObjectDiff& one : difference->objects) text += to_text(one, family);
  }
  return text.empty() ? "none: the kernel has what is wanted\n" : text;
}

Wanted read_wanted(const config::FlagValues& flags) {
  const auto nothing = [](const rules::Error& error) {
    return Wanted{
        .objects = std::unexpected(error), .rules = std::unexpected(error), .differences = std::unexpected(error)};
  };
  auto inputs = daemon::read_inputs(flags, daemon::Purpose::kLook);
  if (!inputs) return nothing(inputs.error());
  dataplane::Model& model = *inputs->model;
  config::Environment environment = model.environment();
  environment.has_nfacct = daemon::counters_exist();
  model.set_environment(std::move(environment));
  std::map<objects::Kind, std::set<objects::ObjectKey>> known;
  const auto count = [&](const objects::ObjectEvent& event) {
    if (event.object)
      known[event.kind].insert(event.key);
    else
      known[event.kind].erase(event.key);
  };
  const auto gathered = daemon::gather(*inputs, count, {}, kPatience);
  if (!gathered) return nothing(gathered.error());
  std::string counts = fmt::format("from: {}\nleft out: {}\n", inputs->objects_of, *gathered);
  for (const auto& [kind, keys] : known) counts += fmt::format("{}: {}\n", objects::name_of(kind), keys.size());
  std::string rules;
  for (const rules::Family family : rules::kFamilies)
    rules += fmt::format("# {}\n{}", name_of(family), model.dataplane(family).render());
  return {.objects = std::move(counts), .rules = std::move(rules), .differences = differences_text(model)};
}

std::string own_log() {
  std::string text;
  for (const std::string& line : base::last_log_lines()) text += line + "\n";
  return text;
}

std::vector<Section> read_sections(const config::FlagValues& flags) {
  std::vector<Section> sections;
  const auto add = [&](std::string title, Text text) -> Section& {
    return sections.emplace_back(Section{.title = std::move(title), .text = std::move(text)});
  };
  add("kubenatd report", about());
  add("version of this program", version_document());
  add("configuration that this program was given", configuration_text(flags));
  add("status of the running agent", status_text(flags));
  add("flags of the running agent", ask_running_agent(flags, "/flagz"));
  add("configuration of the running agent", ask_running_agent(flags, "/configz"));
  add("node check", node_check(flags));
  Wanted wanted = read_wanted(flags);
  add("objects, as this program reads them", std::move(wanted.objects));
  add("differences between wanted and live rules", std::move(wanted.differences)).most = kMostRules;
  const auto live = explain::read_live_rules(netlink::walk::kAllAtOnce);
  const auto of_live = [&](std::string (*make)(const rules::walk::Ruleset&)) -> Text {
    if (!live) return std::unexpected(daemon::with_kernel_advice(live.error()));
    return make(*live);
  };
  add("base chains of all programs", of_live(report::base_chains));
  add("connection tracking", conntrack_text());
  Section& history = add("history of the running agent", history_text(flags));
  history.most = kMostHistory;
  history.from_end = true;
  Section& log = add("log of the running agent, last lines", ask_running_agent(flags, serve::kLogPath));
  log.most = kMostLog;
  log.from_end = true;
  add("metrics of the running agent", ask_running_agent(flags, "/metrics")).most = kMostMetrics;
  add("wanted rules", std::move(wanted.rules)).most = kMostRules;
  add("live rules for Services", of_live(report::service_rules)).most = kMostRules;
  add("log of this program", own_log()).from_end = true;
  return sections;
}

}  // namespace

int report(const Options& options) {
  const base::Secrets secrets = report::known_secrets(options.flags);
  const std::string text = to_text(read_sections(options.flags), secrets);
  if (options.report_file.empty() || options.report_file == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return finish_output() ? kExitOk : kExitFailed;
  }
  if (const int code = write_file(options.report_file, text); code != 0) {
    base::log_error(rules::Error{options.report_file.string(), "write", std::generic_category().message(code), code});
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace kubenatd::agent::cli
