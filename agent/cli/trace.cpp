#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/signals.h"
#include "agent/cli/commands.h"
#include "agent/cli/explain_sources.h"
#include "agent/cli/output.h"
#include "agent/daemon/advice.h"
#include "agent/explain/explain.h"
#include "agent/trace/report.h"
#include "agent/trace/show.h"
#include "agent/trace/watch.h"
#include "netlink/host/addresses.h"
#include "netlink/host/surroundings.h"
#include "netlink/trace/trace_table.h"
#include "netlink/walk/ruleset_reader.h"

namespace kubenatd::agent::cli {
namespace {

using explain::Question;
using netlink::trace::TraceMonitor;
using netlink::trace::TraceTable;
using trace::Prediction;

// The table outlives the trace by a little, so that its last packets are traced, too.
constexpr std::chrono::seconds kLongerThanTrace{5};
// More are not put into the table one by one.
constexpr std::size_t kMostSources = 400;

int fail_with(const rules::Error& error, int code = kExitNoAnswer) {
  base::log_error(error);
  return code;
}

/// What explain says, and to whom packets go that are asked about.
class Predictor {
 public:
  Predictor(const Options& options, const Question& question)
      : context_(read_explain_sources(options.explain, options.flags, question)) {
    if (context_) context_->flows = nullptr;  // the connections that are traced would be among them
  }

  [[nodiscard]] rules::Result<Prediction> ask(const Question& question) const {
    if (!context_) return std::unexpected(context_.error());
    const auto answer = explain::explain(*context_, question);
    if (!answer) return std::unexpected(answer.error());
    if (answer->packet.destination_port == 0)
      return rules::fail("question " + question.text, "find its packets", "it leads to no address that is known here");
    return trace::to_prediction(*answer);
  }
  /// From now on packets come in there; empty: the node sends them.
  void set_interface(rules::Family family, const std::string& interface) {
    if (!context_ || context_->source != "live" || (asked_ && *asked_ == interface)) return;
    asked_ = interface;
    auto node = netlink::host::live_surroundings(family, interface);
    context_->in_interface = interface;
    context_->surroundings = std::move(node.surroundings);
    context_->not_looked_at = std::move(node.not_looked_at);
  }

 private:
  rules::Result<explain::ExplainContext> context_;
  std::optional<std::string> asked_;
};

std::string interface_name(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return if_indextoname(index, name.data()) != nullptr ? name.data() : "";
}

rules::Result<rules::walk::Ruleset> read_rules() {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  return netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*kernel)));
}

/// Rules that packets met and that came after the rules were read.
bool has_unnamed(const trace::Journal& journal, const trace::RuleNames& names) {
  for (const trace::Packet& packet : journal.packets())
    for (const trace::Passage& passage : packet.passages)
      for (const trace::Step& step : passage.steps)
        if (step.rule && names.rule(passage.family, passage.table, step.chain, *step.rule) == nullptr) return true;
  return false;
}

/// Whose packets are traced; none: everybody's.
rules::Result<std::vector<rules::Address>> sources_of(const Question& question, rules::Family family, bool connect) {
  std::vector<rules::Address> sources;
  if (!connect && !question.from_node) {
    if (question.from) sources.push_back(*question.from);
    return sources;
  }
  auto local = netlink::host::local_addresses();
  if (!local) return std::unexpected(local.error());
  if (question.from) {
    if (std::ranges::find(*local, *question.from) == local->end() && !question.from->is_loopback())
      return rules::fail("--from " + question.from->to_string(), "connect",
                         "--connect comes from this node, which has no such address");
    sources.push_back(*question.from);
    return sources;
  }
  std::ranges::copy_if(*local, std::back_inserter(sources),
                       [&](const rules::Address& address) { return address.family == family; });
  if (sources.size() > kMostSources) sources.clear();
  return sources;
}

