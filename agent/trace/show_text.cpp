#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/trace/show.h"

namespace kubenatd::agent::trace {
namespace {

using Outcome = Comparison::Outcome;
using Type = TraceEvent::Type;

constexpr std::size_t kLongest = 400;
constexpr std::size_t kMostEnds = 6;

enum class Colour : std::uint8_t { kBold, kDim, kRed, kGreen, kYellow, kCyan };

std::string safe(std::string_view text) {
  return base::one_line(text, kLongest);
}

/// Lines with a label in a column of its own.
class Page {
 public:
  explicit Page(bool colour) : colour_(colour) {}

  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const {
    constexpr const char* kCodes[] = {"1", "2", "31", "32", "33", "36"};
    if (!colour_) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(colour)], text);
  }
  void line(std::string_view label, std::string_view text) {
    out_ += paint(Colour::kBold, fmt::format("{:<12}", label)) + std::string(text) + "\n";
  }
  void raw(std::string_view text) { out_ += std::string(text) + "\n"; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  bool colour_;
  std::string out_;
};

std::string interface_of(const Report& report, std::uint32_t index) {
  if (index == 0) return {};
  const auto& name = report.circumstances.interface_name;
  const std::string text = name ? name(index) : std::string();
  return text.empty() ? fmt::format("interface {}", index) : safe(text);
}

std::string end_line(const Prediction::End& end) {
  const std::string odds = end.odds_known ? fmt::format("{:>5.1f} %", end.odds * 100) : "  maybe";
  return fmt::format("{}  {}{}{}", end.remembered ? "  lately" : odds, to_text(end), end.who.empty() ? "" : "  ",
                     safe(end.who));
}

void show_prediction(Page& page, const Prediction& prediction) {
  page.line("explain", fmt::format("from {}  {}, by the {} rules", prediction.source.to_string(), safe(prediction.from),
                                   prediction.rules));
  std::size_t shown = 0;
  for (const auto& end : prediction.ends)
    if (++shown <= kMostEnds) page.line(shown == 1 ? "  goes to" : "", end_line(end));
  if (shown > kMostEnds) page.line("", fmt::format("and {} more", shown - kMostEnds));
  if (!prediction.client_text.empty()) page.line("  client", safe(prediction.client_text));
  for (const auto& [code, text] : prediction.findings) page.line("", fmt::format("({}) {}", code, safe(text)));
}

std::string verdict_words(const Step& step) {
  std::string words(name_of(step.verdict));
  if (!step.jump.empty()) words += " " + safe(step.jump);
  return words;
}

void show_step(Page& page, const Report& report, const Passage& passage, const Step& step, std::string_view hook) {
  constexpr std::size_t kWidest = 44;
  const std::string where = fmt::format("{} {} {}", family_name(passage.family), safe(passage.table), safe(step.chain));
  std::string what = safe(step_words(passage, step, *report.names));
  if (step.type != Type::kPolicy && step.rule) {
    if (what.find(fmt::format("handle {}", *step.rule)) == std::string::npos)
      what += page.paint(Colour::kDim, fmt::format("  # handle {}", *step.rule));
    what += "  " + page.paint(Colour::kDim, verdict_words(step));
  }
  if (step.mark != 0) what += page.paint(Colour::kDim, fmt::format("  mark 0x{:x}", step.mark));
  if (step.verdict == TraceEvent::Verdict::kDrop) what = page.paint(Colour::kRed, what);
  page.raw(fmt::format("  {:<12}{}  {}", hook, page.paint(Colour::kCyan, fmt::format("{:<{}}", where, kWidest)), what));
}

bool same_addresses(const TracedHeader& one, const TracedHeader& other) {
  return one.source == other.source && one.destination == other.destination && one.source_port == other.source_port &&
         one.destination_port == other.destination_port;
}

void show_packet(Page& page, const Report& report, const PacketReport& one) {
  const Packet& packet = report.journal->packets()[one.packet];
  std::string head = to_text(packet.first);
  if (const std::string flags = tcp_flags(packet.first); !flags.empty()) head += "  " + flags;
  if (packet.first.icmp_type)
    head += fmt::format("  ICMP type {} code {}", *packet.first.icmp_type, packet.first.icmp_code.value_or(0));
  head += fmt::format("  connection {}", packet.in_connection + 1);
  if (const auto state = state_name(packet); !state.empty()) head += fmt::format(", {}", state);
  head += packet.sent_here ? "  sent by the node" : "  in by " + interface_of(report, packet.in_index);
  page.raw("");
  const std::string label =
      one.number == 0 ? "answer" : fmt::format("packet {} of {}", one.number, report.circumstances.wanted);
  page.raw(page.paint(Colour::kBold, label) + "  " + head);

  TracedHeader now = packet.first;
  std::string last_hook;
  const auto tell_addresses = [&](const TracedHeader& header) {
    if (!same_addresses(header, now))
      page.raw(fmt::format("  {:<12}{}", "", page.paint(Colour::kYellow, "now " + to_text(header))));
    now = header;
  };
  for (const Passage& passage : packet.passages) {
    if (passage.header) tell_addresses(*passage.header);
    std::string hook = hook_of(passage, *report.names);
    std::string shown = hook == last_hook ? std::string() : hook;
    last_hook = std::move(hook);
    for (const Step& step : passage.steps) show_step(page, report, passage, step, std::exchange(shown, {}));
  }
  tell_addresses(packet.last);
  if (packet.cut) page.raw("  (and more)");
  std::string end = safe(end_words(packet, *report.names));
  if (packet.end == Packet::End::kLeft) end += " by " + interface_of(report, packet.out_index);
  const bool good = packet.end == Packet::End::kLeft || packet.end == Packet::End::kArrived;
  page.raw(fmt::format("  {:<12}{}", "end", page.paint(good ? Colour::kGreen : Colour::kRed, end)));
  if (one.number == 0) return;
  const Comparison& comparison = one.comparison;
  std::string words;
  switch (comparison.outcome) {
    case Outcome::kAsPredicted:
      words = "as predicted";
      if (comparison.end && one.prediction)
        words += ": " + to_text(report.predictions[*one.prediction].ends[*comparison.end]);
      words = page.paint(Colour::kGreen, words);
      break;
    case Outcome::kDiffers: words = page.paint(Colour::kRed, "DIFFERS: " + safe(comparison.why)); break;
    case Outcome::kNotCompared:
      words = page.paint(Colour::kDim, one.prediction ? "not compared: " + safe(comparison.why) : "not predicted");
      break;
  }
  page.raw(fmt::format("  {:<12}{}", "explain", words));
}

}  // namespace

