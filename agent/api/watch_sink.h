#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/objects/objects.h"
#include "agent/objects/passed_over.h"

namespace kubenatd::agent::api {

/// Where a watch stands.
struct WatchState {
  enum class Phase : std::uint8_t { kConnecting, kListing, kWatching, kWaiting };
  std::string resource;  ///< "services"
  Phase phase = Phase::kConnecting;
  bool synced = false;      ///< a list was complete once
  std::size_t objects = 0;  ///< known at present
  std::size_t lists = 0;    ///< lists that were completed
  std::string failure;      ///< why the last try failed; empty when it did not
  std::string absent;       ///< why the server does not give an optional resource; empty: it does
};

/// Receives what a watch finds. Called on the thread of the watch.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  WatchSink(const WatchSink&) = delete;
  WatchSink& operator=(const WatchSink&) = delete;

  virtual void changed(objects::ObjectEvent event) = 0;
  /// One line: something was left out, or does not work at present.
  virtual void problem(std::string line) = 0;
  /// The same of an object that was left out or taken in part.
  virtual void left_out(objects::PassedOver&& /*one*/) {}
  /// One line that is worth knowing.
  virtual void remark(std::string line) = 0;
  /// Called after the events that lead to this state.
  virtual void state(const WatchState& state) = 0;

 protected:
  WatchSink() = default;
};

}  // namespace kubenatd::agent::api
