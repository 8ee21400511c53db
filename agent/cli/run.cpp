#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/api/api_client.h"
#include "agent/base/descriptor_limit.h"
#include "agent/base/log.h"
#include "agent/base/service_manager.h"
#include "agent/base/signals.h"
#include "agent/cli/commands.h"
#include "agent/cli/explain_sources.h"
#include "agent/cli/output.h"
#include "agent/config/config_json.h"
#include "agent/config/flag_listing.h"
#include "agent/daemon/advice.h"
#include "agent/daemon/cluster_events.h"
#include "agent/daemon/config_watch.h"
#include "agent/daemon/configuration.h"
#include "agent/daemon/inputs.h"
#include "agent/daemon/object_source.h"
#include "agent/daemon/rival_watch.h"
#include "agent/daemon/run_loop.h"
#include "agent/daemon/serving.h"
#include "agent/dataplane/fast_path.h"
#include "agent/dataplane/left_behind.h"
#include "agent/dataplane/reconciler.h"
#include "agent/dataplane/table_owner.h"
#include "agent/explain/explain.h"
#include "agent/explain/question.h"
#include "agent/explain/show.h"
#include "agent/node/check.h"
#include "agent/node/show.h"
#include "agent/trace/show.h"
#include "agent/trace/tracer.h"
#include "netlink/host/addresses.h"

namespace kubenatd::agent::cli {
namespace {

// What a trace from the page may take.
constexpr std::chrono::seconds kPageTraceTime{10};
constexpr std::size_t kPageTracePackets = 4;

/// --write-config-to: JSON is YAML, so the file can be given back as --config.
int write_configuration(const config::FlagValues& flags) {
  const auto loaded = daemon::load_configuration(flags);
  if (!loaded) {
    base::log_error(loaded.error());
    return kExitFailed;
  }
  const std::string text = to_json(loaded->config) + "\n" + settings_document(loaded->config);
  if (const int code = write_file(*flags.write_config_to, text); code != 0) {
    base::log_error("the configuration could not be written (--write-config-to)",
                    {{"file", flags.write_config_to->string()}, {"error", std::generic_category().message(code)}});
    return kExitFailed;
  }
  return kExitOk;
}

/// Names at once all that the node lacks for the rules, before any of it is refused one by one. What can run does.
void tell_what_is_missing(const dataplane::Model& model, dataplane::Kernel& kernel) {
  const std::optional<objects::Node>& node = model.state().node();
  const dataplane::NodeFacts facts{.config = model.config(),
                                   .environment = model.environment(),
                                   .node = node,
                                   .known_endpoints = 0,
                                   .service_cidrs = {}};
  const node::Report report = node::check_kernel(kernel, {.modes = {model.config().mode}, .facts = facts, .rival = {}});
  if (const std::string missing = in_one_line(report, node::State::kMissing); !missing.empty())
    base::log_error("this node cannot do all that the mode needs", {{"missing", missing}});
  if (const std::string warnings = in_one_line(report, node::State::kWarning); !warnings.empty())
    base::log_warning("this node does not do all that could be asked of it", {{"found", warnings}});
}

/// Says where --own-table on cannot be what it was meant to be.
void tell_own_table(const config::Config& config, dataplane::Kernel& kernel) {
  if (config.own_table != config::Settings::OwnTable::kOn) return;
  if (config.mode != config::Config::Mode::kNftables) {
    base::log_warning("--own-table on has no effect in iptables mode, whose tables belong to all programs");
    return;
  }
  auto socket = kernel.connect();
  if (!socket) return;  // the sync tells of that
  const auto can = dataplane::can_own_tables(**socket, rules::Family::kIpv4);
  if (can && !*can)
    base::log_error("--own-table on: this kernel has no tables with flags owner and persist (Linux 6.9 and newer)");
}

/// Says where --fast-path is not all that was asked for.
void tell_fast_path(const config::Config& config) {
  if (config.fast_path.empty()) return;
  if (config.mode != config::Config::Mode::kNftables) {
    base::log_warning("--fast-path has no effect in iptables mode");
    return;
  }
  const dataplane::FastPathSupport support = dataplane::find_fast_path();
  if (support.can == rules::nftables::FastPath::kOff) {
    base::log_warning("--fast-path has no effect on this node", {{"reason", support.limit}});
  } else if (!support.limit.empty()) {
    base::log_info("--fast-path is for TCP alone on this node", {{"reason", support.limit}});
  }
}

/// Names what kube-proxy in ipvs mode left: a packet that our rules do not know may end there.
void tell_ipvs(const config::Environment& environment) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return;  // the sync tells of that
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !environment.ipv6) continue;
    const auto found = dataplane::find_ipvs(*kernel, family);
    if (found && !found->empty())
      base::log_warning(
          "kube-proxy in ipvs mode left rules that kubenatd does not touch: kube-proxy --cleanup "
          "removes them",
          {{"family", std::string(name_of(family))}, {"what", fmt::format("{}", fmt::join(*found, ", "))}});
  }
}

/// Answers by objects and rules that are read for the question anew, with the agent's own options.
using Answer =
    std::function<page::Explained(const ExplainOptions&, const config::FlagValues&, const explain::Question&)>;
