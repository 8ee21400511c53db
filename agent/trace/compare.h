#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/trace/journal.h"
#include "agent/trace/prediction.h"
#include "agent/trace/rule_names.h"

namespace kubenatd::agent::trace {

/// What a packet's way and the prediction have to say to each other.
struct Comparison {
  enum class Outcome : std::uint8_t {
    kAsPredicted,
    kDiffers,
    kNotCompared,  ///< the prediction says nothing of this packet
  };
  Outcome outcome = Outcome::kNotCompared;
  std::string why;                 ///< in words; empty for kAsPredicted
  std::optional<std::size_t> end;  ///< kAsPredicted: which of the prediction's
};

/// A later packet of a connection goes where the first one went: `explain` speaks of first packets.
[[nodiscard]] bool is_first(const Packet& packet, const RuleNames& names);

/// Holds a packet of the original direction against the prediction for its source. The packet must have come to one of
/// the predicted ends: left or arrived, with that destination, masqueraded or not; or been dropped or rejected. When
/// events were lost, a packet that seems to be lost may have gone on.
[[nodiscard]] Comparison compare(const Packet& packet, const Prediction& prediction, const RuleNames& names,
                                 bool events_lost);

/// In words: "left with 10.244.1.5:8080", "dropped by ip filter FORWARD -s 10.0.0.0/8 -j DROP".
[[nodiscard]] std::string end_words(const Packet& packet, const RuleNames& names);
/// forwarded, local, dropped, rejected, lost, queued, stolen.
[[nodiscard]] std::string_view end_code(const Packet& packet, const RuleNames& names);

/// The step as people know it: the rule's text, or its handle; "policy accept"; "end of chain".
[[nodiscard]] std::string step_words(const Passage& passage, const Step& step, const RuleNames& names);

}  // namespace kubenatd::agent::trace
