#include "agent/cli/inputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/cli/configuration.h"
#include "agent/cli/log.h"
#include "agent/config/conntrack_settings.h"
#include "agent/config/sysctl.h"
#include "agent/text/printable.h"
#include "netlink/addresses.h"
#include "netlink/counters.h"

namespace kubenatd::agent {
namespace {

bool make_counters() {
  for (const char* name : {rules::iptables::kNfacctInvalid, rules::iptables::kNfacctLocalhost}) {
    if (auto made = netlink::ensure_counter(name); !made) {
      log_info("rules go without packet counters of nfnetlink_acct", {{"reason", made.error().to_string()}});
      return false;
    }
  }
  return true;
}

}  // namespace

bool prepare_node(const Config& config, std::size_t& problems) {
  const auto wanted = wanted_conntrack_settings(config.conntrack, count_cpus());
  const ConntrackOutcome outcome = apply_conntrack_settings(wanted);
  for (const std::string& line : outcome.changed) log_info("kernel setting", {{"set", line}});
  for (const std::string& line : outcome.left) log_info("kernel setting left as it is", {{"what", line}});
  for (const std::string& line : outcome.failed) log_error("a kernel setting could not be made", {{"what", line}});
  problems += outcome.failed.size();
  return outcome.not_loaded;
}

Environment read_environment(const Config& config, std::string node_name) {
  Environment environment;
  environment.node_name = std::move(node_name);
  if (auto addresses = netlink::local_addresses()) {
    environment.local_addresses = std::move(*addresses);
  } else {
    log_warning("the addresses of this node could not be read", {{"error", addresses.error().to_string()}});
  }
  const auto liberal = read_sysctl(kSysctlTcpBeLiberal);
  environment.conntrack_be_liberal = config.conntrack.tcp_be_liberal || (liberal && *liberal != "0");
  environment.ipv6 = ::access("/proc/net/if_inet6", F_OK) == 0;
  return environment;
}

bool counters_exist() {
  return netlink::read_counter(rules::iptables::kNfacctInvalid).has_value() &&
         netlink::read_counter(rules::iptables::kNfacctLocalhost).has_value();
}

void log_update(const SourceUpdate& update) {
  for (const std::string& line : update.passed_over) log_info("passed over", {{"what", line}});
  for (const std::string& line : update.remarks) log_warning("taken in part", {{"what", line}});
  for (const std::string& line : update.problems) log_warning("left out", {{"what", line}});
}

rules::Result<Inputs> read_inputs(const Options& options, bool for_kernel, std::size_t& problems) {
  auto loaded = load_configuration(options.flags);
  if (!loaded) return std::unexpected(loaded.error());
  for (const std::string& remark : loaded->remarks) log_info("configuration", {{"remark", remark}});
  Config& config = loaded->config;
  config.dispatch = options.dispatch;
  config.tree_threshold = options.tree_threshold;
  config.audit_period = options.audit_period;
  for (const std::string& text : options.service_cidrs) {
    const auto cidr = rules::Prefix::parse(text);
    if (!cidr) return rules::fail("--service-cidr", "read", in_quotes(text) + " is not a CIDR", EINVAL);
    config.service_cidrs.push_back(*cidr);
  }

  auto name = node_name(config, options.flags.hostname_override);
  if (!name) return std::unexpected(name.error());
  const bool prepare_again = for_kernel && prepare_node(config, problems);
  Environment environment = read_environment(config, std::move(*name));
  if (for_kernel) environment.has_nfacct = make_counters();

  auto source = ManifestSource::open(options.manifests);
  if (!source) return std::unexpected(source.error());
  SourceUpdate first = source->load();
  log_update(first);
  problems += first.problems.size();
  return Inputs{.model = std::make_unique<Model>(std::move(config), std::move(environment)),
                .source = std::move(*source),
                .first = std::move(first),
                .prepare_again = prepare_again};
}

}  // namespace kubenatd::agent
