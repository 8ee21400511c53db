#include "agent/trace/tracer.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/explain/explain.h"
#include "agent/trace/watch.h"
#include "netlink/host/addresses.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/surroundings.h"
#include "netlink/trace/trace_table.h"
#include "netlink/walk/ruleset_reader.h"

namespace kubenatd::agent::trace {
namespace {

using explain::Question;
using netlink::trace::TraceMonitor;
using netlink::trace::TraceTable;

// The table outlives the trace by a little, so that its last packets are traced, too.
constexpr std::chrono::seconds kLongerThanTrace{5};
// More are not put into the table one by one.
constexpr std::size_t kMostSources = 400;

/// What explain says, and to whom packets go that are asked about.
class Predictor {
 public:
  explicit Predictor(rules::Result<explain::ExplainContext> context) {
    if (!context) {
      error_ = std::move(context.error());
      return;
    }
    context_ = std::make_shared<explain::ExplainContext>(std::move(*context));
    context_->flows = nullptr;             // the connections that are traced would be among them
    context_->rules.is_current = nullptr;  // the trace changes them itself, and they were read at once
  }

  /// Those of the kernel; none: it asks others.
  [[nodiscard]] RuleNames::Rules live_rules() const {
    if (!context_ || context_->source != "live") return nullptr;
    return {context_, &context_->rules};
  }

  [[nodiscard]] rules::Result<Prediction> ask(const Question& question) const {
    if (!context_) return std::unexpected(error_);
    const auto answer = explain::explain(*context_, question);
    if (!answer) return std::unexpected(answer.error());
    if (answer->packet.destination_port == 0)
      return rules::fail("question " + question.text, "find its packets", "it leads to no address that is known here");
    return to_prediction(*answer);
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
  std::shared_ptr<explain::ExplainContext> context_;  ///< none: it could not be had
  rules::Error error_;
  std::optional<std::string> asked_;
};

rules::Result<rules::walk::Ruleset> read_rules(std::size_t at_once) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  return netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*kernel)), at_once);
}

/// The rules as they are now, all of them: by the end of the trace some are gone.
rules::Result<RuleNames::Rules> rules_before(const Predictor& predictor) {
  if (auto rules = predictor.live_rules()) return rules;
  auto rules = read_rules(netlink::walk::kAllAtOnce);
  if (!rules) return std::unexpected(rules.error());
  return std::make_shared<const rules::walk::Ruleset>(std::move(*rules));
}

/// Rules that packets met and that came after the rules were read.
bool has_unnamed(const Journal& journal, const RuleNames& names) {
  for (const Packet& packet : journal.packets())
    for (const Passage& passage : packet.passages)
      for (const Step& step : passage.steps)
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

}  // namespace

std::expected<void, Failure> trace_packets(const Order& order, rules::Result<explain::ExplainContext> sources,
                                           const std::function<void(const Report&)>& tell) {
  const auto failed = [](rules::Error error, bool wrong_order = false) {
    return std::unexpected(Failure{std::move(error), wrong_order});
  };
  const Question& question = order.question;
  // Before the table is there: it is none of the rules that packets meet otherwise.
  Predictor predictor(std::move(sources));
  const auto predicted = predictor.ask(question);
  if (!predicted && !question.address) return failed(predicted.error());
  Circumstances around;
  around.question = question.text;
  around.protocol = question.protocol;
  around.destination = predicted ? predicted->destination : *question.address;
  around.port = predicted ? predicted->port : question.port;
  if (question.from) {
    around.source = question.from->to_string();
  } else if (question.from_node || order.connect) {
    around.source = "node";
  }
  around.duration = order.duration;
  around.wanted = order.packets;
  around.interface_name = netlink::host::interface_name;
  const rules::Family family = around.destination.family;
  auto from = sources_of(question, family, order.connect);
  if (!from) return failed(from.error(), order.connect);

  RuleNames names;
  if (auto rules = rules_before(predictor)) {
    around.replies = translates(**rules, family);
    names = RuleNames(std::move(*rules));
  } else {
    base::log_info("rules are named by handle alone", {{"reason", rules.error().to_string()}});
  }
  Journal journal(order.packets);
  {
    auto monitor = TraceMonitor::open();
    if (!monitor) return failed(monitor.error());
    if (auto joined = monitor->join(); !joined) return failed(joined.error());
    const auto table =
        TraceTable::make({.protocol = around.protocol,
                          .destination = around.destination,
                          .port = around.port,
                          .sources = std::move(*from),
                          .lifetime = std::chrono::ceil<std::chrono::milliseconds>(around.duration + kLongerThanTrace),
                          .replies = around.replies});
    if (!table) return failed(table.error());
    around.owned = table->is_owned();
    std::optional<Attempt> attempt;
    if (order.connect) {
      auto started = Attempt::start(around.protocol, around.destination, around.port, question.from);
      if (!started) return failed(started.error());
      around.connect_from = started->from();
      attempt = std::move(*started);
    }
    auto watched =
        watch(*monitor, journal, {.duration = around.duration, .packets = around.wanted, .stop = order.stop}, attempt);
    if (!watched) return failed(watched.error());
    around.events_lost = watched->events_lost;
    around.stopped = watched->stopped;
    around.connect = std::move(watched->connect);
  }
  journal.join();
  if (has_unnamed(journal, names))
    if (auto rules = read_rules(rules::walk::kManyRules)) names.add_later(std::move(*rules));

  Question packet;
  packet.text = question.text;
  packet.address = around.destination;
  packet.port = around.port;
  packet.protocol = around.protocol;
  const auto predict = [&](const Packet& seen) {
    packet.from = seen.first.source;
    predictor.set_interface(family, seen.sent_here ? std::string() : netlink::host::interface_name(seen.in_index));
    return predictor.ask(packet);
  };
  tell(make_report(std::move(around), journal, names, predicted, predict));
  return {};
}

}  // namespace kubenatd::agent::trace
