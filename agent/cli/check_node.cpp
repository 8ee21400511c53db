#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/texts.h"
#include "agent/daemon/configuration.h"
#include "agent/daemon/inputs.h"
#include "agent/daemon/rival_watch.h"
#include "agent/node/check.h"
#include "agent/node/show.h"
#include "agent/serve/descriptor_shares.h"

namespace kubenatd::agent::cli {
namespace {

using config::Config;

/// The mode that is asked for: by --proxy-mode, also beside --config, or by the file; else both are.
rules::Result<std::vector<Config::Mode>> modes_of(const config::FlagValues& flags, const Config& config) {
  const auto given = flags.given.find("proxy-mode");
  const std::string mode = given == flags.given.end() || given->second.empty() ? "" : given->second.back();
  if (mode.empty()) {
    if (flags.config) return std::vector{config.mode};
    return std::vector{Config::Mode::kIptables, Config::Mode::kNftables};
  }
  for (const Config::Mode one : {Config::Mode::kIptables, Config::Mode::kNftables})
    if (mode == config::name_of(one)) return std::vector{one};
  return rules::fail("--proxy-mode", "choose", base::in_quotes(mode) + " is not iptables or nftables");
}

}  // namespace

rules::Result<node::Report> check_this_node(const config::FlagValues& flags) {
  const auto loaded = daemon::load_configuration(flags);
  if (!loaded) return std::unexpected(loaded.error());
  const Config& config = loaded->config;
  const auto modes = modes_of(flags, config);
  if (!modes) return std::unexpected(modes.error());
  config::Environment environment = daemon::read_environment(config, {});
  environment.has_nfacct = daemon::counters_exist();
  const std::optional<objects::Node> no_node;
  const dataplane::NodeFacts facts{
      .config = config, .environment = environment, .node = no_node, .known_endpoints = 0, .service_cidrs = {}};
  daemon::RivalWatch rivals;
  rivals.look(config);
  dataplane::NetlinkKernel kernel;
  return node::check_node(kernel, {.modes = *modes,
                                   .facts = facts,
                                   .localhost_node_ports = config.localhost_node_ports,
                                   .least_descriptors = serve::DescriptorShares::kReserve,
                                   .rival = rivals.take(daemon::RivalWatch::Clock::now()).value_or("")});
}

int check_node(const Options& options) {
  const auto report = check_this_node(options.flags);
  if (!report) {
    base::log_error(report.error());
    return kExitFailed;
  }
  fmt::print("{}", options.check.json ? node::to_json(*report) : node::to_text(*report));
  if (!finish_output()) return kExitFailed;
  bool unknown = false;
  for (const Config::Mode mode : report->modes) {
    const node::State verdict = node::verdict_on(mode, report->findings);
    if (verdict == node::State::kMissing) return kExitFailed;
    unknown = unknown || verdict == node::State::kUnknown;
  }
  return unknown ? kExitNoAnswer : kExitOk;
}

}  // namespace kubenatd::agent::cli
