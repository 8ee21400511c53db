#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "agent/dataplane/drift.h"
#include "agent/dataplane/nf_session.h"
#include "netlink/core/socket.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// Forgets the clients that are remembered for endpoints that have gone. Only reading the whole map tells which these
/// are, and it may hold a million: it is read by a conversation of its own, a slice at a time.
///
/// Until a client is forgotten, its new connections are still sent to the endpoint that has gone: the map decides
/// before the endpoints are looked at, and each new connection renews the entry. What is found is removed after the map
/// was read, so that nothing moves meanwhile; a client may be passed over when others end by themselves, and the next
/// audit looks again.
///
/// Threading: one thread. Failure: values; the next slice begins the pass again. Cost: of a slice kSlice and what one
/// read or one transaction takes over that. Of the whole it grows with the square of the clients, as Linux (6.18) walks
/// over all that it has given before for each 32 KiB of answer.
class AffinityPurge {
 public:
  static constexpr Clock::duration kSlice = std::chrono::milliseconds(2);
  static constexpr std::size_t kMostRemoved = 1000;  ///< in one transaction
  static constexpr std::size_t kMostKnown = 50'000;  ///< found before they are removed

  explicit AffinityPurge(rules::Family family) : family_(family) {}

  /// An endpoint has gone, or everything has to be looked at: there is a pass to make from the start.
  void start(Time now) {
    if (stage_ == Stage::kIdle) next_ = now;
    wanted_ = true;
  }
  /// When the next slice is due; none: nothing to do.
  [[nodiscard]] std::optional<Time> due() const {
    return wanted_ || stage_ != Stage::kIdle ? std::optional(next_) : std::nullopt;
  }
  struct Forgotten {
    std::size_t clients = 0;
    std::size_t transactions = 0;
  };
  /// Does a slice.
  [[nodiscard]] rules::Result<Forgotten> advance(NfSession& session, const rules::nftables::DesiredElements& desired,
                                                 Time now);

 private:
  enum class Stage : std::uint8_t { kIdle, kReading, kRemoving };

  [[nodiscard]] rules::Status begin(NfSession& session);
  /// Reads at least once, and until `end` or the end of the map.
  [[nodiscard]] rules::Status read(const rules::nftables::DesiredElements& desired, Time end);
  [[nodiscard]] rules::Status remove(NfSession& session, const rules::nftables::DesiredElements& desired,
                                     Forgotten& forgotten);
  [[nodiscard]] bool is_stale(const rules::nftables::ElementKey& key,
                              const rules::nftables::Bytes<rules::nftables::kDataCapacity>& endpoint,
                              const rules::nftables::DesiredElements& desired) const;
  void end_of_reading();
  void give_up();

  struct Client {
    rules::nftables::ElementKey key;
    rules::nftables::Bytes<rules::nftables::kDataCapacity> endpoint;
  };

  rules::Family family_;
  Stage stage_ = Stage::kIdle;
  bool wanted_ = false;
  std::unique_ptr<netlink::Socket> socket_;  ///< kept: to close one takes up to 16 ms (6.18)
  std::uint32_t sequence_ = 0;               ///< of the last request
  std::vector<Client> stale_;
  Time next_{};
};

}  // namespace kubenatd::agent::dataplane::nftables
