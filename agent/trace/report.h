#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/explain/answer.h"
#include "agent/trace/compare.h"
#include "agent/trace/connect.h"
#include "agent/trace/journal.h"
#include "agent/trace/prediction.h"
#include "agent/trace/rule_names.h"

/// What `trace` has seen, as values. Printing is done elsewhere (show.h).
namespace kubenatd::agent::trace {

/// How the packets were looked for.
struct Circumstances {
  std::string question;
  rules::Protocol protocol = rules::Protocol::kTcp;
  rules::Address destination;
  std::uint16_t port = 0;
  std::string source;  ///< what was asked for: an address, "node"; empty: from everywhere
  std::chrono::nanoseconds duration{};
  std::size_t wanted = 0;  ///< packets
  bool owned = true;       ///< the table goes with the process
  bool replies = false;    ///< answers were traced, too
  bool events_lost = false;
  bool stopped = false;
  std::optional<ConnectOutcome> connect;
  std::string connect_from;
  std::function<std::string(std::uint32_t)> interface_name;  ///< empty: not known
};

struct PacketReport {
  std::size_t packet = 0;                 ///< index into the journal's packets
  std::size_t number = 0;                 ///< of the original direction, from 1; 0: an answer
  std::optional<std::size_t> prediction;  ///< index; none for answers, and where nothing could be predicted
  Comparison comparison;
};

struct Report {
  Circumstances circumstances;
  const Journal* journal = nullptr;
  const RuleNames* names = nullptr;
  std::vector<Prediction> predictions;  ///< for each source and way in that was seen; else for the question
  std::vector<PacketReport> packets;    ///< in the order of time
  std::vector<explain::Finding> findings;
};

/// Asks `explain` about a packet: its source and where it came in.
using Predict = std::function<rules::Result<Prediction>(const Packet& packet)>;

/// Compares what was seen with what `predict` says of packets like them. `asked` is the prediction for the question
/// itself. The journal is joined, and it and the names must outlive the report.
[[nodiscard]] Report make_report(Circumstances circumstances, const Journal& journal, const RuleNames& names,
                                 const rules::Result<Prediction>& asked, const Predict& predict);

/// Whether packets were seen, and all that could be compared were as predicted.
enum class Conclusion : std::uint8_t {
  kAsPredicted,
  kDiffers,
  kUnknown,  ///< nothing was seen, or nothing could be compared
};
[[nodiscard]] Conclusion conclude(const Report& report);

}  // namespace kubenatd::agent::trace
