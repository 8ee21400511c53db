#include "agent/api/event_recorder.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "agent/base/printable.h"
#include "agent/base/signals_blocked.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kLongestQueue = 64;
constexpr std::size_t kMostWritten = 64;
constexpr std::size_t kLongestNote = 1024;  // of the API, in bytes
constexpr double kBurst = 25;
constexpr std::chrono::duration<double> kRefill = std::chrono::seconds(10);
constexpr auto kRepeats = std::chrono::minutes(10);
constexpr auto kPatchEach = std::chrono::minutes(1);
constexpr int kAttempts = 12;  // client-go's maxTriesPerEvent

constexpr unsigned kConflict = 409;
constexpr unsigned kNotFound = 404;
constexpr unsigned kUnauthorized = 401;
constexpr unsigned kTooMany = 429;
constexpr unsigned kServerError = 500;

constexpr std::string_view kReporter = "kubenatd";

/// metav1.MicroTime.
std::string micro_time(std::chrono::system_clock::time_point now) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(micros / 1'000'000)),
                     micros % 1'000'000);
}

std::string namespace_of(const ClusterEvent& event) {
  return event.about.ns.empty() ? "default" : event.about.ns;
}

std::string key_of(const ClusterEvent& event) {
  return fmt::format("{}\n{}\n{}\n{}\n{}", event.kind, event.about.to_string(), event.reason, event.action, event.note);
}

/// Valid UTF-8 of a length that the API takes.
std::string note_of(const ClusterEvent& event) {
  return base::one_line(event.note, kLongestNote - 3);
}

}  // namespace

rules::Result<std::unique_ptr<EventRecorder>> EventRecorder::open(const ClusterAccess& access, std::string node_name,
                                                                  const ApiTiming& timing, Problem problem) {
  auto credentials = Credentials::open(access, timing.credentials);
  if (!credentials) return std::unexpected(credentials.error());
  const base::SignalsBlocked blocked;
  limit_http_threads();
  std::unique_ptr<EventRecorder> recorder(
      new EventRecorder(std::move(*credentials), std::move(node_name), timing, std::move(problem)));
  try {
    recorder->thread_ = std::jthread([&self = *recorder](const std::stop_token& stop) { self.run(stop); });
  } catch (const std::system_error& thrown) {
    return rules::fail("event recorder", "start a thread", base::one_line(thrown.what()), thrown.code().value());
  }
  return recorder;
}

EventRecorder::EventRecorder(std::shared_ptr<Credentials> credentials, std::string node_name, const ApiTiming& timing,
                             Problem problem)
    : timing_(timing),
      node_name_(std::move(node_name)),
      problem_(std::move(problem)),
      client_(std::move(credentials), timing_),
      backoff_(timing_),
      tokens_(kBurst),
      filled_at_(Clock::now()) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::record(ClusterEvent event) {
  const base::MutexLock lock(mutex_);
  if (queue_.size() >= kLongestQueue) return;
  queue_.push_back(std::move(event));
  changed_.notify_one();
}

std::optional<ClusterEvent> EventRecorder::next(const std::stop_token& stop) {
  base::MutexLock lock(mutex_);
  if (!changed_.wait(lock, stop, [this] {
        mutex_.is_held();
        return !queue_.empty();
      }))
    return std::nullopt;
  if (stop.stop_requested()) return std::nullopt;
  ClusterEvent event = std::move(queue_.front());
  queue_.pop_front();
  return event;
}

void EventRecorder::run(const std::stop_token& stop) {
  while (const auto event = next(stop)) deliver(*event, stop);
}

void EventRecorder::deliver(const ClusterEvent& event, const std::stop_token& stop) {
  const Clock::time_point now = Clock::now();
  std::erase_if(written_, [&](const auto& entry) { return now - entry.second.at > kRepeats; });
  const std::string key = key_of(event);
  if (const auto found = written_.find(key); found != written_.end()) {
    Written& written = found->second;
    ++written.count;
    written.at = now;
    if (now < written.patch_at) return;
    written.patch_at = now + kPatchEach;
    if (insist([&] { return patch(written, stop); }, stop) != Delivery::kGone) return;
    written_.erase(found);  // events live an hour by default: this one is over, a new one begins
  }
  if (!within_rate(now)) return tell("events come too fast: some are left out");
  std::string path;
  if (insist([&] { return create(event, path, stop); }, stop) != Delivery::kDone) return;
  if (written_.size() >= kMostWritten)
    written_.erase(std::ranges::min_element(written_, {}, [](const auto& entry) { return entry.second.at; }));
  // The first repetition is written at once: it tells that there are any.
  written_[key] = {.path = std::move(path), .at = now, .patch_at = now, .count = 1};
}

