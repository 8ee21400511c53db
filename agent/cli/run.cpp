#include <fmt/format.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "agent/cli/commands.h"
#include "agent/cli/configuration.h"
#include "agent/cli/inputs.h"
#include "agent/cli/log.h"
#include "agent/cli/serving.h"
#include "agent/config/config_json.h"
#include "agent/config/sysctl.h"
#include "agent/sync/reconciler.h"
#include "netlink/addresses.h"

namespace kubenatd::agent {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string number(std::size_t value) {
  return std::to_string(value);
}

void log_family(const RoundReport::Family& family) {
  const std::string name(name_of(family.family));
  if (family.error) {
    log_error("sync failed; the kernel keeps what it has", {{"family", name}, {"error", family.error->to_string()}});
    return;
  }
  for (const std::string& remark : family.sync.remarks) log_warning(remark, {{"family", name}});
  for (const std::string& problem : family.sync.problems)
    log_error("not applied", {{"family", name}, {"what", problem}});
  if (!family.sync.healed.empty()) {
    constexpr std::size_t kNamed = 5;
    std::string chains;
    for (std::size_t i = 0; i < std::min(kNamed, family.sync.healed.size()); ++i)
      chains += (i == 0 ? "" : ", ") + family.sync.healed[i];
    if (family.sync.healed.size() > kNamed) chains += fmt::format(" and {} more", family.sync.healed.size() - kNamed);
    log_warning("healed what others had changed", {{"family", name}, {"chains", chains}});
  }
  if (!family.sync.wrote) return;
  log_info("synced", {{"family", name},
                      {"chains", number(family.sync.chains)},
                      {"messages", number(family.sync.messages)},
                      {"bytes", number(family.sync.bytes)},
                      {"transactions", number(family.sync.transactions)},
                      {"retries", number(family.sync.retries)}});
}

void log_round(const RoundReport& report) {
  for (const RoundReport::Family& family : report.families) log_family(family);
  for (const std::string& problem : report.problems) log_error(problem, {});
  for (const std::string& remark : report.remarks) log_warning(remark, {});
  for (const std::string& dispute : report.disputes) log_warning(dispute, {});
  if (report.conntrack_deleted != 0)
    log_info("removed stale UDP conntrack entries", {{"entries", number(report.conntrack_deleted)}});
}

/// Lets NodePorts answer on localhost. Packets to 127.0.0.0/8 may be routed only behind the guard in KUBE-FIREWALL
/// (CVE-2020-8558), so this comes after the IPv4 rules are in place.
class LocalhostRouting {
 public:
  /// False when it is wanted and the kernel's setting could not be made.
  bool after(const RoundReport& report, const rules::iptables::CompileOptions& ipv4) {
    if (done_ || !ipv4.localhost_node_ports) return true;
    for (const RoundReport::Family& family : report.families)
      if (family.family == rules::Family::kIpv4 && family.error) return true;  // not yet
    done_ = true;
    const auto now = read_sysctl(kSysctlRouteLocalnet);
    if (now && *now != "0") return true;
    if (auto written = write_sysctl(kSysctlRouteLocalnet, "1"); !written) {
      log_error("NodePorts will not answer on localhost", {{"error", written.error().to_string()}});
      return false;
    }
    return true;
  }

 private:
  bool done_ = false;
};

/// The loop of the agent: waits for the folder, the kernel, interfaces, signals and deadlines.
class Loop {
 public:
  Loop(Inputs& inputs, Reconciler& reconciler, netlink::AddressMonitor& addresses, LocalhostRouting localhost,
       Serving& serving)
      : inputs_(inputs),
        reconciler_(reconciler),
        addresses_(addresses),
        serving_(serving),
        localhost_(localhost),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Loop() {
    if (signals_ >= 0) ::close(signals_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  int run() {
    if (epoll_.get() < 0 || signals_ < 0) {
      log_error("could not set up the event loop", {{"error", std::strerror(errno)}});
      return kExitFailed;
    }
    for (const int fd : {reconciler_.fd(), inputs_.source.fd(), addresses_.fd(), signals_}) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        log_error("could not set up the event loop", {{"error", std::strerror(errno)}});
        return kExitFailed;
      }
    }
    while (!stop_) {
      if (!wait()) return kExitFailed;
      if (!stop_ && reconciler_.due(Reconciler::Clock::now())) {
        const RoundReport report = reconciler_.reconcile();
        log_round(report);
        serving_.note(report);
        (void)localhost_.after(report, inputs_.model->desired(rules::Family::kIpv4).options());
      }
    }
    log_info("stopped; the rules stay", {});
    return kExitOk;
  }

