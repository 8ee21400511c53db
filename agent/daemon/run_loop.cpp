#include "agent/daemon/run_loop.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

#include "agent/api/api_source.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/daemon/round_log.h"

namespace kubenatd::agent::daemon {
namespace {

/// kube-proxy's patience with the Node (NodeManager, v1.35).
constexpr auto kLongestStart = std::chrono::minutes(5);
constexpr auto kLongestPause = std::chrono::seconds(1);
constexpr auto kLongestWait = std::chrono::minutes(1);
/// From the first sync until what the start alone needed is given back: watches and ports are open by then.
constexpr auto kStartIsOver = std::chrono::seconds(2);
/// A file system that takes longer to answer is worth a line.
constexpr auto kLongestSilence = std::chrono::seconds(30);

/// A port that was listened at stays reserved: a server that starts again must find it.
std::vector<config::Listener> with_earlier(std::vector<config::Listener> now,
                                           const std::vector<config::Listener>& earlier) {
  std::vector<config::Listener> all;
  std::ranges::sort(now);
  std::ranges::set_union(now, earlier, std::back_inserter(all));
  return all;
}

}  // namespace

RunLoop::RunLoop(Parts parts, const config::FlagValues& flags)
    : inputs_(parts.inputs),
      reconciler_(parts.reconciler),
      addresses_(parts.addresses),
      files_(parts.files),
      signals_(parts.signals),
      manager_(parts.manager),
      rivals_(parts.rivals),
      serving_(parts.serving),
      flags_(flags),
      once_(parts.inputs.model->config().once),
      node_names_(parts.inputs.model->environment().node_name),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      give_up_(Clock::now() + kLongestStart) {
  reconciler_.set_answers([this](dataplane::LeftBehind what) {
    return RivalWatch::find_maker(inputs_.model->config(), what, [this](std::uint16_t port) {
      return serving_ != nullptr && serving_->has_open(port);
    });
  });
}

RunLoop::~RunLoop() {
  reconciler_.set_answers({});
}

rules::Status RunLoop::watch() {
  const int serving = serving_ == nullptr ? -1 : serving_->fd();
  for (const int fd : {reconciler_.fd(), inputs_.source->fd(), addresses_.fd(), files_.fd(), signals_.fd(), serving}) {
    if (fd < 0) continue;  // gives nothing that would come later
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (!epoll_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return rules::fail("event loop", "watch a descriptor by epoll", std::generic_category().message(errno), errno);
  }
  return {};
}

RunEnd RunLoop::run() {
  if (auto watched = watch(); !watched) {
    base::log_error(watched.error());
    return RunEnd::kFailed;
  }
  take_objects();
  while (true) {
    Step step = running_ ? Step::kGoOn : first_sync();
    if (step == Step::kGoOn) {
      if (running_ && reconciler_.due(Clock::now())) round();
      tell_rivals();
      tell_silence();
      step = wait();
    }
    switch (step) {
      case Step::kGoOn: break;
      case Step::kStop: return RunEnd::kStopped;
      case Step::kReload: return RunEnd::kReload;
      case Step::kFailed: return RunEnd::kFailed;
    }
  }
}

std::string RunLoop::waits_for() const {
  if (!objects_synced_) {
    std::string text = "not all objects are in";
    for (const api::WatchState& state : states_) text += "; " + describe(state);
    return text;
  }
  return inputs_.source->knows_node() ? missing_of_node(*inputs_.model) : std::string();
}

RunLoop::Step RunLoop::first_sync() {
  if (const std::string missing = waits_for(); !missing.empty()) {
    if (serving_ != nullptr) serving_->note_waiting(missing);
    manager_.status("waits to start: " + missing);
    // The lists are waited for as long as it takes: a server that is away comes back, and what is in the kernel stays.
    if (Clock::now() < give_up_ || (!objects_synced_ && !once_)) return Step::kGoOn;
    base::log_error("gave up waiting to start", {{"for", missing}});
    return Step::kFailed;
  }
  running_ = true;
  const dataplane::RoundReport report = reconciler_.reconcile(true);
  log_round(report);
  tell_left_standing();
  if (serving_ != nullptr) serving_->note(report);
  bool complete = !report.failed();
  const dataplane::Model& model = *inputs_.model;
  if (inputs_.prepare_again) {
    if (const auto prepared = prepare_node(model.config()); !prepared) {
      base::log_error(prepared.error());
      return Step::kFailed;
    }
  }
  if (!localhost_.after(report, model.dataplane(rules::Family::kIpv4).node_options())) complete = false;
  localhost_.after(report, model.dataplane(rules::Family::kIpv4).host_ports());
  base::log_info(report.failed() ? "first sync done, with errors" : "ready",
                 {{"node", model.environment().node_name},
                  {"services", model.state().services()},
                  {"endpoint_slices", model.state().endpoint_slices()},
                  {"took_ms", std::chrono::duration<double, std::milli>(report.took).count()}});
  manager_.ready(status_after(report));
  tell_rivals();
  // The first sync took many times the memory that the agent lives with.
  base::give_back_heap();
  give_back_ = Clock::now() + kStartIsOver;
  objects_changed_ = false;
  if (!once_) return Step::kGoOn;
  return complete && problems_ == 0 ? Step::kStop : Step::kFailed;
}

void RunLoop::round() {
  const dataplane::RoundReport report = reconciler_.reconcile();
  log_round(report);
  if (manager_.listens()) manager_.status(status_after(report));
  tell_left_standing();
  if (serving_ != nullptr) serving_->note(report);
  (void)localhost_.after(report, inputs_.model->dataplane(rules::Family::kIpv4).node_options());
  localhost_.after(report, inputs_.model->dataplane(rules::Family::kIpv4).host_ports());
  if (!std::exchange(objects_changed_, false)) return;
  const config::Config& config = inputs_.model->config();
  const Clock::duration pause = std::min<Clock::duration>(report.took, kLongestPause);
  take_after_ =
      Clock::now() + (config.min_sync_period_set ? std::max<Clock::duration>(pause, config.min_sync_period) : pause);
}

std::string RunLoop::status_after(const dataplane::RoundReport& report) const {
  const dataplane::Model& model = *inputs_.model;
  return fmt::format("{}mode {}, {} services, {} endpoint slices",
                     report.failed() ? "the last sync failed, see the log; " : "", name_of(model.config().mode),
                     model.state().services(), model.state().endpoint_slices());
}

void RunLoop::tell_rivals() {
  if (const auto maker = reconciler_.take_canary_maker()) rivals_.canary_made_by(*maker);
  if (const auto finding = rivals_.take(Clock::now()))
    base::log_warning(
        "a kube-proxy runs on this node, too, and both write the same chains: take it off the node, its rules stay",
        {{"noticed", *finding}});
}

void RunLoop::tell_left_standing() {
  if (serving_ == nullptr) return;
  for (const rules::Family family : rules::kFamilies) serving_->note_left(family, reconciler_.left_standing(family));
}

void RunLoop::tell(const std::vector<std::string>& notes) {
  for (const std::string& note : notes)
    if (told_.insert(note).second) base::log_warning(note);
}

void RunLoop::tell_silence() {
  const auto silent = inputs_.source->silent_for();
  if ((silent > kLongestSilence) == silence_told_) return;
  silence_told_ = !silence_told_;
  tell_pods_current();
  if (silence_told_) {
    base::log_warning("the file system of the folders does not answer; what they gave stays in force",
                      {{"for_s", std::chrono::floor<std::chrono::seconds>(silent).count()}});
  } else {
    base::log_info("the file system of the folders answers again");
  }
}

RunLoop::Step RunLoop::wait() {
  Clock::time_point until = Clock::now() + kLongestWait;
  if (running_) {
    until = std::min(until, reconciler_.deadline());
  } else {
    until = std::min(until, give_up_);
  }
  if (!listening_) until = std::min(until, take_after_);
  if (give_back_) until = std::min(until, *give_back_);
  if (const auto next = address_pace_.next()) until = std::min(until, *next);
  manager_.alive(Clock::now());
  if (const auto next = manager_.next_alive()) until = std::min(until, *next);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  std::array<epoll_event, 8> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
  if (count < 0 && errno != EINTR) {
    base::log_error("waiting for events failed", {{"error", std::generic_category().message(errno)}});
    return Step::kFailed;
  }
  if (give_back_ && Clock::now() >= *give_back_) {
    base::give_back_memory();
    give_back_.reset();
  }
  if (!listening_ && Clock::now() >= take_after_) listen_to_source(true);
  refresh_environment();
  refresh_listeners();
  for (int i = 0; i < count; ++i)
    if (const Step step = handle(events[static_cast<std::size_t>(i)].data.fd); step != Step::kGoOn) return step;
  return Step::kGoOn;
}

RunLoop::Step RunLoop::handle(int fd) {
  if (fd == signals_.fd()) {
    switch (signals_.take()) {
      case base::Signals::Request::kStop:
        manager_.stopping();
        base::log_info("stopped; the rules stay");
        return Step::kStop;
      case base::Signals::Request::kReload:
        inputs_.source->read_again();
        return wants_reload() ? Step::kReload : Step::kGoOn;
      case base::Signals::Request::kNone: break;
    }
  } else if (fd == files_.fd()) {
    const bool changed = files_.changed();
    tell(files_.take_notes());
    if (changed && wants_reload()) return Step::kReload;
  } else if (fd == inputs_.source->fd()) {
    if (Clock::now() < take_after_) {
      listen_to_source(false);
    } else {
      take_objects();
    }
  } else if (fd == addresses_.fd()) {
    if (addresses_.drain()) address_pace_.changed(Clock::now());
    refresh_environment();
  } else if (serving_ != nullptr && fd == serving_->fd()) {
    serving_->answer();
  } else if (auto handled = reconciler_.handle_events(); !handled) {
    base::log_error(handled.error());
  }
  return Step::kGoOn;
}

bool RunLoop::wants_reload() const {
  manager_.reloading();
  if (const auto usable = check_inputs(flags_); !usable) {
    base::log_error("the configuration has changed and is refused; what was before stays in force",
                    {{"error", usable.error().to_string()}});
    manager_.ready("the configuration has changed and is refused; what was before stays in force");
    return false;
  }
  base::log_info("starting again with the configuration as it is now; the rules stay meanwhile");
  return true;
}

void RunLoop::take_objects() {
  ObjectSource::Update update = inputs_.source->take();
  objects_synced_ = update.synced;
  problems_ += update.problems;
  tell(update.notes);
  if (!update.states.empty()) states_ = std::move(update.states);
  if (serving_ != nullptr)
    for (const api::WatchState& state : states_) serving_->note_source(state);
  tell_pods_current();
  for (const objects::ObjectEvent& event : update.events) node_names_.apply(event);
  if (objects_synced_) tell_node_name();
  if (update.events.empty()) return;
  if (serving_ != nullptr) serving_->note(update.events);
  reconciler_.apply(std::move(update.events));
  for (const std::string& remark : inputs_.model->take_remarks()) base::log_warning(remark);
  objects_changed_ = true;
}

void RunLoop::tell_pods_current() {
  const auto pods = std::ranges::find(states_, "pods", &api::WatchState::resource);
  const bool follows = pods == states_.end() || (pods->synced && pods->failure.empty());
  inputs_.model->set_pods_current(objects_synced_ && follows && !silence_told_);
}

void RunLoop::tell_node_name() {
  const auto change = node_names_.take_change();
  if (!change) return;
  const std::string& name = inputs_.model->environment().node_name;
  if (change->unknown) {
    base::log_warning(
        "no Node, Pod or endpoint has this node's name: hostPorts and traffic policy Local have nothing here; "
        "--hostname-override sets the name",
        {{"node", name}, {"others", fmt::format("{}", fmt::join(change->others, ", "))}});
  } else {
    base::log_info("objects have this node's name now", {{"node", name}});
  }
}

void RunLoop::listen_to_source(bool listen) {
  epoll_event event{.events = listen ? static_cast<std::uint32_t>(EPOLLIN) : 0, .data = {.fd = inputs_.source->fd()}};
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, inputs_.source->fd(), &event);
  listening_ = listen;
}

void RunLoop::refresh_environment() {
  const Clock::time_point start = Clock::now();
  if (!address_pace_.is_due(start)) return;
  const config::Environment& before = inputs_.model->environment();
  config::Environment now = read_environment(inputs_.model->config(), before.node_name);
  now.has_nfacct = before.has_nfacct;
  // Read once at start, as kube-proxy does: an administrator's later change does not move rules.
  now.conntrack_be_liberal = before.conntrack_be_liberal;
  now.ipv6 = before.ipv6;
  now.fast_path = before.fast_path;
  now.listeners = with_earlier(std::move(now.listeners), before.listeners);
  address_pace_.read(start, Clock::now());
  if (now.local_addresses != before.local_addresses || now.local_prefixes != before.local_prefixes ||
      now.listeners != before.listeners || now.fast_path_devices != before.fast_path_devices)
    set_environment(std::move(now));
}

void RunLoop::refresh_listeners() {
  const Clock::time_point now = Clock::now();
  if (now < look_at_listeners_) return;
  look_at_listeners_ = now + kLongestWait;
  config::Environment environment = inputs_.model->environment();
  environment.listeners = with_earlier(read_listeners(inputs_.model->config()), environment.listeners);
  if (environment.listeners != inputs_.model->environment().listeners) set_environment(std::move(environment));
}

void RunLoop::set_environment(config::Environment environment) {
  reconciler_.set_environment(std::move(environment));
  for (const std::string& remark : inputs_.model->take_remarks()) base::log_warning(remark);
}

}  // namespace kubenatd::agent::daemon
