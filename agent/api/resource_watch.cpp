#include "agent/api/resource_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/api/json_stream.h"
#include "agent/api/protobuf_reader.h"
#include "agent/api/protobuf_stream.h"
#include "agent/base/json_members.h"
#include "agent/base/printable.h"
#include "agent/base/query.h"
#include "agent/objects/decode.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;
using State = BodyInbox::State;

constexpr std::size_t kPageSize = 500;  // client-go's
constexpr std::size_t kMostPages = 10'000;

constexpr unsigned kOk = 200, kBadRequest = 400, kUnauthorized = 401, kForbidden = 403, kNotFound = 404,
                   kMethodNotAllowed = 405, kUnprocessable = 422;

/// Sleeps for a time, or until it is asked to stop.
void wait_for(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

ResourceWatch::ResourceWatch(WatchedResource resource, std::shared_ptr<Credentials> credentials,
                             const ApiTiming& timing, Encoding preferred, WatchSink& sink)
    : resource_(std::move(resource)),
      timing_(timing),
      sink_(sink),
      client_(std::move(credentials), timing, accept_header(preferred, resource_.kind)),
      known_(resource_.kind, [this](objects::ObjectEvent event) { sink_.changed(std::move(event)); }),
      backoff_(timing) {
  state_.resource = resource_.name;
}

void ResourceWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Outcome outcome;
    if (!version_.empty())
      outcome = stream(false, stop);
    else if (streamed_lists_)
      outcome = stream(true, stop);
    else
      outcome = list_pages(stop);
    if (!stop.stop_requested()) settle(outcome, stop);
  }
}

void ResourceWatch::settle(const Outcome& outcome, const std::stop_token& stop) {
  std::optional<Duration> delay;
  std::string_view then = "; tried again";
  bool relist = outcome.next == Outcome::Next::kRelist;
  if (outcome.next == Outcome::Next::kGoOn) return;
  if (outcome.next == Outcome::Next::kRetry) delay = backoff_.next(Clock::now());
  // A watch that stumbles over the same event again and again is got past it by a list.
  if (outcome.from_stream && ++bad_streams_ > 1) relist = true;
  if (relist) {
    version_.clear();
    then = "; listed again";
    if (++relists_ > 1 && !delay) delay = backoff_.next(Clock::now());
  }
  if (outcome.retry_after)
    delay = std::max(delay.value_or(Duration{}), std::min(*outcome.retry_after, timing_.retry_after_most));
  const std::string when =
      delay ? fmt::format("{} in {:.1f} s", then, std::chrono::duration<double>(*delay).count()) : std::string(then);
  if (outcome.problem.empty()) {
    // Nothing is wrong; the resource is only not there.
  } else if (outcome.next == Outcome::Next::kRetry) {
    sink_.problem(fmt::format("{}: {}{}", resource_.name, outcome.problem, when));
  } else {
    sink_.remark(fmt::format("{}: {}{}", resource_.name, outcome.problem, when));
  }
  if (!delay) return;
  enter(WatchState::Phase::kWaiting, outcome.problem);
  wait_for(*delay, stop);
}

void ResourceWatch::enter(WatchState::Phase phase, std::string failure) {
  state_.phase = phase;
  state_.objects = known_.size();
  state_.failure = std::move(failure);
  sink_.state(state_);
}

std::string ResourceWatch::target(std::string_view parameters) const {
  std::string text = resource_.path + "?";
  if (!resource_.label_selector.empty()) text += "labelSelector=" + base::query_encoded(resource_.label_selector) + "&";
  if (!resource_.field_selector.empty()) text += "fieldSelector=" + base::query_encoded(resource_.field_selector) + "&";
  return text.append(parameters);
}

rules::Result<std::unique_ptr<ApiExchange>> ResourceWatch::get(const std::string& target, const std::stop_token& stop) {
  auto exchange = client_.get(target, Clock::now() + timing_.answer, stop);
  if (std::string problem = client_.take_problem(); !problem.empty()) sink_.problem(std::move(problem));
  return exchange;
}

ResourceWatch::Outcome ResourceWatch::failed_request(const rules::Error& error) const {
  return {Outcome::Next::kRetry, error.to_string(), {}, false};
}