std::string to_text(const Report& report, bool colour) {
  Page page(colour);
  const Circumstances& around = report.circumstances;
  const std::string subject = report.predictions.empty() ? std::string() : report.predictions.front().subject;
  page.line("trace", fmt::format("{}/{}  {}", rules::join_host_port(around.destination, around.port),
                                 rules::name_of(around.protocol), page.paint(Colour::kBold, safe(subject))));
  page.line("from", around.source.empty() ? "everywhere" : safe(around.source));
  if (around.connect)
    page.line("connect",
              fmt::format("{}: {} ({})", around.connect_from, safe(around.connect->text), around.connect->code));
  for (const Prediction& prediction : report.predictions) show_prediction(page, prediction);
  for (const PacketReport& one : report.packets) show_packet(page, report, one);
  page.raw("");
  for (const explain::Finding& finding : report.findings) {
    const bool problem = finding.weight == explain::Finding::Weight::kProblem;
    page.line(problem ? "problem" : "remark", page.paint(problem ? Colour::kRed : Colour::kYellow, safe(finding.text)) +
                                                  " " + page.paint(Colour::kDim, "(" + finding.code + ")"));
    for (const std::string& detail : finding.details) page.line("", "- " + safe(detail));
  }
  const std::size_t seen = report.journal->seen();
  page.line("seen", fmt::format("{} packet{} and {} answer{} in {} connection{}: {}", seen, seen == 1 ? "" : "s",
                                report.packets.size() - seen, report.packets.size() - seen == 1 ? "" : "s",
                                report.journal->connections().size(),
                                report.journal->connections().size() == 1 ? "" : "s", name_of(conclude(report))));
  return page.take();
}

std::string_view name_of(Conclusion conclusion) {
  switch (conclusion) {
    case Conclusion::kAsPredicted: return "as-predicted";
    case Conclusion::kDiffers: return "differs";
    case Conclusion::kUnknown: return "unknown";
  }
  return "";
}

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAsPredicted: return "as-predicted";
    case Outcome::kDiffers: return "differs";
    case Outcome::kNotCompared: return "not-compared";
  }
  return "";
}

std::string_view state_name(const Packet& packet) {
  if (!packet.connection) return "";
  const std::uint32_t state = packet.connection->state;
  if ((state & TracedConnection::kNew) != 0) return "new";
  if ((state & TracedConnection::kEstablished) != 0) return "established";
  if ((state & TracedConnection::kRelated) != 0) return "related";
  if ((state & TracedConnection::kUntracked) != 0) return "untracked";
  if ((state & TracedConnection::kInvalid) != 0) return "invalid";
  return "";
}

std::string tcp_flags(const TracedHeader& header) {
  std::string text;
  if (!header.tcp_flags) return text;
  constexpr std::pair<std::uint8_t, const char*> kFlags[] = {
      {0x02, "SYN"}, {0x01, "FIN"}, {0x04, "RST"}, {0x10, "ACK"}};
  for (const auto& [bit, name] : kFlags) {
    if ((*header.tcp_flags & bit) == 0) continue;
    if (!text.empty()) text += ",";
    text += name;
  }
  return text;
}

std::string hook_of(const Passage& passage, const RuleNames& names) {
  const auto* base = names.base(passage.family, passage.table, passage.chain);
  return base == nullptr ? std::string() : std::string(rules::walk::name_of(base->hook));
}

}  // namespace kubenatd::agent::trace
