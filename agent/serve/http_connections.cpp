#include "agent/serve/http_connections.h"

#include <algorithm>
#include <boost/asio/ip/address_v6.hpp>
#include <iterator>

namespace kubenatd::agent::serve {
namespace {

namespace ip = boost::asio::ip;

}  // namespace

HttpClient::HttpClient(const ip::address& address) {
  // On a socket of both families an IPv4 client is an IPv4-mapped address.
  if (address.is_v6() && !address.to_v6().is_v4_mapped()) {
    ipv6_ = true;
    std::ranges::copy_n(address.to_v6().to_bytes().begin(), std::ssize(prefix_), prefix_.begin());
    return;
  }
  const ip::address_v4 ipv4 = address.is_v6() ? ip::make_address_v4(ip::v4_mapped, address.to_v6()) : address.to_v4();
  std::ranges::copy(ipv4.to_bytes(), prefix_.begin());
}

HttpConnections::Rank HttpConnections::rank(Group& group) {
  // A set begins with the smallest.
  return {std::numeric_limits<std::size_t>::max() - group.entries.size(), group.entries.front().since, &group};
}

HttpConnections::Place HttpConnections::add(Member& member, const HttpClient& client) {
  const auto known = groups_.find(client);
  if (known != groups_.end() && known->second.entries.size() >= bounds_.of_client)
    known->second.entries.front().member->abort();
  if (size_ >= bounds_.all && !ranks_.empty()) std::get<Group*>(*ranks_.begin())->entries.front().member->abort();
  Group& group = groups_.try_emplace(client, Group{client}).first->second;
  if (!group.entries.empty()) ranks_.erase(rank(group));
  const Place place = group.entries.insert(group.entries.end(), {&member, Clock::now(), &group});
  ranks_.insert(rank(group));
  ++size_;
  return place;
}

void HttpConnections::note_request(Place place) {
  Group& group = *place->group;
  ranks_.erase(rank(group));
  place->since = Clock::now();
  group.entries.splice(group.entries.end(), group.entries, place);
  ranks_.insert(rank(group));
}

void HttpConnections::hold(Place place, std::size_t bytes) {
  if (place->bytes == 0 && bytes != 0) place->holder = holders_.insert(holders_.end(), place->member);
  if (place->bytes != 0 && bytes == 0) holders_.erase(place->holder);
  bytes_ = bytes_ - place->bytes + bytes;
  place->bytes = bytes;
  while (bytes_ > bounds_.bytes && holders_.size() > bounds_.holders) {
    Member* const longest = holders_.front();
    // It does not end for itself.
    (longest == place->member ? *std::next(holders_.begin()) : longest)->abort();
  }
}

void HttpConnections::remove(Place place) {
  Group& group = *place->group;
  hold(place, 0);
  ranks_.erase(rank(group));
  group.entries.erase(place);
  --size_;
  if (group.entries.empty()) {
    groups_.erase(group.client);
  } else {
    ranks_.insert(rank(group));
  }
}

bool HttpConnections::end_silent(Clock::duration patience) {
  if (ranks_.empty()) return false;
  const Entry& longest = std::get<Group*>(*ranks_.begin())->entries.front();
  if (Clock::now() - longest.since < patience) return false;
  longest.member->abort();
  return true;
}

}  // namespace kubenatd::agent::serve