ResourceWatch::Outcome ResourceWatch::refused(ApiExchange& exchange, bool streamed_list, const std::stop_token& stop) {
  const unsigned status = exchange.head().status;
  constexpr std::size_t kLongestBody = 64U << 10;
  std::string body;
  std::string_view block;
  const auto until = Clock::now() + timing_.stall;
  while (body.size() < kLongestBody && exchange.next(until, stop, block) == State::kReady)
    body.append(block.substr(0, kLongestBody - body.size()));
  const bool is_protobuf = encoding_of(exchange.head().content_type) == Encoding::kProtobuf;
  const auto parsed = is_protobuf ? read_protobuf_object(body, resource_.kind) : read_value(body);
  std::string message = parsed ? base::text_of(*parsed, "message") : std::string();
  if (message.empty()) message = body;
  std::string problem =
      fmt::format("the API server answers {}: {}", status, base::one_line(base::trimmed(message), 300));

  if (status == kUnauthorized) {
    problem += fmt::format("; it does not accept the credentials: {}", client_.credentials().describe());
    client_.credentials().refused();
  }
  if (status == kForbidden)
    problem += fmt::format("; the ClusterRole system:node-proxier allows what is needed; credentials: {}",
                           client_.credentials().describe());
  if (status == kGone) return {Outcome::Next::kRelist, std::move(problem), {}, false};
  const bool about_field =
      message.contains("field label") || message.contains("field selector") || message.contains("fieldSelector");
  const bool may_drop_field = status == kBadRequest && resource_.field_selector_optional;
  if (may_drop_field && (about_field || !streamed_list)) {
    sink_.remark(
        fmt::format("{}: {}; asked without field selector {}", resource_.name, problem, resource_.field_selector));
    resource_.field_selector.clear();
    resource_.field_selector_optional = false;
    return {};
  }
  if (streamed_list && (status == kBadRequest || status == kMethodNotAllowed || status == kUnprocessable)) {
    sink_.remark(fmt::format("{}: {}; lists are read in pages", resource_.name, problem));
    streamed_lists_ = false;
    return {};
  }
  if (resource_.optional && (status == kNotFound || status == kForbidden)) return not_there(problem);
  return {Outcome::Next::kRetry, std::move(problem), exchange.head().retry_after, false};
}

ResourceWatch::Outcome ResourceWatch::not_there(const std::string& problem) {
  if (!resource_.older_path.empty()) {
    std::swap(resource_.path, resource_.older_path);
    std::swap(resource_.api_version, resource_.older_api_version);
    asked_older_ = !asked_older_;
    if (asked_older_) return {};
  }
  if (state_.absent.empty()) sink_.remark(fmt::format("{}: {}; gone on without them", resource_.name, problem));
  state_.absent = problem;
  known_.begin_list();
  list_complete("as none");
  version_.clear();
  return {Outcome::Next::kRelist, {}, timing_.absent, false};
}

ResourceWatch::Outcome ResourceWatch::list_pages(const std::stop_token& stop) {
  enter(WatchState::Phase::kListing, state_.failure);
  known_.begin_list();
  std::string continue_token, version;
  for (std::size_t page = 0; page < kMostPages; ++page) {
    // The first list is what the server has in its cache, in one piece, as client-go asks for it: a page costs the
    // server a read of etcd. Later ones must not be older than what is known.
    const bool cached = state_.lists == 0 && continue_token.empty();
    std::string parameters = cached ? "resourceVersion=0" : fmt::format("limit={}", kPageSize);
    if (!continue_token.empty()) parameters += "&continue=" + base::query_encoded(continue_token);
    auto exchange = get(target(parameters), stop);
    if (!exchange) return failed_request(exchange.error());
    if ((*exchange)->head().status != kOk) return refused(**exchange, false, stop);
    state_.absent.clear();
    Outcome outcome = read_page(**exchange, stop, continue_token, version);
    if (outcome.next != Outcome::Next::kGoOn || stop.stop_requested()) return outcome;
    if (!continue_token.empty()) continue;
    version_ = version;
    list_complete(page == 0 ? std::string("in one piece") : fmt::format("in {} pages", page + 1));
    return {};
  }
  return {Outcome::Next::kRetry, fmt::format("a list of more than {} pages", kMostPages), {}, false};
}

