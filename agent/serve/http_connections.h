#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <set>
#include <tuple>

namespace kubenatd::agent::serve {

/// Whose a connection is: an IPv4 address, or the /64 of an IPv6 address, since a host commonly has all addresses of
/// one.
class HttpClient {
 public:
  explicit HttpClient(const boost::asio::ip::address& address);
  auto operator<=>(const HttpClient&) const = default;

 private:
  std::array<std::uint8_t, 8> prefix_{};
  bool ipv6_ = false;
};

/// A set of connections with bounds, in which those who take most make room.
///
/// Purpose: a new connection always gets in, so that a health check is answered whoever holds connections. For it the
/// client that has most of them loses the one that has been silent longest (since its last request). So other clients
/// are not touched while one has more than they; and a client that shares its address with an attacker (NAT, a proxy)
/// gets in like anybody else: what it pushes out has been silent longer. Memory is shared out in the same spirit: when
/// all together hold too much, the connection that has held something longest ends, but for the newest few.
/// Threading: the lane's thread. Failure: none. Cost: logarithmic in the number of clients.
class HttpConnections {
 public:
  /// A connection that can be ended. It takes itself out of the set then.
  class Member {
   public:
    virtual ~Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    /// Ends it at once, whatever it has not sent yet.
    virtual void abort() = 0;

   protected:
    Member() = default;
  };
  using Clock = std::chrono::steady_clock;

  struct Bounds {
    std::size_t all = std::numeric_limits<std::size_t>::max();
    std::size_t of_client = std::numeric_limits<std::size_t>::max();
    std::size_t bytes = std::numeric_limits<std::size_t>::max();
    std::size_t holders = 1;  ///< the newest that may hold more: several may scrape a large page at once
  };

 private:
  struct Group;
  struct Entry;
  using Entries = std::list<Entry>;
  struct Entry {
    Member* member;
    Clock::time_point since;  ///< its last request, or its start
    Group* group;
    std::size_t bytes = 0;
    std::list<Member*>::iterator holder = {};  ///< with bytes: its place in holders_
  };
  /// Of one client. By rank those come first who have most connections, then those with the one that is silent longest.
  struct Group {
    HttpClient client;
    Entries entries = {};  ///< by their last request, oldest first; not empty between calls
  };
  using Rank = std::tuple<std::size_t, Clock::time_point, Group*>;

 public:
  using Place = Entries::iterator;

  explicit HttpConnections(Bounds bounds) : bounds_(bounds) {}

  [[nodiscard]] Place add(Member& member, const HttpClient& client);
  void note_request(Place place);
  /// What it keeps in memory from now on. Others may end for it.
  void hold(Place place, std::size_t bytes);
  void remove(Place place);
  /// Ends the one that would make room for a new connection, if it has been silent for at least `patience`; whether
  /// there was one.
  bool end_silent(Clock::duration patience);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static Rank rank(Group& group);

  const Bounds bounds_;
  std::map<HttpClient, Group> groups_;
  std::set<Rank> ranks_;
  std::list<Member*> holders_;  ///< by how long they have held something, longest first
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace kubenatd::agent::serve
