#include "agent/trace/report.h"

#include <nlohmann/json.hpp>

#include "agent/trace/show.h"
#include "test/unit/trace/trace_support.h"

namespace kubenatd::agent::test {
namespace {

using trace::Comparison;
using trace::Conclusion;
using trace::Journal;
using trace::Prediction;
using trace::Report;
using Outcome = Comparison::Outcome;
using Ends = std::vector<Prediction::End>;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Owns what a report points to.
struct Told {
  Journal journal{5};
  trace::RuleNames rules = names();
  trace::Circumstances around;

  Told() {
    around.question = "10.96.0.80:80";
    around.destination = address("10.96.0.80");
    around.port = 80;
    around.duration = std::chrono::seconds(10);
    around.wanted = 5;
    around.replies = true;
    around.interface_name = [](std::uint32_t index) { return index == 2 ? std::string("veth2") : std::string(); };
  }
  Report report(Ends ends, bool open = false) {
    journal.join();
    Prediction prediction = predict(std::move(ends));
    prediction.is_open = open;
    return make_report(around, journal, rules, prediction,
                       [&](const trace::Packet&) -> rules::Result<Prediction> { return prediction; });
  }
};

/// What a packet that leaves to 10.244.2.7:8080, as 10.244.1.5, comes to.
Outcome outcome_of(Ends ends, bool open = false) {
  Told told;
  forwarded(told.journal, 1, connection(77));
  return told.report(std::move(ends), open).packets.at(0).comparison.outcome;
}

/// A packet that a rule or policy of filter FORWARD ends.
void ended(Journal& journal, std::optional<std::uint64_t> rule,
           std::optional<TracedConnection> connection = test::connection(77)) {
  const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80);
  Events events(journal, 1, 2);
  events.own("prerouting", header, true);
  events.set_connection(connection);
  if (rule) {
    events.rule("filter", "FORWARD", header, *rule, Verdict::kDrop);
  } else {
    events.policy("filter", "FORWARD", header, Verdict::kDrop);
  }
}

bool has_code(const Report& report, const std::string& code) {
  return std::ranges::any_of(report.findings, [&](const auto& finding) { return finding.code == code; });
}

}  // namespace

TEST_CASE("A packet is as predicted when it came to one of the ends: kind, destination, port, masqueraded") {
  CHECK(outcome_of({end("forwarded")}) == Outcome::kAsPredicted);
  CHECK(outcome_of({end("dropped"), end("forwarded", "10.244.1.9"), end("forwarded")}) == Outcome::kAsPredicted);
  CHECK(outcome_of({end("local")}) == Outcome::kDiffers);
  CHECK(outcome_of({end("dropped")}) == Outcome::kDiffers);
  CHECK(outcome_of({end("rejected")}) == Outcome::kDiffers);
  CHECK(outcome_of({end("forwarded", "10.244.2.8")}) == Outcome::kDiffers);
  CHECK(outcome_of({end("forwarded", "10.244.2.7", 8081)}) == Outcome::kDiffers);
  CHECK(outcome_of({end("forwarded", "10.244.2.7", 8080, true)}) == Outcome::kDiffers);

  Prediction::End range = end("forwarded", "10.244.2.1", 8000);
  range.last_destination = address("10.244.2.9");
  range.last_port = 8100;
  CHECK(outcome_of({range}) == Outcome::kAsPredicted);
  range.last_port = 8079;
  CHECK(outcome_of({range}) == Outcome::kDiffers);

  Told masqueraded;
  forwarded(masqueraded.journal, 1, connection(77), "10.244.2.7", "192.168.77.2");
  const Report report = masqueraded.report({end("forwarded"), end("forwarded", "10.244.2.7", 8080, true)});
  CHECK(report.packets.at(0).comparison.end == 1U);

  // SNAT to a range that may hold the source.
  Prediction::End some_source = end("forwarded", "10.244.2.7", 8080, true);
  some_source.source_may_stay = true;
  CHECK(outcome_of({some_source}) == Outcome::kAsPredicted);
}

TEST_CASE("What explain does not know is not called a difference") {
  CHECK(outcome_of({end("unknown")}) == Outcome::kNotCompared);
  CHECK(outcome_of({end("dropped")}, true) == Outcome::kNotCompared);
  CHECK(outcome_of({}) == Outcome::kNotCompared);
  CHECK(outcome_of({end("unknown"), end("forwarded")}) == Outcome::kAsPredicted);
}

