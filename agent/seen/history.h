#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/rfc3339.h"

namespace kubenatd::agent::seen {

/// Something that happened on this node and is worth knowing later.
struct Happening {
  enum class Kind : std::uint8_t {
    kDrift,       ///< healed what another program had changed
    kDisputed,    ///< something is changed again and again, and healing it waits from now on
    kRefused,     ///< the kernel refused something
    kInForce,     ///< it takes now what it had refused
    kSyncFailed,  ///< the first of a row
    kSyncWorks,   ///< after that
    kSourceDown,  ///< what is known of a resource is out of date
    kSourceUp,    ///< after that
    kOtherProxy,  ///< rules of another proxy were found or removed
    kEventsLost,
    kFirstSync,
  };
  std::uint64_t number = 0;  ///< grows by one with each
  Kind kind = Kind::kDrift;
  base::WallTime at{};
  std::string family{};                ///< "IPv4"; empty: it concerns both or none
  std::string what{};                  ///< one line
  std::vector<std::string> objects{};  ///< "nat KUBE-SERVICES"; the first of them
  std::size_t more_objects = 0;        ///< that are not named
  std::size_t chains = 0;              ///< kDrift: written by the sync that healed it
  std::size_t rules = 0;               ///< kDrift: the same
  std::size_t elements = 0;            ///< kDrift: the same; of sets, in nftables mode alone
  std::vector<std::string> writers{};  ///< kDrift, kDisputed: "iptables (4711)"; empty: not seen
  /// kDrift: from the first event about it; kSyncWorks, kSourceUp: from the failure. None: not known.
  std::optional<std::chrono::nanoseconds> stood{};
};

[[nodiscard]] std::string_view name_of(Happening::Kind kind);

/// The last happenings.
///
/// Threading: none of its own; Board locks it. Failure: none. Cost: at most kMost entries of some hundred bytes; what
/// is longer than a line shows is cut.
class History {
 public:
  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kNamedObjects = 8;
  static constexpr std::size_t kLongestText = 300;

  /// Takes it in under the next number. The oldest makes room.
  void add(Happening happening);
  /// Those after this number, oldest first.
  [[nodiscard]] std::vector<Happening> after(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t last_number() const { return last_number_; }

 private:
  std::deque<Happening> happenings_;
  std::uint64_t last_number_ = 0;
};

}  // namespace kubenatd::agent::seen
