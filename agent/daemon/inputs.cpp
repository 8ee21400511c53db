#include "agent/daemon/inputs.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "agent/api/api_source.h"
#include "agent/api/request_stats.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/base/sysctl.h"
#include "agent/config/conntrack_settings.h"
#include "agent/config/other_files.h"
#include "agent/daemon/advice.h"
#include "agent/daemon/configuration.h"
#include "agent/daemon/request_metrics.h"
#include "agent/dataplane/fast_path.h"
#include "netlink/host/addresses.h"
#include "netlink/host/counters.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/listeners.h"
#include "netlink/host/local_routes.h"
#include "rules/iptables/options.h"

namespace kubenatd::agent::daemon {
namespace {

/// klog's levels below are "useful steady state information"; 4 is "debug level verbosity".
constexpr int kDebugVerbosity = 4;

/// kube-proxy sets it too. Lowering it needs CAP_SYS_RESOURCE, which a container does not have to have.
void set_oom_score(const config::Config& config) {
  const std::string value = std::to_string(config.oom_score_adj);
  if (auto now = base::read_file("/proc/self/oom_score_adj", 64, "read"); now && base::trimmed(*now) == value) return;
  if (auto set = base::write_existing_file("/proc/self/oom_score_adj", value, "set oomScoreAdj"); !set)
    base::log_debug("oomScoreAdj is left as it is", {{"reason", set.error().to_string()}});
}

bool make_counters() {
  for (const char* name : {rules::iptables::kNfacctInvalid, rules::iptables::kNfacctLocalhost}) {
    if (auto made = netlink::host::ensure_counter(name); !made) {
      base::log_info("rules go without packet counters of nfnetlink_acct", {{"reason", made.error().to_string()}});
      return false;
    }
  }
  return true;
}

}  // namespace

rules::Result<bool> prepare_node(const config::Config& config) {
  set_oom_score(config);
  const auto wanted = config::wanted_conntrack_settings(config.conntrack, config::count_cpus());
  const config::ConntrackOutcome outcome = config::apply_conntrack_settings(wanted);
  for (const std::string& line : outcome.changed) base::log_info("kernel setting", {{"set", line}});
  for (const std::string& line : outcome.left) base::log_info("kernel setting left as it is", {{"what", line}});
  if (!outcome.failed.empty())
    return rules::fail("kernel settings", "make what the configuration asks for",
                       fmt::to_string(fmt::join(outcome.failed, "; ")));
  return outcome.not_loaded;
}

config::Environment read_environment(const config::Config& config, std::string node_name) {
  config::Environment environment;
  environment.node_name = std::move(node_name);
  if (auto addresses = netlink::host::local_addresses()) {
    environment.local_addresses = std::move(*addresses);
  } else {
    base::log_warning("the addresses of this node could not be read", {{"error", addresses.error().to_string()}});
  }
  if (auto prefixes = netlink::host::local_prefixes(environment.local_addresses)) {
    environment.local_prefixes = std::move(*prefixes);
  } else {
    base::log_warning("the local routes of this node could not be read", {{"error", prefixes.error().to_string()}});
  }
  const auto liberal = base::read_sysctl(base::kSysctlTcpBeLiberal);
  environment.conntrack_be_liberal = config.conntrack.tcp_be_liberal || (liberal && *liberal != "0");
  environment.ipv6 = ::access("/proc/net/if_inet6", F_OK) == 0;
  environment.listeners = read_listeners(config);
  if (config.mode == config::Config::Mode::kNftables && !config.fast_path.empty()) {
    if (const auto links = netlink::host::read_links()) {
      environment.fast_path_devices = dataplane::choose_devices(config.fast_path, *links);
    } else {
      base::log_warning("the devices of this node could not be read", {{"error", links.error().to_string()}});
    }
  }
  return environment;
}

std::vector<config::Listener> read_listeners(const config::Config& config) {
  std::vector<config::Listener> found;
  for (const rules::Protocol protocol : {rules::Protocol::kTcp, rules::Protocol::kUdp}) {
    const auto is_of = [&](const config::ReservedPort& port) { return port.protocol == protocol; };
    if (std::ranges::none_of(config.reserved_ports, is_of)) continue;
    const auto sockets = netlink::host::listening_sockets(protocol);
    for (const config::ReservedPort& port : config.reserved_ports) {
      if (!is_of(port)) continue;
      if (!sockets) {
        found.push_back({protocol, port.port, std::nullopt});
        continue;
      }
      for (const netlink::host::ListeningSocket& socket : *sockets)
        if (socket.port == port.port) found.push_back({protocol, port.port, socket.address});
    }
  }
  std::ranges::sort(found);
  const auto doubles = std::ranges::unique(found);
  found.erase(doubles.begin(), doubles.end());
  return found;
}

bool counters_exist() {
  return netlink::host::read_counter(rules::iptables::kNfacctInvalid).has_value() &&
         netlink::host::read_counter(rules::iptables::kNfacctLocalhost).has_value();
}

namespace {

WatchPods pods_to_watch(Purpose purpose, const config::Config& config) {
  if (purpose == Purpose::kExplain) return WatchPods::kAll;
  switch (config.host_ports) {
    case config::Config::HostPorts::kOff: return WatchPods::kNo;
    case config::Config::HostPorts::kAuto: return WatchPods::kOptional;
    case config::Config::HostPorts::kOn: break;
  }
  return WatchPods::kNeeded;
}

rules::Result<api::ClusterAccess> access_of(const config::Config& config) {
  const std::string& kubeconfig = config.client_connection.kubeconfig;
  auto access =
      api::find_access({.kubeconfig = kubeconfig, .context = {}, .master = config.master, .pod = {}, .proxies = {}});
  if (access) return access;
  rules::Error error = access.error();
  if (kubeconfig.empty()) {
    if (config.master.empty())
      error.cause += "; --kubeconfig FILE, --master URL or --manifests DIR say where objects come from";
  } else if (std::string advice = config::advice_for_kubeconfig(kubeconfig); !advice.empty()) {
    error = {base::one_line(kubeconfig, 512), "read kubeconfig", std::move(advice)};
  } else {
    error = with_origin(std::move(error), "--kubeconfig, clientConnection.kubeconfig");
  }
  return std::unexpected(std::move(error));
}

/// Commands that print something of their own are for people: only `run` logs as the configuration says.
void configure_log(const config::FlagValues& flags, const config::Config& config, Purpose purpose) {
  const int verbosity = std::max(flags.verbosity, config.logging.verbosity >= kDebugVerbosity ? 1 : 0);
  if (purpose != Purpose::kRun) return base::set_log_verbosity(verbosity);
  base::configure_logging(config.logging.is_json() ? base::LogForm::kJson : base::text_log_form(), verbosity,
                          config.logging.splits_stream());
}

}  // namespace

rules::Status check_inputs(const config::FlagValues& flags) {
  auto loaded = load_configuration(flags);
  if (!loaded) return std::unexpected(loaded.error());
  if (!loaded->config.manifests.empty()) return {};
  if (auto access = access_of(loaded->config); !access) return std::unexpected(access.error());
  return {};
}

rules::Result<Inputs> read_inputs(const config::FlagValues& flags, Purpose purpose,
                                  std::unique_ptr<ObjectSource> previous) {
  const bool for_kernel = purpose == Purpose::kRun;
  Inputs inputs;
  if (flags.config) inputs.files.push_back(know_file(*flags.config));
  auto loaded = load_configuration(flags);
  if (!loaded) return std::unexpected(loaded.error());
  config::Config& config = loaded->config;
  configure_log(flags, config, purpose);
  for (const std::string& remark : loaded->remarks) base::log_info("configuration", {{"remark", remark}});

  auto name = config::node_name(config, flags.hostname_override);
  if (!name) return std::unexpected(name.error());
  for (const std::filesystem::path& folder : config.manifests)
    inputs.objects_of += (inputs.objects_of.empty() ? "" : ", ") + folder.string();
  // The source first: an API server answers while the node is prepared.
  if (previous && (config.once || !previous->serves(config.manifests))) previous.reset();
  if (previous) {
    previous->start_over();
    inputs.source = std::move(previous);
  } else if (!config.manifests.empty()) {
    const bool follow = for_kernel && !config.once;
    auto source = follow ? follow_manifests(config.manifests) : open_manifests(config.manifests);
    if (!source) return std::unexpected(with_origin(source.error(), "--manifests"));
    inputs.source = std::move(*source);
  } else {
    if (const std::string& file = config.client_connection.kubeconfig; !file.empty())
      inputs.files.push_back(know_file(file));
    auto access = access_of(config);
    if (!access) return std::unexpected(access.error());
    access->stats = std::make_shared<api::RequestStats>();
    inputs.request_metrics = std::make_shared<RequestMetrics>(access->stats, access->server.authority());
    for (const std::string& warning : access->warnings) base::log_warning("credentials", {{"problem", warning}});
    auto source = open_api(
        *access,
        api::preferred_encoding(config.client_connection.accept_content_types, config.client_connection.content_type),
        *name, pods_to_watch(purpose, config));
    if (!source) return std::unexpected(source.error());
    inputs.source = std::move(*source);
    if (for_kernel) {
      auto events = api::EventRecorder::open(*access, *name, {}, [](const std::string& line) {
        base::log_warning("Events are not written at present", {{"error", line}});
      });
      if (!events) return std::unexpected(events.error());
      inputs.events = std::move(*events);
    }
    inputs.objects_of = "API server " + access->server.to_string();
    base::log_info("objects come from an API server", {{"server", access->server.to_string()},
                                                       {"said_by", access->origin},
                                                       {"proxy", access->proxy ? access->proxy->to_string() : "none"}});
  }
  if (for_kernel) {
    const auto prepared = prepare_node(config);
    if (!prepared) return std::unexpected(prepared.error());
    inputs.prepare_again = *prepared;
  }
  config::Environment environment = read_environment(config, std::move(*name));
  if (config.mode == config::Config::Mode::kNftables && !config.fast_path.empty())
    environment.fast_path = dataplane::find_fast_path().can;
  environment.has_nfacct = for_kernel && config.mode != config::Config::Mode::kNftables && make_counters();
  inputs.model = std::make_unique<dataplane::Model>(std::move(config), std::move(environment));
  return inputs;
}

rules::Result<std::size_t> gather(Inputs& inputs, const std::function<void(const objects::ObjectEvent&)>& see,
                                  const std::function<void(objects::PassedOver)>& left_out,
                                  std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::size_t problems = 0;
  while (true) {
    ObjectSource::Update update = inputs.source->take();
    problems += update.problems;
    if (see)
      for (const objects::ObjectEvent& event : update.events) see(event);
    if (left_out)
      for (objects::PassedOver& one : update.left_out) left_out(std::move(one));
    (void)inputs.model->apply(std::move(update.events));
    for (const std::string& remark : inputs.model->take_remarks()) base::log_warning(remark);
    if (update.synced) return problems;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      std::string states;
      for (const api::WatchState& state : update.states) states += (states.empty() ? "" : "; ") + describe(state);
      return rules::fail("API server", "read all objects", states, ETIMEDOUT);
    }
    pollfd readable{.fd = inputs.source->fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&readable, 1, static_cast<int>(left.count()));
  }
}

std::string missing_of_node(const dataplane::Model& model) {
  const std::optional<objects::Node>& node = model.state().node();
  const std::string& name = model.environment().node_name;
  if (!node) return fmt::format("the API server has no Node {}", name);
  if (node->addresses.empty()) return fmt::format("Node {} has no address", name);
  if (model.config().detect_local == config::Config::DetectLocal::kNodeCidr && node->pod_cidrs.empty())
    return fmt::format("Node {} has no podCIDRs, which detectLocalMode NodeCIDR needs", name);
  return {};
}

}  // namespace kubenatd::agent::daemon
