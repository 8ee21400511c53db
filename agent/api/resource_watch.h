#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/api/api_client.h"
#include "agent/api/backoff.h"
#include "agent/api/encoding.h"
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
  bool field_selector_optional = false;  ///< where a server refuses the selector, everything is asked for
  /// Not every server has the resource. If it has not, the path of an older version is asked for; if that is unknown
  /// too, the list counts as empty and is asked for again from time to time.
  bool optional = false;
  std::string older_path;
  std::string older_api_version;
};

/// Follows the objects of one resource: first a list, then the changes since that list, until it is stopped.
///
/// Purpose: the server streams a list where it can (sendInitialEvents), else the list is read in pages. A watch starts
/// where the last one ended. When the server does not know that place any more (410), a new list replaces what is
/// known, and only the differences become events. Events are real changes of typed objects. An object that is refused
/// is named and stays as it was.
/// Threading: run() has a thread of its own until it is stopped. Failure: run() does not end because of an error: the
/// error is reported, the request is repeated with growing delays, and what is known stays. Each answer is read in the
/// encoding that it has. Cost: one connection; in memory the typed objects, one block of the answer and the JSON of one
/// object.
class ResourceWatch {
 public:
  ResourceWatch(WatchedResource resource, std::shared_ptr<Credentials> credentials, const ApiTiming& timing,
                Encoding preferred, WatchSink& sink);

  /// Returns only when it is asked to stop; that takes milliseconds.
  void run(const std::stop_token& stop);

 private:
  friend class WatchLines;  ///< a fuzz target's: hands over lines of a watch without a server
  /// A longer resourceVersion is none.
  static constexpr std::size_t kLongestVersion = 256;
  static constexpr unsigned kGone = 410;

  using Clock = std::chrono::steady_clock;
  using Duration = ApiTiming::Duration;

  /// What to do after a request.
  struct Outcome {
    enum class Next : std::uint8_t {
      kGoOn,    ///< read on, or watch again, at once
      kRelist,  ///< a new list is needed: events are missing
      kRetry,   ///< try again later
    };
    Next next = Next::kGoOn;
    std::string problem;  ///< of kRetry and kRelist
    std::optional<Duration> retry_after;
    bool from_stream = false;  ///< the content of the watch was wrong, not the connection
  };
  /// What to do after an event of a watch; nothing: read on.
  using Verdict = std::optional<Outcome>;

  [[nodiscard]] Outcome list_pages(const std::stop_token& stop);
  [[nodiscard]] Outcome read_page(ApiExchange& exchange, const std::stop_token& stop, std::string& continue_token,
                                  std::string& version);
  [[nodiscard]] Outcome stream(bool initial, const std::stop_token& stop);
  [[nodiscard]] Outcome read_events(ApiExchange& exchange, Clock::time_point end, bool initial,
                                    const std::stop_token& stop);
  /// What to do after an answer other than 200.
  [[nodiscard]] Outcome refused(ApiExchange& exchange, bool streamed_list, const std::stop_token& stop);
  /// What to do when the server does not know an optional resource.
  [[nodiscard]] Outcome not_there(const std::string& problem);
  [[nodiscard]] Outcome failed_request(const rules::Error& error) const;

  /// A line or a frame of a watch.
  [[nodiscard]] Verdict take_text(std::string_view text, Encoding encoding, bool& initial);
  [[nodiscard]] Verdict take_event(const nlohmann::json& event, bool& initial);
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
  std::size_t relists_ = 0;      ///< new lists in a row, with no event and no regular end of a watch between them
  std::size_t bad_streams_ = 0;  ///< watches with wrong content in a row, counted in the same way
};

}  // namespace kubenatd::agent::api