TEST_CASE("Dropped and rejected are told apart by the rule") {
  const auto outcome = [](std::optional<std::uint64_t> rule, const std::string& predicted,
                          const std::string& cause = "rules") {
    Told told;
    ended(told.journal, rule);
    Prediction::End one = end(predicted);
    one.cause = cause;
    return told.report({one}).packets.at(0).comparison.outcome;
  };
  CHECK(outcome(21, "rejected") == Outcome::kAsPredicted);
  CHECK(outcome(21, "dropped") == Outcome::kDiffers);
  CHECK(outcome(22, "dropped") == Outcome::kAsPredicted);
  CHECK(outcome(22, "rejected") == Outcome::kDiffers);
  CHECK(outcome(std::nullopt, "dropped") == Outcome::kAsPredicted);
  // A rule that is not known may be either.
  CHECK(outcome(99, "dropped") == Outcome::kAsPredicted);
  CHECK(outcome(99, "rejected") == Outcome::kAsPredicted);
  // Predicted was that routing ends it, not a rule.
  CHECK(outcome(22, "dropped", "no-route") == Outcome::kDiffers);
}

TEST_CASE("A packet that vanishes between the rules fits what routing does, and says nothing when events were lost") {
  const auto outcome = [](const std::string& predicted, bool lost) {
    Told told;
    told.around.events_lost = lost;
    const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80);
    Events events(told.journal, 1, 2);
    events.own("prerouting", header, true);
    return told.report({end(predicted)}).packets.at(0).comparison.outcome;
  };
  CHECK(outcome("dropped", false) == Outcome::kAsPredicted);
  CHECK(outcome("forwarded", false) == Outcome::kDiffers);
  CHECK(outcome("forwarded", true) == Outcome::kNotCompared);
}

TEST_CASE("Only first packets of connections are compared") {
  const auto outcome = [](std::optional<TracedConnection> connection, std::uint8_t flags) {
    Told told;
    const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80, flags);
    Events events(told.journal, 1, 2);
    events.own("prerouting", header, true);
    events.set_connection(connection);
    events.rule("filter", "FORWARD", header, 22, Verdict::kDrop);
    return told.report({end("forwarded")}).packets.at(0).comparison.outcome;
  };
  CHECK(outcome(connection(1, TracedConnection::kNew), 0x10) == Outcome::kDiffers);
  CHECK(outcome(connection(1, TracedConnection::kEstablished), 0x02) == Outcome::kNotCompared);
  CHECK(outcome(connection(1, TracedConnection::kInvalid), 0x10) == Outcome::kNotCompared);
  CHECK(outcome(TracedConnection{std::nullopt, false, TracedConnection::kUntracked, 0}, 0x10) == Outcome::kDiffers);
  // Where the kernel tells nothing of connections: a SYN is the first packet.
  CHECK(outcome(std::nullopt, 0x02) == Outcome::kDiffers);
  CHECK(outcome(std::nullopt, 0x10) == Outcome::kNotCompared);

  // Of UDP: what met a chain of nat, or ended before connection tracking.
  const auto of_udp = [](const std::string& table, const std::string& chain, std::uint64_t rule) {
    Told told;
    const TracedHeader header = udp("10.244.1.5", 40000, "10.96.0.80", 80);
    Events events(told.journal, 1, 2);
    events.own("prerouting", header, true);
    events.rule(table, chain, header, rule, Verdict::kDrop);
    return told.report({end("forwarded")}).packets.at(0).comparison.outcome;
  };
  CHECK(of_udp("nat", "PREROUTING", 11) == Outcome::kDiffers);
  CHECK(of_udp("raw", "PREROUTING", 31) == Outcome::kDiffers);
  CHECK(of_udp("filter", "FORWARD", 22) == Outcome::kNotCompared);
}

