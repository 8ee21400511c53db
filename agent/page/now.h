#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/page/picture.h"
#include "agent/seen/board.h"
#include "agent/seen/inquiries.h"
#include "agent/serve/connection_counts.h"
#include "agent/serve/http_server.h"

namespace kubenatd::agent::page {

/// New connections a second of Services, from one look to the next.
///
/// Threading: one thread. Failure: a Service that cannot be read has no figure. Cost: serve::read_counts() of the rows,
/// only so often that it takes a hundredth of the time; what nobody asked for for a while is forgotten.
class Rates {
 public:
  explicit Rates(config::Config::Mode mode) : mode_(mode) {}
  void add_to(seen::ServicesPage& page);

 private:
  using Clock = std::chrono::steady_clock;
  using Ports = std::set<serve::CountedPort>;
  struct Known {
    std::map<serve::CountedPort, serve::Packets> ports;
    Clock::time_point at;
    std::optional<double> rate;
  };
  [[nodiscard]] static Ports ports_of(const seen::ServiceRow& row);
  /// What there is to know of these ports now, and how it has changed.
  [[nodiscard]] static Known look(const Ports& ports, const std::map<serve::CountedPort, serve::Packets>& counts,
                                  const Known* before, Clock::time_point now);

  const config::Config::Mode mode_;
  std::optional<netlink::NfTables> kernel_;
  std::map<std::string, Known> known_;  ///< by Service
  Clock::time_point next_;              ///< the kernel is not asked before
};

/// The one document that the page polls.
///
///     view=services|service|history|packet, after=NUMBER for the history, and what a query of Services has
///
/// Purpose: what a view shows, and nothing more: visible rows, one Service. Threading: one thread, that of its lane.
/// Failure: 503 when the run loop is busy. Cost: the run loop is asked only when something has changed, and a list of
/// Services is made again only so often that it takes a hundredth of the time.
class Now {
 public:
  struct Can {
    bool count = true;   ///< the rules count connections
    bool trace = false;  ///< packets can be traced
  };
  Now(const seen::Board& board, seen::Inquiries& inquiries, config::Config::Mode mode, const Can& can)
      : board_(board), inquiries_(inquiries), can_(can), rates_(mode) {}

  [[nodiscard]] serve::HttpResponse answer(const serve::HttpRequest& request);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostListed = 4;
  struct Listed {
    std::string query;
    std::uint64_t revision = 0;
    seen::ServicesPage page;
    std::shared_ptr<const WantedService> wanted;
    Clock::time_point next;  ///< not made again before
  };
  [[nodiscard]] Listed* list(const seen::ServicesQuery& query, serve::HttpResponse& failure);

  const seen::Board& board_;
  seen::Inquiries& inquiries_;
  const Can can_;
  std::deque<Listed> listed_;  ///< of the last few viewers
  Rates rates_;
  Picture picture_;
};

}  // namespace kubenatd::agent::page
