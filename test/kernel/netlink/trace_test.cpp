#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/monitor.h"
#include "netlink/trace/trace_monitor.h"
#include "netlink/trace/trace_table.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"
#include "test/support/process.h"

using namespace kubenatd;
using namespace kubenatd::netlink::trace;
using namespace std::chrono_literals;
using rules::Address;
using rules::Family;
using rules::Protocol;
using Type = TraceEvent::Type;
using Verdict = TraceEvent::Verdict;

namespace {

Address address(const std::string& text) {
  return Address::parse(text).value();
}

/// The service 10.9.9.9:80, of which nobody knows but nat; the node is 10.0.0.1 and fd00::1.
void prepare() {
  test::must_run({"ip", "address", "add", "10.0.0.1/32", "dev", "lo"});
  test::must_run({"ip", "route", "add", "10.9.9.0/24", "dev", "lo", "src", "10.0.0.1"});
  test::must_run({"ip", "-6", "address", "add", "fd00::1/128", "dev", "lo", "nodad"});
}

TraceTarget target(bool replies, std::vector<Address> sources = {}) {
  return {.protocol = Protocol::kTcp,
          .destination = address("10.9.9.9"),
          .port = 80,
          .sources = std::move(sources),
          .lifetime = 60s,
          .replies = replies};
}

/// Starts a TCP connection, or sends a datagram; the errno, when that fails at once.
int connect_to(const std::string& to, std::uint16_t port, int type = SOCK_STREAM) {
  const Address where = address(to);
  const test::Descriptor fd(socket(where.family == Family::kIpv4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  inet_pton(AF_INET, to.c_str(), &v4.sin_addr);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  inet_pton(AF_INET6, to.c_str(), &v6.sin6_addr);
  const bool is_v4 = where.family == Family::kIpv4;
  const auto* name = is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  if (connect(fd.get(), name, is_v4 ? sizeof v4 : sizeof v6) != 0 && errno != EINPROGRESS) return errno;
  if (type == SOCK_DGRAM) return send(fd.get(), "", 0, 0) < 0 ? errno : 0;
  return 0;
}

std::vector<TraceEvent> events_of(TraceMonitor& monitor) {
  std::vector<TraceEvent> events;
  const auto drained = monitor.drain([&](TraceEvent event) { events.push_back(std::move(event)); });
  REQUIRE(drained);
  CHECK_FALSE(drained->overrun);
  return events;
}

TraceMonitor listen() {
  auto monitor = TraceMonitor::open();
  REQUIRE(monitor);
  const auto joined = monitor->join();
  INFO((joined ? "" : joined.error().to_string()));
  REQUIRE(joined);
  return std::move(*monitor);
}

TraceTable make(const TraceTarget& what) {
  auto table = TraceTable::make(what);
  INFO((table ? "" : table.error().to_string()));
  REQUIRE(table);
  return std::move(*table);
}

const TraceEvent* find(const std::vector<TraceEvent>& events, const std::string& table, const std::string& chain,
                       Type type = Type::kRule) {
  const auto found = std::ranges::find_if(events, [&](const TraceEvent& event) {
    return event.table == table && event.chain == chain && event.type == type;
  });
  return found == events.end() ? nullptr : &*found;
}

std::string tables() {
  return test::must_run({"nft", "list", "tables"});
}

/// Turns the flag of owners into one that no kernel knows, as it is for kernels before 5.12.
class OldKernel final : public netlink::Socket {
 public:
  explicit OldKernel(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
  [[nodiscard]] int fd() const override { return socket_->fd(); }
  [[nodiscard]] std::uint32_t port_id() const override { return socket_->port_id(); }
  void grow_send_buffer(std::size_t bytes) override { socket_->grow_send_buffer(bytes); }
  void grow_receive_buffer(std::size_t bytes) override { socket_->grow_receive_buffer(bytes); }
  [[nodiscard]] rules::Status join(unsigned group) override { return socket_->join(group); }
  [[nodiscard]] rules::Status leave(unsigned group) override { return socket_->leave(group); }
  [[nodiscard]] rules::Status send(std::string_view bytes) override {
    std::string changed(bytes);
    netlink::MessageReader reader(changed);
    for (netlink::Message message; reader.next(message);) {
      if (message.table_type() != NFT_MSG_NEWTABLE) continue;
      const auto flags = netlink::find_attribute(message.attributes(), NFTA_TABLE_FLAGS).payload;
      if (flags.empty()) continue;
      ++owners;
      changed[static_cast<std::size_t>(flags.data() - changed.data()) + 3] = '\x40';
    }
    return socket_->send(changed);
  }
  [[nodiscard]] rules::Result<netlink::Received> receive() override { return socket_->receive(); }
  [[nodiscard]] rules::Result<netlink::Received> poll() override { return socket_->poll(); }
  void drain() override { socket_->drain(); }

  static inline int owners = 0;  ///< how often the flag was sent

 private:
  std::unique_ptr<Socket> socket_;
};

}  // namespace

TEST_CASE("A real packet tells each rule that it met by handle in iptables' tables and in others") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  test::must_run({"iptables-nft", "-t", "nat", "-N", "WAY"});
  test::must_run({"iptables-nft", "-t", "nat", "-A", "OUTPUT", "-d", "10.9.9.9", "-j", "WAY"});
  test::must_run({"iptables-nft", "-t", "nat", "-A", "WAY", "-p", "tcp", "--dport", "80", "-j", "DNAT",
                  "--to-destination", "10.0.0.1:8080"});
  test::must_run({"nft", "add table inet other"});
  test::must_run({"nft", "add chain inet other in { type filter hook input priority -10; }"});
  test::must_run({"nft", "add rule inet other in tcp dport 8080 meta mark set 7"});
  test::must_run({"iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP"});
  TraceMonitor monitor = listen();
  const TraceTable table = make(target(true));
  CHECK(table.is_owned() == test::linux_is_from(5, 12));
  CHECK(connect_to("10.9.9.9", 80) == 0);
  const auto events = events_of(monitor);
  const bool tells_connection = test::linux_is_from(6, 17);

  const TraceEvent* start = find(events, std::string(kTraceTable), "output");
  REQUIRE(start != nullptr);
  REQUIRE(start->header);
  CHECK(start->header->destination.to_string() == "10.9.9.9");
  CHECK(start->in_index == 0);

  const TraceEvent* jump = find(events, "nat", "OUTPUT");
  REQUIRE(jump != nullptr);
  CHECK(jump->rule == test::raw_rules(Family::kIpv4, rules::Table::kNat, "OUTPUT").at(0).handle);
  CHECK(jump->verdict == Verdict::kJump);
  CHECK(jump->jump == "WAY");
  CHECK(jump->id == start->id);
  REQUIRE(jump->connection.has_value() == tells_connection);
  if (tells_connection) {
    CHECK(jump->connection->id);
    CHECK(jump->connection->state == TracedConnection::kNew);
  }
  const TraceEvent* dnat = find(events, "nat", "WAY");
  REQUIRE(dnat != nullptr);
  CHECK(dnat->rule == test::raw_rules(Family::kIpv4, rules::Table::kNat, "WAY").at(0).handle);
  CHECK(dnat->verdict == Verdict::kAccept);

  const TraceEvent* left = find(events, std::string(kTraceTable), "left", Type::kPolicy);
  REQUIRE(left != nullptr);
  // It comes in again by lo, translated.
  const TraceEvent* marks = find(events, "other", "in");
  REQUIRE(marks != nullptr);
  CHECK(marks->family == 1);
  CHECK(marks->mark == 7);
  REQUIRE(marks->header);
  CHECK(marks->header->destination.to_string() == "10.0.0.1");
  CHECK(marks->header->destination_port == 8080);
  REQUIRE(marks->connection.has_value() == tells_connection);
  if (tells_connection) CHECK(marks->connection->id == jump->connection->id);
  CHECK(find(events, "other", "in", Type::kPolicy) != nullptr);
  const TraceEvent* drop = find(events, "filter", "INPUT");
  REQUIRE(drop != nullptr);
  CHECK(drop->rule == test::raw_rules(Family::kIpv4, rules::Table::kFilter, "INPUT").at(0).handle);
  CHECK(drop->verdict == Verdict::kDrop);
  CHECK(find(events, std::string(kTraceTable), "arrived", Type::kPolicy) == nullptr);
}

TEST_CASE("Answers are traced where connections are tracked and nothing turns that on by itself") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  TraceMonitor monitor = listen();
  const TraceTarget closed{.protocol = Protocol::kTcp,
                           .destination = address("10.0.0.1"),
                           .port = 99,
                           .sources = {},
                           .lifetime = 60s,
                           .replies = false};
  {
    const TraceTable table = make(closed);
    CHECK(connect_to("10.0.0.1", 99) == 0);
    const auto events = events_of(monitor);
    CHECK_FALSE(events.empty());
    for (const TraceEvent& event : events) CHECK_FALSE(event.connection);
  }
  TraceTarget both = closed;
  both.replies = true;
  const TraceTable table = make(both);
  CHECK(connect_to("10.0.0.1", 99) == 0);
  const auto events = events_of(monitor);
  const TraceEvent* reset = find(events, std::string(kTraceTable), "replies-output");
  REQUIRE(reset != nullptr);
  KUBENATD_NEEDS_LINUX(6, 17, "the connection in trace events; the answers came");
  const auto answer = std::ranges::find_if(
      events, [](const TraceEvent& event) { return event.connection && event.connection->reply && event.header; });
  REQUIRE(answer != events.end());
  CHECK(answer->header->source_port == 99);
  const auto asked = std::ranges::find_if(
      events, [](const TraceEvent& event) { return event.connection && !event.connection->reply; });
  REQUIRE(asked != events.end());
  CHECK(asked->connection->id == answer->connection->id);
}

TEST_CASE("Nothing but the flow is traced: destination, protocol, port and source") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  TraceMonitor monitor = listen();
  {
    const TraceTable table = make(target(false));
    CHECK(connect_to("10.9.9.9", 81) == 0);
    CHECK(connect_to("10.9.9.8", 80) == 0);
    CHECK(connect_to("10.9.9.9", 80, SOCK_DGRAM) == 0);
    CHECK(events_of(monitor).empty());
    CHECK(connect_to("10.9.9.9", 80) == 0);
    CHECK_FALSE(events_of(monitor).empty());
  }
  {
    const TraceTable table = make(target(false, {address("10.0.0.2"), address("10.0.0.3"), address("10.0.0.2")}));
    CHECK(connect_to("10.9.9.9", 80) == 0);
    CHECK(events_of(monitor).empty());
  }
  const TraceTable table = make(target(false, {address("10.0.0.1")}));
  CHECK(connect_to("10.9.9.9", 80) == 0);
  CHECK_FALSE(events_of(monitor).empty());
}