TEST_CASE("The conclusion, its findings, and the text for people") {
  Told told;
  forwarded(told.journal, 1, connection(77));
  Events reply(told.journal, 9, 3);
  reply.set_connection(connection(77, TracedConnection::kEstablished, true));
  reply.own("replies-prerouting", tcp("10.244.2.7", 8080, "10.244.1.5", 40000, 0x12), true);
  const Report good = told.report({end("forwarded")});
  CHECK(conclude(good) == Conclusion::kAsPredicted);
  CHECK(good.findings.empty());
  const std::string text = to_text(good, false);
  INFO(text);
  CHECK(has(text, "10.96.0.80:80/tcp  ClusterIP of demo/web:http"));
  CHECK(has(text, "packet 1 of 5  10.244.1.5:40000 -> 10.96.0.80:80  SYN  connection 1, new  in by veth2"));
  CHECK(has(text, "prerouting  ip raw PREROUTING"));
  CHECK(has(text, "forward     ip filter FORWARD"));
  CHECK(has(text, "-j KUBE-SERVICES  # handle 11  jump KUBE-SERVICES"));
  CHECK(has(text, "-d 10.96.0.80/32 -j DNAT"));
  CHECK(has(text, "now 10.244.1.5:40000 -> 10.244.2.7:8080"));
  CHECK(has(text, "policy accept"));
  CHECK(has(text, "left to 10.244.2.7:8080 by interface 3"));
  CHECK(has(text, "as predicted: 10.244.2.7:8080"));
  CHECK(has(text, "answer  10.244.2.7:8080 -> 10.244.1.5:40000  SYN,ACK  connection 1, established"));
  CHECK(has(text, "1 packet and 1 answer in 1 connection: as-predicted"));
  CHECK_FALSE(has(text, "\x1b"));
  CHECK(has(to_text(good, true), "\x1b["));

  Told bad;
  ended(bad.journal, 22);
  const Report differs = bad.report({end("forwarded")});
  CHECK(conclude(differs) == Conclusion::kDiffers);
  REQUIRE(has_code(differs, "trace-differs"));
  CHECK(has(to_text(differs, false),
            "DIFFERS: dropped by ip filter FORWARD -s 10.0.0.0/8 -j DROP; predicted was "
            "10.244.2.7:8080"));

  Told nothing;
  const Report silence = nothing.report({end("forwarded")});
  CHECK(conclude(silence) == Conclusion::kUnknown);
  CHECK(has_code(silence, "nothing-seen"));
  CHECK(silence.predictions.size() == 1);

  Told later;
  ended(later.journal, 22, connection(77, TracedConnection::kEstablished));
  later.around.owned = false;
  later.around.replies = false;
  later.around.events_lost = true;
  const Report unknown = later.report({end("forwarded")});
  CHECK(conclude(unknown) == Conclusion::kUnknown);
  for (const char* code : {"not-compared", "table-not-owned", "answers-not-traced", "events-lost"})
    CHECK(has_code(unknown, code));
}

TEST_CASE("Without a prediction packets are told all the same") {
  Told told;
  ended(told.journal, 22);
  told.journal.join();
  const auto refuse = [](const trace::Packet&) -> rules::Result<Prediction> {
    return rules::fail("the API server", "list Services", "connection refused");
  };
  const Report report = make_report(told.around, told.journal, told.rules, rules::fail("x", "y", "z"), refuse);
  CHECK(conclude(report) == Conclusion::kUnknown);
  CHECK(has_code(report, "not-predicted"));
  const std::string text = to_text(report, false);
  CHECK(has(text, "connection refused"));
  CHECK(has(text, "dropped by ip filter FORWARD"));
}

TEST_CASE("JSON for programs") {
  Told told;
  told.around.connect = trace::ConnectOutcome{"refused", "Connection refused"};
  told.around.connect_from = "10.0.0.1:40000";
  ended(told.journal, 21);
  const auto json = nlohmann::json::parse(to_json(told.report({end("forwarded")})));
  CHECK(json["schema"] == "kubenatd.trace/v1");
  CHECK(json["conclusion"] == "differs");
  CHECK(json["traced"]["destination"] == "10.96.0.80");
  CHECK(json["connect"]["code"] == "refused");
  const auto& packet = json["packets"][0];
  CHECK(packet["number"] == 1);
  CHECK(packet["direction"] == "original");
  CHECK(packet["state"] == "new");
  CHECK(packet["in"] == "veth2");
  CHECK(packet["first"]["tcpFlags"] == "SYN");
  CHECK(packet["end"]["end"] == "rejected");
  const auto& hop = packet["hops"][0];
  CHECK(hop["hook"] == "forward");
  CHECK(hop["priority"] == 0);
  CHECK(hop["steps"][0]["rule"] == "-s 10.244.1.5/32 -j REJECT");
  CHECK(hop["steps"][0]["handle"] == 21);
  CHECK(hop["steps"][0]["rejects"] == true);
  CHECK(packet["compared"]["outcome"] == "differs");
  CHECK(json["connections"][0]["id"] == 77);
  CHECK(json["predictions"][0]["ends"][0]["address"] == "10.244.2.7");
  CHECK(json["findings"][0]["code"] == "trace-differs");
  CHECK(json["counters"]["packets"] == 1);
}

TEST_CASE("Names from outside cannot steer the terminal, nor break the JSON") {
  Told told;
  const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80);
  Events events(told.journal, 1, 2);
  events.own("prerouting", header, true);
  events.policy("ev\x1b[31mil\xff", "in\nput", header, Verdict::kDrop);
  const Report report = told.report({end("dropped")});
  const std::string text = to_text(report, false);
  CHECK_FALSE(has(text, "\x1b"));
  CHECK_FALSE(has(text, "in\nput"));
  CHECK(nlohmann::json::parse(to_json(report))["packets"].size() == 1);
}

}  // namespace kubenatd::agent::test