EventRecorder::Delivery EventRecorder::create(const ClusterEvent& event, std::string& path,
                                              const std::stop_token& stop) {
  const auto now = std::chrono::system_clock::now();
  const std::string name = fmt::format("{}.{:x}", event.about.name, now.time_since_epoch().count());
  const std::string where = namespace_of(event);
  nlohmann::json regarding = {{"kind", event.kind}, {"apiVersion", "v1"}, {"name", event.about.name}};
  if (!event.about.ns.empty()) regarding["namespace"] = event.about.ns;
  // kube-proxy puts the name where the uid belongs, and kubectl describe looks for a Node's events by that.
  regarding["uid"] = event.about.to_string();
  nlohmann::json body = {{"apiVersion", "events.k8s.io/v1"},
                         {"kind", "Event"},
                         {"metadata", {{"name", name}, {"namespace", where}}},
                         {"eventTime", micro_time(now)},
                         {"reportingController", kReporter},
                         {"reportingInstance", fmt::format("{}-{}", kReporter, node_name_)},
                         {"type", event.warning ? "Warning" : "Normal"},
                         {"reason", event.reason},
                         {"action", event.action},
                         {"regarding", std::move(regarding)}};
  if (!event.note.empty()) body["note"] = note_of(event);
  const std::string events = "/apis/events.k8s.io/v1/namespaces/" + where + "/events";
  path = events + "/" + name;
  return request(events, {.method = ApiWrite::Method::kPost, .body = body.dump()}, stop);
}

EventRecorder::Delivery EventRecorder::patch(const Written& written, const std::stop_token& stop) {
  const nlohmann::json body = {
      {"series", {{"count", written.count}, {"lastObservedTime", micro_time(std::chrono::system_clock::now())}}}};
  return request(
      written.path,
      {.method = ApiWrite::Method::kPatch, .body = body.dump(), .content_type = "application/merge-patch+json"}, stop);
}

EventRecorder::Delivery EventRecorder::request(const std::string& target, const ApiWrite& write,
                                               const std::stop_token& stop) {
  const Clock::time_point until = Clock::now() + timing_.answer;
  auto exchange = client_.send(target, write, until, stop);
  if (!exchange) {
    tell(exchange.error().to_string());
    return Delivery::kLater;
  }
  // To the end, so that the connection can be used again.
  std::string_view block;
  while ((*exchange)->next(until, stop, block) == BodyInbox::State::kReady) {
  }
  const unsigned status = (*exchange)->head().status;
  if (status / 100 == 2) {
    failing_ = false;
    return Delivery::kDone;
  }
  // An earlier try that seemed to have failed had arrived.
  if (status == kConflict) return Delivery::kDone;
  if (status == kNotFound && write.method == ApiWrite::Method::kPatch) return Delivery::kGone;
  tell(fmt::format("the API server answers {} to an event", status));
  if (status == kUnauthorized) client_.credentials().refused();
  const bool later = status == kUnauthorized || status == kTooMany || status >= kServerError;
  return later ? Delivery::kLater : Delivery::kRefused;
}

EventRecorder::Delivery EventRecorder::insist(const std::function<Delivery()>& attempt, const std::stop_token& stop) {
  for (int tries = 0; tries < kAttempts; ++tries) {
    const Delivery delivery = attempt();
    if (delivery != Delivery::kLater || stop.stop_requested()) return delivery;
    base::MutexLock lock(mutex_);
    changed_.wait_for(lock, stop, backoff_.next(Clock::now()), [] { return false; });
    if (stop.stop_requested()) break;
  }
  return Delivery::kRefused;
}

bool EventRecorder::within_rate(Clock::time_point now) {
  tokens_ = std::min(kBurst, tokens_ + (now - filled_at_) / kRefill);
  filled_at_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void EventRecorder::tell(const std::string& line) {
  if (!std::exchange(failing_, true)) problem_(line);
}

}  // namespace kubenatd::agent::api