int exit_code(trace::Conclusion conclusion) {
  switch (conclusion) {
    case trace::Conclusion::kAsPredicted: return kExitOk;
    case trace::Conclusion::kDiffers: return kExitFailed;
    case trace::Conclusion::kUnknown: break;
  }
  return kExitNoAnswer;
}

}  // namespace

int trace(const Options& options) {
  const ExplainOptions& asked = options.explain;
  const auto question = explain::parse_question(asked.question, asked.from);
  if (!question) return fail_with(question.error(), kExitUsage);
  auto signals = base::Signals::open();
  if (!signals) return fail_with(signals.error());

  // Before the table is there: it is none of the rules that packets meet otherwise.
  Predictor predictor(options, *question);
  const auto predicted = predictor.ask(*question);
  if (!predicted && !question->address) return fail_with(predicted.error());
  trace::Circumstances around;
  around.question = question->text;
  around.protocol = question->protocol;
  around.destination = predicted ? predicted->destination : *question->address;
  around.port = predicted ? predicted->port : question->port;
  around.source = asked.from.empty() && options.trace.connect ? "node" : asked.from;
  around.duration = options.trace.duration;
  around.wanted = options.trace.packets;
  around.interface_name = interface_name;
  const rules::Family family = around.destination.family;
  auto sources = sources_of(*question, family, options.trace.connect);
  if (!sources) return fail_with(sources.error(), options.trace.connect ? kExitUsage : kExitNoAnswer);

  trace::RuleNames names;
  if (auto rules = read_rules()) {
    around.replies = trace::translates(*rules, family);
    names = trace::RuleNames(std::move(*rules));
  } else {
    base::log_info("rules are named by handle alone", {{"reason", rules.error().to_string()}});
  }
  trace::Journal journal(options.trace.packets);
  {
    auto monitor = TraceMonitor::open();
    if (!monitor) return fail_with(daemon::with_kernel_advice(monitor.error()));
    if (auto joined = monitor->join(); !joined) return fail_with(daemon::with_kernel_advice(joined.error()));
    const auto table =
        TraceTable::make({.protocol = around.protocol,
                          .destination = around.destination,
                          .port = around.port,
                          .sources = std::move(*sources),
                          .lifetime = std::chrono::ceil<std::chrono::milliseconds>(around.duration + kLongerThanTrace),
                          .replies = around.replies});
    if (!table) return fail_with(daemon::with_kernel_advice(table.error()));
    around.owned = table->is_owned();
    std::optional<trace::Attempt> attempt;
    if (options.trace.connect) {
      auto started = trace::Attempt::start(around.protocol, around.destination, around.port, question->from);
      if (!started) return fail_with(daemon::with_kernel_advice(started.error()));
      around.connect_from = started->from();
      attempt = std::move(*started);
    }
    auto watched = trace::watch(
        *monitor, journal, {.duration = around.duration, .packets = around.wanted, .stop = signals->fd()}, attempt);
    if (!watched) return fail_with(watched.error());
    around.events_lost = watched->events_lost;
    around.stopped = watched->stopped;
    around.connect = std::move(watched->connect);
  }
  journal.join();
  if (has_unnamed(journal, names))
    if (auto rules = read_rules()) names.add_later(std::move(*rules));

  Question packet;
  packet.text = question->text;
  packet.address = around.destination;
  packet.port = around.port;
  packet.protocol = around.protocol;
  const auto predict = [&](const trace::Packet& seen) {
    packet.from = seen.first.source;
    predictor.set_interface(family, seen.sent_here ? std::string() : interface_name(seen.in_index));
    return predictor.ask(packet);
  };
  const trace::Report report = trace::make_report(std::move(around), journal, names, predicted, predict);
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const std::string text = asked.json ? trace::to_json(report) : trace::to_text(report, colour);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!finish_output()) return kExitNoAnswer;
  return exit_code(trace::conclude(report));
}

}  // namespace kubenatd::agent::cli