 private:
  bool wait() {
    const auto left = reconciler_.deadline() - Reconciler::Clock::now();
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(milliseconds, 0, 60'000));
    std::array<epoll_event, 8> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    if (count < 0 && errno != EINTR) {
      log_error("waiting for events failed", {{"error", std::strerror(errno)}});
      return false;
    }
    for (int i = 0; i < count; ++i) handle(events[static_cast<std::size_t>(i)].data.fd);
    return true;
  }

  void handle(int fd) {
    if (fd == signals_) {
      stop_ = true;
    } else if (fd == inputs_.source.fd()) {
      SourceUpdate update = inputs_.source.poll();
      log_update(update);
      serving_.note(update.events);
      if (!update.events.empty()) reconciler_.apply(std::move(update.events));
    } else if (fd == addresses_.fd()) {
      if (addresses_.drain()) refresh_environment();
    } else if (auto handled = reconciler_.handle_events(); !handled) {
      log_error(handled.error().to_string(), {});
    }
  }

  void refresh_environment() {
    const Environment& before = inputs_.model->environment();
    Environment now = read_environment(inputs_.model->config(), before.node_name);
    now.has_nfacct = before.has_nfacct;
    // Read once at start, as kube-proxy does: an administrator's later change does not move rules.
    now.conntrack_be_liberal = before.conntrack_be_liberal;
    now.ipv6 = before.ipv6;
    if (now.local_addresses != before.local_addresses) reconciler_.set_environment(std::move(now));
  }

  Inputs& inputs_;
  Reconciler& reconciler_;
  netlink::AddressMonitor& addresses_;
  Serving& serving_;
  LocalhostRouting localhost_;
  FileDescriptor epoll_;
  int signals_ = -1;
  bool stop_ = false;
};

/// --write-config-to: JSON is YAML, so the file can be given back as --config.
int write_configuration(const FlagValues& flags) {
  const auto loaded = load_configuration(flags);
  if (!loaded) {
    log_error(loaded.error().to_string());
    return kExitFailed;
  }
  std::FILE* file = std::fopen(flags.write_config_to->c_str(), "we");
  const std::string text = to_json(loaded->config) + "\n";
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    log_error("the configuration could not be written",
              {{"file", flags.write_config_to->string()}, {"error", std::strerror(errno)}});
    return kExitFailed;
  }
  return kExitOk;
}

int run_agent(const Options& options, Inputs& inputs, std::size_t problems) {
  auto addresses = netlink::AddressMonitor::open();
  if (!addresses) {
    log_error(addresses.error().to_string(), {});
    return kExitFailed;
  }
  auto reconciler = Reconciler::open(*inputs.model);
  if (!reconciler) {
    log_error(reconciler.error().to_string(), {});
    return kExitFailed;
  }
  std::unique_ptr<Serving> serving;
  if (!options.once) {
    auto opened = Serving::open(*inputs.model);
    if (!opened) {
      log_error(opened.error().to_string(), {});
      return kExitFailed;
    }
    serving = std::move(*opened);
    serving->note(inputs.first.events);
  }
  (*reconciler)->apply(std::move(inputs.first.events));
  inputs.first = {};

  const RoundReport report = (*reconciler)->reconcile(true);
  log_round(report);
  const Model& model = *inputs.model;
  if (inputs.prepare_again) (void)prepare_node(model.config(), problems);
  LocalhostRouting localhost;
  if (!localhost.after(report, inputs.model->desired(rules::Family::kIpv4).options())) ++problems;
  log_info(report.failed() ? "first sync done, with errors" : "ready",
           {{"node", model.environment().node_name},
            {"services", number(model.state().services())},
            {"endpoint_slices", number(model.state().endpoint_slices())},
            {"took_ms", fmt::format("{:.1f}", std::chrono::duration<double, std::milli>(report.took).count())}});
  // The first sync took many times the memory that the agent lives with.
  ::malloc_trim(0);
  if (options.once) return report.failed() || problems != 0 ? kExitFailed : kExitOk;
  serving->note(report);
  return Loop(inputs, **reconciler, *addresses, localhost, *serving).run();
}

}  // namespace

int run(const Options& options) {
  if (options.flags.cleanup) return cleanup(options);
  if (options.flags.write_config_to) return write_configuration(options.flags);
  std::size_t problems = 0;
  auto inputs = read_inputs(options, true, problems);
  if (!inputs) {
    log_error(inputs.error().to_string(), {});
    return kExitFailed;
  }
  if (options.flags.init_only) return problems == 0 ? kExitOk : kExitFailed;
  return run_agent(options, *inputs, problems);
}

}  // namespace kubenatd::agent
