#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/api/api_client.h"
#include "agent/api/backoff.h"
#include "agent/api/known_objects.h"
#include "agent/api/timing.h"
#include "agent/api/watch_sink.h"

namespace kubenatd::agent::api {

/// What to watch.
struct WatchedResource {
  objects::Kind kind = objects::Kind::kService;
  std::string name;         ///< "services", for messages
  std::string path;         ///< "/api/v1/services"
  std::string api_version;  ///< "v1"
  std::string label_selector;
  std::string field_selector;
  bool field_selector_optional = false;  ///< asked for without it where a server refuses it
  /// Not every server has it: where it does not, the path of an older version is asked, and where that is unknown too
  /// the list counts as empty and is asked for again from time to time.
  bool optional = false;
  std::string older_path;
  std::string older_api_version;
};

/// Follows the objects of one resource: a list, then its changes from there on, for as long as it runs.
///
/// Purpose: lists are streamed where the server can (sendInitialEvents), else come in pages; a watch goes on where the
/// last one ended; when the server does not know that place any more (410) a new list replaces what is known, with only
/// the differences as events. Events are real changes of typed objects. An object that is refused is named and stays as
/// it was.
/// Threading: run() on a thread of its own, for good. Failure: never ends; whatever fails is told, and tried again with
/// growing delays, and what is known stays. Cost: one connection; memory of the typed objects, a block of the answer
/// and one object's JSON.
class ResourceWatch {
 public:
  ResourceWatch(WatchedResource resource, std::shared_ptr<Credentials> credentials, const ApiTiming& timing,
                WatchSink& sink);

  /// Until it is asked to stop, which takes milliseconds.
  void run(const std::stop_token& stop);

 private:
  using Clock = std::chrono::steady_clock;
  using Duration = ApiTiming::Duration;

  /// What follows from a request.
  struct Outcome {
    enum class Next : std::uint8_t {
      kGoOn,    ///< at once
      kRelist,  ///< what the server offers from here on has a gap
      kRetry,   ///< later
    };
    Next next = Next::kGoOn;
    std::string problem;  ///< of kRetry and kRelist
    std::optional<Duration> retry_after;
    bool from_stream = false;  ///< what the watch said was wrong, not the connection
  };
  /// What a line of a watch leads to: none: read on.
  using Verdict = std::optional<Outcome>;

  [[nodiscard]] Outcome list_pages(const std::stop_token& stop);
  [[nodiscard]] Outcome read_page(ApiExchange& exchange, const std::stop_token& stop, std::string& continue_token,
                                  std::string& version);
  [[nodiscard]] Outcome stream(bool initial, const std::stop_token& stop);
  [[nodiscard]] Outcome read_events(ApiExchange& exchange, Clock::time_point end, bool initial,
                                    const std::stop_token& stop);
  /// An answer other than 200.
  [[nodiscard]] Outcome refused(ApiExchange& exchange, bool streamed_list, const std::stop_token& stop);
  /// An optional resource that the server does not know.
  [[nodiscard]] Outcome not_there(const std::string& problem);
  [[nodiscard]] Outcome failed_request(const rules::Error& error) const;

  [[nodiscard]] Verdict take_line(std::string_view line, bool& initial);
  [[nodiscard]] Outcome take_error(const nlohmann::json& status) const;
  void take_object(const nlohmann::json& object, bool deleted);
  void take_bookmark(const nlohmann::json& object, bool& initial);
  void list_complete(std::string_view how);

  void settle(const Outcome& outcome, const std::stop_token& stop);
  void enter(WatchState::Phase phase, std::string failure = {});
  [[nodiscard]] std::string target(std::string_view parameters) const;
  [[nodiscard]] rules::Result<std::unique_ptr<ApiExchange>> get(const std::string& target, const std::stop_token& stop);

  WatchedResource resource_;
  const ApiTiming& timing_;
  WatchSink& sink_;
  ApiClient client_;
  KnownObjects known_;
  Backoff backoff_;
  WatchState state_;
  std::string version_;  ///< resourceVersion to watch from; empty: a list comes first
  bool streamed_lists_ = true;
  bool asked_older_ = false;
  std::size_t events_ = 0;       ///< of the watch under way
  std::size_t relists_ = 0;      ///< in a row, without an event or a watch's regular end between them
  std::size_t bad_streams_ = 0;  ///< likewise, watches that said something wrong
};

}  // namespace kubenatd::agent::api