TEST_CASE("UDP and IPv6 flows are traced") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  TraceMonitor monitor = listen();
  const TraceTable table = make({.protocol = Protocol::kUdp,
                                 .destination = address("fd00::1"),
                                 .port = 53,
                                 .sources = {address("fd00::1")},
                                 .lifetime = 60s,
                                 .replies = true});
  test::must_run({"ip6tables-nft", "-A", "INPUT", "-p", "udp", "-j", "ACCEPT"});
  CHECK(connect_to("fd00::1", 53, SOCK_DGRAM) == 0);
  const auto events = events_of(monitor);
  const TraceEvent* accept = find(events, "filter", "INPUT");
  REQUIRE(accept != nullptr);
  CHECK(accept->family == 10);
  REQUIRE(accept->header);
  CHECK(accept->header->source.to_string() == "fd00::1");
  CHECK(accept->header->destination_port == 53);
  CHECK(find(events, std::string(kTraceTable), "arrived", Type::kPolicy) != nullptr);
  // Nobody listens: the answer is an ICMP error of the same connection.
  const auto error = std::ranges::find_if(
      events, [](const TraceEvent& event) { return event.header && event.header->icmp_type.has_value(); });
  REQUIRE(error != events.end());
  CHECK(error->header->icmp_type == 1);
  CHECK(error->header->icmp_code == 4);
  // nft can list it: programs that look at all tables must not stumble.
  CHECK(test::must_run({"nft", "list", "ruleset"}).find("kubenatd-trace") != std::string::npos);
}

