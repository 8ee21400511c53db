#include "agent/trace/journal.h"

#include <random>

#include "test/unit/trace/trace_support.h"

namespace kubenatd::agent::test {
namespace {

using trace::Journal;
using trace::Packet;
using trace::to_text;
using End = Packet::End;

}  // namespace

TEST_CASE("Events of one packet are its passages through the base chains in order") {
  Journal journal(5);
  forwarded(journal, 1, connection(77));
  journal.join();
  REQUIRE(journal.packets().size() == 1);
  CHECK(journal.seen() == 1);
  const Packet& packet = journal.packets()[0];
  CHECK_FALSE(packet.reply);
  CHECK_FALSE(packet.sent_here);
  CHECK(packet.in_index == 2);
  CHECK(packet.out_index == 3);
  CHECK(packet.end == End::kLeft);
  CHECK(to_text(packet.first) == "10.244.1.5:40000 -> 10.96.0.80:80");
  CHECK(to_text(packet.last) == "10.244.1.5:40000 -> 10.244.2.7:8080");
  REQUIRE(packet.connection);
  CHECK(packet.connection->id == 77U);
  REQUIRE(packet.passages.size() == 4);
  CHECK(packet.passages[0].table == "raw");
  CHECK(packet.passages[1].chain == "PREROUTING");
  REQUIRE(packet.passages[1].steps.size() == 2);
  CHECK(packet.passages[1].steps[0].jump == "KUBE-SERVICES");
  CHECK(packet.passages[1].steps[1].chain == "KUBE-SERVICES");
  CHECK(packet.passages[1].steps[1].rule == 12U);
  CHECK(packet.passages[2].header->destination_port == 8080);
}

TEST_CASE("What other programs trace is passed over") {
  Journal journal(5);
  const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80);
  Events events(journal, 1, 2);
  events.own("prerouting", header, false);
  events.policy("raw", "PREROUTING", header);
  events.rule("filter", "INPUT", header, 5, Verdict::kDrop);
  events.own("arrived", header);
  journal.join();
  CHECK(journal.packets().empty());
  CHECK(journal.seen() == 0);
}

TEST_CASE("An id that comes again is another packet") {
  Journal journal(5);
  forwarded(journal, 1, connection(77));
  forwarded(journal, 1, connection(78), "10.244.2.8", "10.244.1.5", 40001);
  // And a third time it is a packet that nobody traces.
  const TracedHeader other = tcp("10.244.1.9", 1, "10.244.1.10", 2);
  Events events(journal, 1, 2);
  events.own("prerouting", other, false);
  events.rule("filter", "FORWARD", other, 22, Verdict::kDrop);
  journal.join();
  REQUIRE(journal.packets().size() == 2);
  CHECK(journal.packets()[0].last.destination == address("10.244.2.7"));
  CHECK(journal.packets()[1].last.destination == address("10.244.2.8"));
  CHECK(journal.packets()[1].end == End::kLeft);
  CHECK(journal.connections().size() == 2);
}

TEST_CASE("Packets whose events come mixed are told apart") {
  Journal journal(5);
  const TracedHeader one = tcp("10.244.1.5", 1, "10.96.0.80", 80), two = tcp("10.244.1.6", 2, "10.96.0.80", 80);
  Events first(journal, 1, 2), second(journal, 2, 2);
  first.own("prerouting", one, true);
  second.own("prerouting", two, true);
  first.rule("nat", "PREROUTING", one, 11, Verdict::kJump, "KUBE-SERVICES");
  second.rule("nat", "PREROUTING", two, 11, Verdict::kJump, "KUBE-SERVICES");
  first.rule("nat", "KUBE-SERVICES", std::nullopt, 12, Verdict::kAccept);
  second.rule("nat", "KUBE-SERVICES", std::nullopt, 13, Verdict::kDrop);
  journal.join();
  REQUIRE(journal.packets().size() == 2);
  CHECK(journal.packets()[0].passages[0].steps[1].rule == 12U);
  CHECK(journal.packets()[0].end == End::kLost);
  CHECK(journal.packets()[1].passages[0].steps[1].rule == 13U);
  CHECK(journal.packets()[1].end == End::kDropped);
}

TEST_CASE("What the node sends to itself comes in again by lo with another id") {
  Journal journal(5);
  const TracedHeader before = tcp("10.0.0.1", 40000, "10.96.0.80", 80),
                     after = tcp("10.0.0.1", 40000, "10.0.0.1", 8080);
  Events events(journal, 1, 0, 1);
  events.own("output", before, true);
  events.set_connection(connection(77));
  events.rule("nat", "OUTPUT", before, 11, Verdict::kAccept);
  events.own("left", after);
  events.set_id(2);
  events.set_interfaces(1, 0);
  events.own("prerouting", after, false);
  events.rule("filter", "INPUT", after, 22, Verdict::kDrop);
  // The next one is sent again: the same headers, another packet.
  Events again(journal, 1, 0, 1);
  again.own("output", before, true);
  journal.join();
  REQUIRE(journal.packets().size() == 2);
  const Packet& packet = journal.packets()[0];
  CHECK(packet.sent_here);
  CHECK(packet.came_back);
  CHECK(packet.end == End::kDropped);
  REQUIRE(packet.passages.size() == 2);
  CHECK(packet.passages[1].chain == "INPUT");
  CHECK(journal.packets()[1].end == End::kLost);
  CHECK(journal.seen() == 2);
}

