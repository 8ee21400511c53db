#include <fmt/format.h>

#include <algorithm>

#include "agent/base/printable.h"
#include "agent/explain/show.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::agent::explain {
namespace {

constexpr std::size_t kLongest = 400;
constexpr std::size_t kMostEnds = 12;

enum class Colour : std::uint8_t { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

/// Lines with a label in a column of its own.
class Page {
 public:
  explicit Page(bool colour) : colour_(colour) {}

  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const {
    constexpr const char* kCodes[] = {"", "1", "2", "31", "32", "33", "36"};
    if (!colour_ || colour == Colour::kPlain) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(colour)], text);
  }
  void line(std::string_view label, std::string_view text) {
    constexpr std::size_t kColumn = 12;
    const std::string padded = fmt::format("{:<{}}", label, kColumn);
    out_ += indent_ + paint(Colour::kBold, padded) + std::string(text) + "\n";
  }
  void raw(std::string_view text) { out_ += indent_ + std::string(text) + "\n"; }
  void blank() { out_ += "\n"; }
  void indent(std::string_view by) { indent_ += by; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  bool colour_;
  std::string indent_;
  std::string out_;
};

std::string safe(std::string_view text) {
  return base::one_line(text, kLongest);
}

/// "nat", "nat (legacy)", "inet firewalld".
std::string table_of(const PathStep& step) {
  const bool is_plain = step.family.empty() || step.family == "ip" || step.family == "ip6";
  return (is_plain ? step.table : step.family + " " + step.table) + (step.legacy ? " (legacy)" : "");
}

void show_steps(Page& page, const std::vector<PathStep>& steps) {
  std::size_t width = 0;
  for (const PathStep& step : steps)
    if (!step.idle) width = std::max(width, table_of(step).size() + 1 + step.chain.size());
  constexpr std::size_t kWidest = 36;
  width = std::min(width, kWidest);
  for (const PathStep& step : steps) {
    if (step.idle) continue;
    const std::string where = fmt::format("{:<{}}", safe(table_of(step) + " " + step.chain), width);
    const std::string rule = !step.rule.empty() ? safe(step.rule) : step.why.empty() ? "policy DROP" : "";
    const std::string count = step.counters ? fmt::format(" [{} packets]", step.counters->packets) : std::string();
    const Colour colour = !step.matched ? Colour::kDim : step.foreign ? Colour::kYellow : Colour::kPlain;
    page.raw(fmt::format("  {} {}  {}{}", step.matched ? "→" : "·", page.paint(Colour::kCyan, where),
                         page.paint(colour, rule), page.paint(Colour::kDim, count)));
    if (!step.why.empty())
      page.raw(fmt::format("    {:<{}}  {}", "", width, page.paint(Colour::kDim, "(" + step.why + ")")));
  }
}

/// "10.244.1.11:80", "one of 10.244.1.11 to 10.244.1.14, port 80", "10.244.1.11, a port of 9000 to 9010".
std::string where_of(const PathEnd& end) {
  const std::string first = end.destination.to_string();
  if (end.last_destination) {
    const std::string addresses = fmt::format("one of {} to {}", first, end.last_destination->to_string());
    return end.last_port ? fmt::format("{}, a port of {} to {}", addresses, end.port, *end.last_port)
                         : fmt::format("{}, port {}", addresses, end.port);
  }
  if (end.last_port) return fmt::format("{}, a port of {} to {}", first, end.port, *end.last_port);
  return rules::join_host_port(end.destination, end.port);
}

std::string end_words(const PathEnd& end) {
  using rules::walk::End;
  const std::string where = where_of(end);
  const std::string who = end.who.empty() ? std::string() : "  " + safe(end.who);
  switch (end.end) {
    case End::kForwarded:
    case End::kLocal: return where + who;
    case End::kDropped: return "dropped";
    case End::kRejected: return "rejected";
    case End::kUnknown: return "cannot be told";
  }
  return {};
}

void show_ends(Page& page, const Answer& answer) {
  std::size_t shown = 0;
  const PathEnd* example = nullptr;
  for (const PathEnd& end : answer.ends) {
    if (end.remembered) continue;
    if (example == nullptr) example = &end;
    if (++shown > kMostEnds) continue;
    const bool good = end.end == rules::walk::End::kForwarded || end.end == rules::walk::End::kLocal;
    const std::string odds = end.odds_known ? fmt::format("{:>5.1f} %", end.odds * 100) : "  maybe";
    page.line(shown == 1 ? "goes to" : "",
              fmt::format("{}  {}{}", odds, page.paint(good ? Colour::kGreen : Colour::kRed, end_words(end)),
                          end.masqueraded ? "  masqueraded" : ""));
  }
  if (shown > kMostEnds) page.line("", fmt::format("and {} more", shown - kMostEnds));
  if (std::ranges::any_of(answer.ends, &PathEnd::remembered))
    page.line("affinity", "a client that was at an endpoint lately goes there again");
  if (!answer.masquerade.empty()) page.line("masquerade", safe(answer.masquerade));
  if (example != nullptr && !example->steps.empty()) {
    page.line("then", shown > 1 ? "for the first of them:" : "");
    show_steps(page, example->steps);
  }
}

void show_findings(Page& page, const Answer& answer) {
  for (const Finding& finding : answer.findings) {
    const bool problem = finding.weight == Finding::Weight::kProblem;
    page.line(problem ? "problem" : "remark", page.paint(problem ? Colour::kRed : Colour::kYellow, safe(finding.text)) +
                                                  " " + page.paint(Colour::kDim, "(" + finding.code + ")"));
    for (const std::string& detail : finding.details) page.line("", "- " + safe(detail));
  }
  for (const PathDifference& one : answer.differences) {
    const bool is_iptables = rules::walk::is_iptables_table(one.table);
    page.line("", page.paint(Colour::kRed, fmt::format("{} {} {}{} {}", one.sign, one.table, is_iptables ? "-A " : "",
                                                       safe(one.chain), safe(one.rule))));
  }
}

void show(Page& page, const Answer& answer) {
  const auto& packet = answer.packet;
  const std::string name = answer.subject.name.empty() ? "" : " of " + safe(answer.subject.name);
  if (packet.destination_port != 0) {
    const std::string kind = answer.subject.kind == Subject::Kind::kNone
                                 ? answer.subject.name.empty() ? "no address that is known here" : "an address" + name
                             : answer.subject.kind == Subject::Kind::kPod || answer.subject.kind == Subject::Kind::kNode
                                 ? std::string(name_of(answer.subject.kind)) + " " + safe(answer.subject.name)
                                 : std::string(name_of(answer.subject.kind)) + name;
    page.line("to", fmt::format("{}/{}  {}", rules::join_host_port(packet.destination, packet.destination_port),
                                rules::name_of(packet.protocol), page.paint(Colour::kBold, kind)));
    page.line("from", fmt::format("{}  {}", packet.source.to_string(), safe(answer.from)));
    page.line("rules", answer.source);
    show_steps(page, answer.steps);
    show_ends(page, answer);
  }
  for (const KnownFlow& flow : answer.flows)
    page.line("connection", fmt::format("{}  by {}", flow.original, flow.served_by));
  show_findings(page, answer);
}

}  // namespace