TEST_CASE("Nothing is left of a trace: at its end and after its process was killed") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  {
    const TraceTable table = make(target(true));
    CHECK(tables().find("kubenatd-trace") != std::string::npos);
  }
  CHECK(tables().empty());

  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto table = TraceTable::make(target(true));
    const char outcome = table ? '1' : '0';
    (void)!write(ready[1], &outcome, 1);
    for (;;) pause();
  }
  char outcome = 0;
  CHECK(read(ready[0], &outcome, 1) == 1);
  close(ready[0]);
  close(ready[1]);
  CHECK(outcome == '1');
  CHECK(tables().find("kubenatd-trace") != std::string::npos);
  // Nobody else may touch or share it.
  KUBENATD_NEEDS_LINUX(5, 12, "tables with an owner");
  const auto second = TraceTable::make(target(true));
  REQUIRE_FALSE(second);
  CHECK(second.error().code == EBUSY);
  CHECK_FALSE(test::run({"nft", "delete", "table", "ip", "kubenatd-trace"}).ok());
  test::must_run({"nft", "flush", "ruleset"});
  CHECK(tables().find("kubenatd-trace") != std::string::npos);

  kill(child, SIGKILL);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(test::eventually([] { return tables().empty(); }));
}

TEST_CASE("After its time a trace traces nothing more") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  TraceMonitor monitor = listen();
  TraceTarget brief = target(false);
  brief.lifetime = 50ms;
  const TraceTable table = make(brief);
  CHECK(test::eventually([&] {
    (void)connect_to("10.9.9.9", 80);
    return events_of(monitor).empty();
  }));
}