TEST_CASE("The ends of packets: arrived, dropped by policy, queued, stolen, lost") {
  const TracedHeader header = udp("10.0.0.5", 1, "10.0.0.1", 53);
  const auto end_of = [&](const std::function<void(Events&)>& rest) {
    Journal journal(5);
    Events events(journal, 1, 2);
    events.own("prerouting", header, true);
    rest(events);
    REQUIRE(journal.packets().size() == 1);
    return journal.packets()[0].end;
  };
  CHECK(end_of([](Events&) {}) == End::kLost);
  CHECK(end_of([&](Events& events) { events.own("arrived", header); }) == End::kArrived);
  CHECK(end_of([&](Events& events) { events.policy("filter", "INPUT", header, Verdict::kDrop); }) == End::kDropped);
  CHECK(end_of([&](Events& events) { events.rule("filter", "INPUT", header, 1, Verdict::kQueue); }) == End::kQueued);
  // A packet that was stolen has no headers any more.
  CHECK(end_of([&](Events& events) { events.rule("filter", "INPUT", std::nullopt, 1, Verdict::kStolen); }) ==
        End::kStolen);
  CHECK(end_of([&](Events& events) {
          events.rule("filter", "INPUT", header, 1, Verdict::kQueue);
          events.policy("security", "INPUT", header);
          events.own("arrived", header);
        }) == End::kArrived);
}

TEST_CASE("Answers are joined by the id of their connection") {
  Journal journal(5);
  Events reply(journal, 9, 3);
  reply.set_connection(connection(77, TracedConnection::kEstablished, true));
  // It may be told first.
  reply.own("replies-prerouting", tcp("10.244.2.7", 8080, "10.244.1.5", 40000, 0x12), true);
  forwarded(journal, 1, connection(77));
  Events stranger(journal, 10, 3);
  stranger.set_connection(connection(99, TracedConnection::kEstablished, true));
  stranger.own("replies-prerouting", tcp("10.244.2.7", 8080, "10.244.1.6", 40000, 0x12), true);
  journal.join();
  REQUIRE(journal.connections().size() == 1);
  CHECK(journal.connections()[0].id == 77U);
  CHECK(journal.connections()[0].packets.size() == 2);
  REQUIRE(journal.packets().size() == 2);
  CHECK(journal.packets()[0].reply);
  CHECK(journal.unjoined() == 1);
  CHECK(journal.seen() == 1);
}

TEST_CASE("Where the kernel tells no id answers are joined by addresses behind translation") {
  Journal journal(5);
  forwarded(journal, 1, std::nullopt, "10.244.2.7", "192.168.77.2");
  forwarded(journal, 2, std::nullopt, "10.244.2.7", "192.168.77.2");  // the same connection again
  Events reply(journal, 9, 3);
  reply.own("replies-prerouting", tcp("10.244.2.7", 8080, "192.168.77.2", 40000, 0x12), true);
  Events other(journal, 10, 3);
  other.own("replies-prerouting", tcp("10.244.2.7", 8080, "192.168.77.2", 40001, 0x12), true);
  journal.join();
  REQUIRE(journal.connections().size() == 1);
  CHECK(journal.connections()[0].packets.size() == 3);
  CHECK(journal.unjoined() == 1);
}

TEST_CASE("No more packets are taken than were asked for, and no more steps than are kept") {
  Journal journal(2);
  for (std::uint32_t id = 1; id <= 4; ++id) forwarded(journal, id, connection(id));
  CHECK(journal.seen() == 2);
  CHECK(journal.packets().size() == 2);
  Journal deep(1);
  const TracedHeader header = tcp("10.244.1.5", 40000, "10.96.0.80", 80);
  Events events(deep, 1, 2);
  events.own("prerouting", header, true);
  events.rule("nat", "PREROUTING", header, 1, Verdict::kJump, "loop");
  for (std::size_t i = 0; i < 2 * Journal::kMostSteps; ++i)
    events.rule("nat", "loop", std::nullopt, 2, Verdict::kContinue);
  REQUIRE(deep.packets().size() == 1);
  CHECK(deep.packets()[0].cut);
  CHECK(deep.packets()[0].passages[0].steps.size() == Journal::kMostSteps);
}

TEST_CASE("Events in any order never break the journal") {
  std::mt19937 random(20261126);
  const std::vector<std::string> chains{"prerouting", "output", "replies-prerouting", "replies-output", "arrived",
                                        "left",       "what",   "PREROUTING"};
  const std::vector<std::string> tables{"kubenatd-trace", "nat", "filter"};
  for (int round = 0; round < 200; ++round) {
    Journal journal(10);
    for (int i = 0; i < 200; ++i) {
      TraceEvent event;
      event.id = random() % 4;
      event.family = NFPROTO_IPV4;
      event.type = static_cast<Type>(random() % 4);
      event.table = tables[random() % tables.size()];
      event.chain = chains[random() % chains.size()];
      if (random() % 2 == 0) event.rule = random() % 3;
      event.verdict = static_cast<Verdict>(random() % 10);
      if (random() % 2 == 0) {
        event.header = tcp("10.0.0." + std::to_string(random() % 3), 1, "10.0.0." + std::to_string(random() % 3), 1);
        event.in_index = random() % 3;
        event.out_index = random() % 3;
      }
      if (random() % 3 == 0) event.connection = connection(random() % 3, 1U << random() % 7, random() % 2 == 0);
      journal.add(event);
    }
    journal.join();
    CHECK(journal.seen() <= 10);
    std::size_t joined = 0;
    for (const trace::Connection& one : journal.connections()) joined += one.packets.size();
    CHECK(joined == journal.packets().size());
  }
}

}  // namespace kubenatd::agent::test