std::string to_text(const Answer& answer, bool colour) {
  Page page(colour);
  if (answer.ingress) {
    const IngressAnswer& ingress = *answer.ingress;
    page.line("request", safe(answer.question.text));
    if (!ingress.ingress.empty())
      page.line(ingress.kind,
                fmt::format("{}  {}{} ({}), class {}, to Service {}", safe(ingress.ingress),
                            ingress.host.empty() ? "any host" : safe(ingress.host), safe(ingress.path),
                            ingress.path_type, ingress.ingress_class.empty() ? "none" : safe(ingress.ingress_class),
                            ingress.backend.empty() ? "none" : safe(ingress.backend)));
    if (!ingress.gateway.empty()) page.line("Gateway", safe(ingress.gateway));
    if (!ingress.controller.empty()) page.line("controller", safe(ingress.controller));
    page.blank();
  }
  show(page, answer);
  if (answer.backend) {
    page.blank();
    page.raw(
        page.paint(Colour::kBold, "from the controller to the Service (if it does not dial the endpoints itself)"));
    show(page, *answer.backend);
  }
  const bool good = answer.client.code == "answer" || answer.client.code == "local" || answer.client.code == "redirect";
  page.line("client sees", page.paint(good ? Colour::kGreen : Colour::kRed, answer.client.text));
  return page.take();
}

}  // namespace kubenatd::agent::explain
