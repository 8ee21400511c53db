#pragma once

#include <chrono>
#include <cstddef>
#include <list>

namespace kubenatd::agent::serve {

/// The connections of all listeners of a lane, by their last request, so that the one that has been silent longest can
/// make room.
///
/// Threading: the lane's thread. Failure: none. Cost: constant.
class HttpConnections {
 public:
  /// A connection that can be ended. It takes itself out of the list then.
  class Member {
   public:
    virtual ~Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    virtual void abort() = 0;

   protected:
    Member() = default;
  };
  using Clock = std::chrono::steady_clock;

 private:
  struct Entry {
    Member* member;
    Clock::time_point since;  ///< its last request, or its start
  };

 public:
  using Place = std::list<Entry>::iterator;

  explicit HttpConnections(std::size_t most) : most_(most) {}

  [[nodiscard]] Place add(Member& member) {
    if (entries_.size() >= most_) entries_.front().member->abort();
    return entries_.insert(entries_.end(), {&member, Clock::now()});
  }
  void note_request(Place place) {
    place->since = Clock::now();
    entries_.splice(entries_.end(), entries_, place);
  }
  void remove(Place place) { entries_.erase(place); }
  /// Ends the one that has been silent longest, if that is at least `patience`; whether there was one.
  bool end_silent(Clock::duration patience) {
    if (entries_.empty() || Clock::now() - entries_.front().since < patience) return false;
    entries_.front().member->abort();
    return true;
  }

 private:
  std::size_t most_;
  std::list<Entry> entries_;
};

}  // namespace kubenatd::agent::serve