page::Explain for_page(const config::FlagValues& flags, Answer answer) {
  return [flags, answer = std::move(answer)](const std::string& to, const std::string& from) -> page::Explained {
    const auto question = explain::parse_question(to, from);
    if (!question) return {.understood = false, .json = {}, .error = question.error().to_string()};
    ExplainOptions asked;
    asked.question = to;
    asked.from = from;
    return answer(asked, flags, *question);
  };
}

/// As `kubenatd explain`.
page::Explained explain_for_page(const ExplainOptions& asked, const config::FlagValues& flags,
                                 const explain::Question& question) {
  const auto answer = answer_question(asked, flags, question);
  if (!answer) return {.json = {}, .error = answer.error().to_string()};
  return {.json = explain::to_json(*answer), .error = {}};
}

/// As `kubenatd trace`, for a short time.
page::Explained trace_for_page(const ExplainOptions& asked, const config::FlagValues& flags,
                               const explain::Question& question) {
  page::Explained told;
  const auto traced =
      trace::trace_packets({.question = question, .duration = kPageTraceTime, .packets = kPageTracePackets},
                           read_explain_sources(asked, flags, question),
                           [&](const trace::Report& report) { told.json = trace::to_json(report); });
  if (!traced) told.error = daemon::with_kernel_advice(traced.error().error).to_string();
  return told;
}

/// One life of the agent: from reading the configuration until it is to stop, or to start again. `source` is that of
/// the life before, and is left to the one after.
rules::Result<daemon::RunEnd> run_agent(const config::FlagValues& flags, base::Signals& signals,
                                        base::ServiceManager& manager, daemon::RivalWatch& rivals,
                                        std::unique_ptr<daemon::ObjectSource>& source) {
  auto addresses = netlink::host::AddressMonitor::open();  // before what is local is read, so that no change is missed
  auto inputs = daemon::read_inputs(flags, daemon::Purpose::kRun, std::move(source));
  if (!inputs) return std::unexpected(inputs.error());
  const config::Settings& settings = inputs->model->config();
  if (flags.init_only) return daemon::RunEnd::kStopped;
  auto files = daemon::ConfigWatch::open(settings.once ? std::vector<daemon::KnownFile>() : std::move(inputs->files));
  if (!files) return std::unexpected(files.error());
  if (!addresses) return std::unexpected(daemon::with_kernel_advice(addresses.error()));
  dataplane::NetlinkKernel kernel;
  tell_what_is_missing(*inputs->model, kernel);
  tell_own_table(inputs->model->config(), kernel);
  tell_fast_path(inputs->model->config());
  auto reconciler = dataplane::Reconciler::open(*inputs->model, kernel);
  if (!reconciler) return std::unexpected(daemon::with_kernel_advice(reconciler.error()));
  if (inputs->events && !settings.once)
    inputs->events->record(daemon::starting_event(inputs->model->environment().node_name));
  tell_ipvs(inputs->model->environment());
  rivals.look(inputs->model->config());  // before our own servers are there to answer
  std::unique_ptr<daemon::Serving> serving;
  if (!settings.once) {
    auto opened = daemon::Serving::open(*inputs->model, {.counted_services = settings.counted_services,
                                                         .source_has_node = inputs->source->knows_node(),
                                                         .events = inputs->events.get(),
                                                         .flags = list_flags(flags),
                                                         .objects_of = inputs->objects_of,
                                                         .request_metrics = inputs->request_metrics,
                                                         .explain = for_page(flags, explain_for_page),
                                                         .trace = for_page(flags, trace_for_page)});
    if (!opened) return std::unexpected(opened.error());
    serving = std::move(*opened);
  }
  const daemon::RunEnd end = daemon::RunLoop({.inputs = *inputs,
                                              .reconciler = **reconciler,
                                              .addresses = *addresses,
                                              .files = *files,
                                              .signals = signals,
                                              .manager = manager,
                                              .rivals = rivals,
                                              .serving = serving.get()},
                                             flags)
                                 .run();
  source = std::move(inputs->source);
  return end;
}

}  // namespace

int run(const Options& options) {
  // What is wrong with the configuration is told before it is known: then only the flag says how.
  const auto format = options.flags.given.find("logging-format");
  if (format != options.flags.given.end() && !format->second.empty() && format->second.back() == "json")
    base::configure_logging(base::LogForm::kJson, options.flags.verbosity);
  if (options.flags.cleanup) return cleanup(options);
  if (options.flags.write_config_to) return write_configuration(options.flags);
  auto signals = base::Signals::open();
  if (!signals) {
    base::log_error(signals.error());
    return kExitFailed;
  }
  static_cast<void>(base::raise_descriptor_limit());
  api::limit_http_threads();
  auto manager = base::ServiceManager::of_environment();
  daemon::RivalWatch rivals;
  std::unique_ptr<daemon::ObjectSource> source;
  while (true) {
    const auto end = run_agent(options.flags, *signals, manager, rivals, source);
    if (!end) {
      base::log_error(end.error());
      return kExitFailed;
    }
    switch (*end) {
      case daemon::RunEnd::kStopped: return kExitOk;
      case daemon::RunEnd::kFailed: return kExitFailed;
      case daemon::RunEnd::kReload: break;
    }
  }
}

}  // namespace kubenatd::agent::cli
