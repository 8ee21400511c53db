#include "agent/trace/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kubenatd::agent::trace {
namespace {

using End = Packet::End;
using Outcome = Comparison::Outcome;
using Type = TraceEvent::Type;

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kTcpFlagSyn = 0x02, kTcpFlagAck = 0x10;
constexpr std::int32_t kTracking = -200;  // the priority of connection tracking

const rules::walk::WalkRule* rule_of(const Passage& passage, const Step& step, const RuleNames& names) {
  return step.rule ? names.rule(passage.family, passage.table, step.chain, *step.rule) : nullptr;
}

/// What ended it: a rule that is not known may have refused the packet as well.
enum class Ended : std::uint8_t { kDropped, kRejected, kEither };

Ended how_ended(const Packet& packet, const RuleNames& names) {
  if (packet.passages.empty() || packet.passages.back().steps.empty()) return Ended::kEither;
  const Passage& passage = packet.passages.back();
  const Step& step = passage.steps.back();
  if (step.type == Type::kPolicy) return Ended::kDropped;
  const auto* rule = rule_of(passage, step, names);
  if (rule == nullptr) return Ended::kEither;
  return refuses(*rule) ? Ended::kRejected : Ended::kDropped;
}

bool fits(const Packet& packet, const Prediction::End& end, const RuleNames& names) {
  const bool dropped = end.kind == "dropped";
  const bool rejected = end.kind == "rejected";
  switch (packet.end) {
    case End::kDropped: {
      const Ended ended = how_ended(packet, names);
      return end.cause == "rules" && ((dropped && ended != Ended::kRejected) || (rejected && ended != Ended::kDropped));
    }
    // Routing, a switch of the node or a rule of iptables-legacy has ended it; whether the sender was told is not seen.
    case End::kLost: return dropped || rejected;
    case End::kLeft:
      if (end.kind != "forwarded") return false;
      break;
    case End::kArrived:
      if (end.kind != "local") return false;
      break;
    case End::kQueued:
    case End::kStolen: return false;
  }
  const TracedHeader& last = packet.last;
  if (last.destination < end.destination || last.destination > end.last_destination.value_or(end.destination))
    return false;
  if (last.destination_port &&
      (*last.destination_port < end.port || *last.destination_port > end.last_port.value_or(end.port)))
    return false;
  const bool changed = last.source != packet.first.source;
  // The node's own address may be replaced by itself.
  return changed == end.masqueraded || (!changed && (end.source_may_stay || packet.sent_here));
}

}  // namespace

bool is_first(const Packet& packet, const RuleNames& names) {
  if (packet.connection)
    return (packet.connection->state & (TracedConnection::kNew | TracedConnection::kUntracked)) != 0;
  if (packet.first.protocol == kTcp)
    return packet.first.tcp_flags && (*packet.first.tcp_flags & (kTcpFlagSyn | kTcpFlagAck)) == kTcpFlagSyn;
  // Only first packets meet chains of type nat; what ended before connection tracking is alike for all.
  for (const Passage& passage : packet.passages) {
    const auto* base = names.base(passage.family, passage.table, passage.chain);
    if (base != nullptr && base->type == rules::walk::Base::Type::kNat) return true;
  }
  if (packet.end != End::kDropped || packet.passages.empty()) return false;
  const Passage& last = packet.passages.back();
  const auto* base = names.base(last.family, last.table, last.chain);
  return base != nullptr && base->priority < kTracking;
}

Comparison compare(const Packet& packet, const Prediction& prediction, const RuleNames& names, bool events_lost) {
  const auto not_compared = [](std::string why) {
    return Comparison{Outcome::kNotCompared, std::move(why), std::nullopt};
  };
  if (packet.cut) return not_compared("it met more rules than are kept");
  if (!is_first(packet, names))
    return not_compared("it is not the first packet of its connection, which alone is predicted");
  if (events_lost && packet.end == End::kLost) return not_compared("events of the kernel were lost");
  for (std::size_t i = 0; i < prediction.ends.size(); ++i)
    if (fits(packet, prediction.ends[i], names)) return {Outcome::kAsPredicted, {}, i};
  const bool unknown = std::ranges::any_of(prediction.ends, [](const auto& end) { return end.kind == "unknown"; });
  if (unknown || prediction.is_open || prediction.ends.empty())
    return not_compared("explain does not know all ways of this flow");
  if (packet.end == End::kQueued || packet.end == End::kStolen)
    return not_compared("it was handed out of netfilter's rules");
  std::string expected;
  for (const auto& end : prediction.ends) {
    const std::string words = to_text(end);
    if (!expected.empty()) expected += " or ";
    expected += words;
    constexpr std::size_t kMost = 300;
    if (expected.size() > kMost) {
      expected += " or ...";
      break;
    }
  }
  return {Outcome::kDiffers, fmt::format("{}; predicted was {}", end_words(packet, names), expected), std::nullopt};
}

std::string end_words(const Packet& packet, const RuleNames& names) {
  const TracedHeader& last = packet.last;
  const std::string where = last.destination_port ? rules::join_host_port(last.destination, *last.destination_port)
                                                  : last.destination.to_string();
  const std::string masqueraded =
      last.source != packet.first.source ? " from " + last.source.to_string() : std::string();
  switch (packet.end) {
    case End::kLeft: return fmt::format("left to {}{}", where, masqueraded);
    case End::kArrived: return fmt::format("arrived at {}{}", where, masqueraded);
    case End::kDropped: {
      const char* verb = how_ended(packet, names) == Ended::kRejected ? "rejected" : "dropped";
      if (packet.passages.empty() || packet.passages.back().steps.empty()) return verb;
      const Passage& passage = packet.passages.back();
      const Step& step = passage.steps.back();
      return fmt::format("{} by {} {} {} {}", verb, family_name(passage.family), passage.table, step.chain,
                         step_words(passage, step, names));
    }
    case End::kQueued: return "given to a program (queue), and not seen again";
    case End::kStolen: return "taken out of the way by a rule";
    case End::kLost:
      return "lost: no rule of nf_tables ended it and it was not seen at its end, so routing, a switch of the node or "
             "another part of the kernel did";
  }
  return {};
}

std::string_view end_code(const Packet& packet, const RuleNames& names) {
  switch (packet.end) {
    case End::kLeft: return "forwarded";
    case End::kArrived: return "local";
    case End::kDropped: return how_ended(packet, names) == Ended::kRejected ? "rejected" : "dropped";
    case End::kQueued: return "queued";
    case End::kStolen: return "stolen";
    case End::kLost: return "lost";
  }
  return "";
}

std::string step_words(const Passage& passage, const Step& step, const RuleNames& names) {
  switch (step.type) {
    case Type::kPolicy: return fmt::format("policy {}", name_of(step.verdict));
    case Type::kReturn:
      if (!step.rule) return "end of chain";
      break;
    case Type::kRule:
    case Type::kOther: break;
  }
  if (!step.rule) return fmt::format("a rule without a handle: {}", name_of(step.verdict));
  const auto* rule = rule_of(passage, step, names);
  if (rule == nullptr || rule->text.empty()) return fmt::format("rule with handle {}", *step.rule);
  return rule->text;
}

}  // namespace kubenatd::agent::trace