TEST_CASE("A kernel that knows no owners of tables: the table is removed at the end and a stale one replaced") {
  if (!test::enter_fresh_namespace()) return;
  prepare();
  test::must_run({"nft", "add table ip kubenatd-trace"});
  test::must_run({"nft", "add chain ip kubenatd-trace stale"});
  OldKernel::owners = 0;
  TraceMonitor monitor = listen();
  {
    auto socket = netlink::open_socket();
    REQUIRE(socket);
    const auto table = TraceTable::make(std::make_unique<OldKernel>(std::move(*socket)), target(false));
    INFO((table ? "" : table.error().to_string()));
    REQUIRE(table);
    CHECK(OldKernel::owners == 1);
    CHECK_FALSE(table->is_owned());
    CHECK(test::must_run({"nft", "list", "table", "ip", "kubenatd-trace"}).find("stale") == std::string::npos);
    CHECK(connect_to("10.9.9.9", 80) == 0);
    CHECK_FALSE(events_of(monitor).empty());
  }
  CHECK(tables().empty());
}

TEST_CASE("A trace without port or end or with sources of the other family is refused") {
  TraceTarget wrong = target(false);
  wrong.port = 0;
  CHECK_FALSE(TraceTable::make(wrong));
  wrong = target(false);
  wrong.lifetime = 0ms;
  CHECK_FALSE(TraceTable::make(wrong));
  CHECK_FALSE(TraceTable::make(target(false, {address("fd00::1")})));
  CHECK_FALSE(TraceTable::make(target(false, std::vector<Address>(401, address("10.0.0.1")))));
}

TEST_CASE("Who listens to changes of iptables' tables and kubenatd's hears of no change in them") {
  if (!test::enter_fresh_namespace()) return;
  auto changes = netlink::Monitor::open();
  REQUIRE(changes);
  REQUIRE(changes->join());
  { const TraceTable table = make(target(true)); }
  std::size_t events = 0;
  const auto drained = changes->drain([&](const netlink::TableEvent& event) {
    using Kind = netlink::TableEvent::Kind;
    ++events;
    if (event.kind == Kind::kGeneration) return;
    CHECK(event.kind == Kind::kOther);
    CHECK(event.table_name == kTraceTable);
  });
  REQUIRE(drained);
  CHECK(events > 10);
}