ResourceWatch::Outcome ResourceWatch::read_page(ApiExchange& exchange, const std::stop_token& stop,
                                                std::string& continue_token, std::string& version) {
  const auto end = Clock::now() + timing_.page;
  State state = State::kReady;
  const auto next_block = [&]() -> std::string_view {
    std::string_view block;
    do {
      state = exchange.next(std::min(end, Clock::now() + timing_.stall), stop, block);
    } while (state == State::kReady && block.empty());
    return state == State::kReady ? block : std::string_view();
  };
  const auto take = [this](json&& item) { take_object(item, false); };
  const bool is_protobuf = encoding_of(exchange.head().content_type) == Encoding::kProtobuf;
  const auto head = is_protobuf
                        ? read_protobuf_list(resource_.kind, resource_.api_version, next_block, take)
                        : read_list(std::string(name_of(resource_.kind)), resource_.api_version, next_block, take);
  // What went wrong with the connection explains what is wrong with the text.
  const auto retry = [](std::string problem) { return Outcome{Outcome::Next::kRetry, std::move(problem), {}, false}; };
  if (state == State::kFailed) return retry("the list broke off: " + exchange.failure());
  if (state == State::kTimeout) return retry("the list came too slowly, or not to its end");
  if (state == State::kStopped) return {};
  if (!head) return retry(head.error().to_string());
  if (head->resource_version.empty() || head->resource_version.size() > kLongestVersion)
    return retry("the list has no usable resourceVersion");
  if (!head->continue_token.empty() && head->continue_token == continue_token)
    return retry("the list goes on with the same page for ever");
  // The body's end, so that the connection can be used again.
  std::string_view rest;
  while (state == State::kReady) state = exchange.next(std::min(end, Clock::now() + timing_.stall), stop, rest);
  if (state == State::kFailed) return retry("the list broke off: " + exchange.failure());
  version = head->resource_version;
  continue_token = head->continue_token;
  return {};
}

ResourceWatch::Outcome ResourceWatch::stream(bool initial, const std::stop_token& stop) {
  enter(initial ? WatchState::Phase::kListing : WatchState::Phase::kConnecting, state_.failure);
  const Duration time = backoff_.between(timing_.watch_least, timing_.watch_most);
  const auto seconds = std::max<std::int64_t>(1, std::chrono::floor<std::chrono::seconds>(time).count());
  std::string parameters = fmt::format("watch=true&allowWatchBookmarks=true&timeoutSeconds={}", seconds);
  if (initial)
    parameters += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  else
    parameters += "&resourceVersion=" + base::query_encoded(version_);
  const auto begun = Clock::now();
  auto exchange = get(target(parameters), stop);
  if (!exchange) return failed_request(exchange.error());
  if ((*exchange)->head().status != kOk) return refused(**exchange, initial, stop);
  state_.absent.clear();
  if (initial)
    known_.begin_list();
  else
    enter(WatchState::Phase::kWatching);
  events_ = 0;
  Outcome outcome = read_events(**exchange, begun + time + timing_.watch_margin, initial, stop);
  if (outcome.next != Outcome::Next::kGoOn || stop.stop_requested()) return outcome;
  if (version_.empty()) return outcome;  // on to pages
  if (events_ == 0 && Clock::now() - begun < timing_.watch_short)
    return {Outcome::Next::kRetry, "the watch ended at once and without an event", {}, false};
  relists_ = bad_streams_ = 0;
  return outcome;
}

ResourceWatch::Outcome ResourceWatch::read_events(ApiExchange& exchange, Clock::time_point end, bool initial,
                                                  const std::stop_token& stop) {
  const Encoding encoding = encoding_of(exchange.head().content_type);
  LineCutter lines;
  FrameCutter frames;
  Verdict verdict;
  const std::function<bool(std::string_view)> take = [&](std::string_view text) {
    verdict = take_text(text, encoding, initial);
    return !verdict;
  };
  for (;;) {
    const auto until = initial ? std::min(end, Clock::now() + timing_.initial_quiet) : end;
    std::string_view block;
    const State state = exchange.next(until, stop, block);
    switch (state) {
      case State::kReady: break;
      case State::kStopped: return {};
      case State::kFailed: return {Outcome::Next::kRetry, "the watch broke off: " + exchange.failure(), {}, false};
      case State::kTimeout:
        if (!initial) return {Outcome::Next::kRetry, "the watch did not end in time: half-open connection", {}, false};
        sink_.remark(fmt::format("{}: the API server streams no lists; they are read in pages", resource_.name));
        streamed_lists_ = false;
        events_ = 0;
        return {};
      case State::kEnd:
        if (initial) return {Outcome::Next::kRetry, "the streamed list ended before it was complete", {}, false};
        if (lines.partial() || frames.partial())
          return {Outcome::Next::kRetry, "the watch ended within an event", {}, false};
        return {};
    }
    const bool fits = encoding == Encoding::kProtobuf ? frames.add(block, take) : lines.add(block, take);
    if (verdict) return *std::move(verdict);
    if (!fits) return {Outcome::Next::kRetry, fmt::format("an event of more than {} bytes", kLargestObject), {}, true};
  }
}

}  // namespace kubenatd::agent::api
