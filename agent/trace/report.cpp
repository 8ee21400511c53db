#include "agent/trace/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/config/duration.h"

namespace kubenatd::agent::trace {
namespace {

using explain::Finding;
using Outcome = Comparison::Outcome;
using Weight = Finding::Weight;

void add_findings(Report& report, const std::string& not_predicted) {
  const Circumstances& around = report.circumstances;
  std::size_t later = 0;
  for (const PacketReport& one : report.packets) {
    if (one.number == 0) continue;
    const Packet& packet = report.journal->packets()[one.packet];
    const std::string name = fmt::format("packet {} ({})", one.number, to_text(packet.first));
    if (one.comparison.outcome == Outcome::kDiffers)
      report.findings.push_back({Weight::kProblem, "trace-differs", name + " " + one.comparison.why, {}});
    if (one.comparison.outcome != Outcome::kNotCompared || !one.prediction) continue;
    if (!is_first(packet, *report.names)) {
      ++later;
    } else {
      report.findings.push_back({Weight::kRemark, "not-compared", name + ": " + one.comparison.why, {}});
    }
  }
  // Otherwise it goes without saying.
  if (later != 0 && conclude(report) == Conclusion::kUnknown)
    report.findings.push_back(
        {Weight::kRemark,
         "not-compared",
         fmt::format("{} of the packets are later ones of their connections: explain speaks of first packets", later),
         {}});
  if (report.journal->seen() == 0)
    report.findings.push_back(
        {Weight::kProblem,
         "nothing-seen",
         fmt::format("no packet of this flow came by {}",
                     around.stopped ? "before the trace was stopped" : "in " + config::to_text(around.duration)),
         {"a program that translates addresses in front of netfilter (eBPF), a flow table or another network namespace "
          "hides packets from it"}});
  if (!not_predicted.empty())
    report.findings.push_back({Weight::kRemark, "not-predicted", "nothing was compared: " + not_predicted, {}});
  if (around.events_lost)
    report.findings.push_back(
        {Weight::kRemark,
         "events-lost",
         "the kernel's events came too fast and some were lost: packets may have met more than is "
         "told here",
         {}});
  if (!around.owned)
    report.findings.push_back(
        {Weight::kRemark,
         "table-not-owned",
         "this kernel (before 5.12) does not know owners of tables: had the trace been killed, its "
         "table would have stayed, without effect after its time",
         {}});
  if (!around.replies)
    report.findings.push_back({Weight::kRemark,
                               "answers-not-traced",
                               "no chain translates addresses here: connection tracking is not turned on for the sake "
                               "of answers",
                               {}});
}

}  // namespace

Report make_report(Circumstances circumstances, const Journal& journal, const RuleNames& names,
                   const rules::Result<Prediction>& asked, const Predict& predict) {
  Report report;
  report.circumstances = std::move(circumstances);
  report.journal = &journal;
  report.names = &names;
  std::string not_predicted;
  std::map<std::pair<rules::Address, std::uint32_t>, std::optional<std::size_t>> predicted;
  std::size_t number = 0;
  for (std::size_t i = 0; i < journal.packets().size(); ++i) {
    const Packet& packet = journal.packets()[i];
    PacketReport one;
    one.packet = i;
    if (!packet.reply) {
      one.number = ++number;
      const auto [at, is_new] = predicted.try_emplace({packet.first.source, packet.in_index});
      if (is_new) {
        if (auto prediction = predict(packet)) {
          at->second = report.predictions.size();
          report.predictions.push_back(std::move(*prediction));
        } else {
          not_predicted = prediction.error().to_string();
        }
      }
      one.prediction = at->second;
      if (one.prediction)
        one.comparison = compare(packet, report.predictions[*one.prediction], names, report.circumstances.events_lost);
    }
    report.packets.push_back(std::move(one));
  }
  if (number == 0) {
    if (asked) {
      report.predictions.push_back(*asked);
    } else {
      not_predicted = asked.error().to_string();
    }
  }
  add_findings(report, not_predicted);
  return report;
}

Conclusion conclude(const Report& report) {
  const auto any = [&](Outcome outcome) {
    return std::ranges::any_of(
        report.packets, [&](const PacketReport& one) { return one.number != 0 && one.comparison.outcome == outcome; });
  };
  if (any(Outcome::kDiffers)) return Conclusion::kDiffers;
  return any(Outcome::kAsPredicted) ? Conclusion::kAsPredicted : Conclusion::kUnknown;
}

}  // namespace kubenatd::agent::trace
