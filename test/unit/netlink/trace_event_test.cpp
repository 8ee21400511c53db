#include "netlink/trace/trace_event.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "netlink/core/attributes.h"
#include "netlink/trace/trace_table.h"

using namespace kubenatd;
using namespace kubenatd::netlink::trace;
using netlink::AttributeWriter;
using netlink::Message;
using netlink::MessageReader;
using Type = TraceEvent::Type;
using Verdict = TraceEvent::Verdict;

namespace {

constexpr std::uint8_t kInet = 1;
// Since Linux 6.17.
constexpr std::uint16_t kCtId = 18, kCtDirection = 19, kCtStatus = 20, kCtState = 21;

/// 10.244.1.5 -> 10.96.0.80 of that protocol.
std::string ipv4_header(std::uint8_t protocol, std::uint16_t fragment = 0) {
  std::string bytes{'\x45', 0, 0,  60,     0, 1, 0,  0,  64, static_cast<char>(protocol),
                    0,      0, 10, '\xf4', 1, 5, 10, 96, 0,  80};
  bytes[6] = static_cast<char>(fragment >> 8U);
  bytes[7] = static_cast<char>(fragment);
  return bytes;
}

/// 40000 -> 80, sequence 0x01020304, SYN.
const std::string kTcpHeader{'\x9c', '\x40', 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, '\x50', 2, 0, 0, 0, 0, 0, 0};

/// fd00::5 -> fd00::50.
std::string ipv6_header(std::uint8_t next) {
  std::string bytes(40, '\0');
  bytes[0] = '\x60';
  bytes[6] = static_cast<char>(next);
  bytes[8] = bytes[24] = '\xfd';
  bytes[23] = 5;
  bytes[39] = '\x50';
  return bytes;
}

/// A message as the kernel writes it.
class TraceMessage {
 public:
  explicit TraceMessage(std::uint8_t family) {
    bytes_.resize(sizeof(nlmsghdr) + sizeof(nfgenmsg));
    bytes_[sizeof(nlmsghdr)] = static_cast<char>(family);
  }
  template <class Write>
  TraceMessage& with(Write write) {
    const std::size_t before = bytes_.size();
    bytes_.resize(before + 512);
    AttributeWriter out(bytes_.data() + before);
    write(out);
    bytes_.resize(static_cast<std::size_t>(out.at() - bytes_.data()));
    return *this;
  }
  [[nodiscard]] std::string bytes(std::uint16_t type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) const {
    std::string result = bytes_;
    const nlmsghdr header{static_cast<std::uint32_t>(bytes_.size()), type, 0, 0, 0};
    std::memcpy(result.data(), &header, sizeof header);
    return result;
  }

 private:
  std::string bytes_;
};

std::optional<TraceEvent> read(const std::string& bytes) {
  // A copy of exactly that size, so that a sanitizer sees every step outside.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  MessageReader reader({exact.data(), exact.size()});
  Message message;
  if (!reader.next(message)) return std::nullopt;
  return read_trace_event(message);
}

void write_verdict(AttributeWriter& out, std::int32_t code, std::string_view chain = {}) {
  char* nest = out.open();
  out.be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
  if (!chain.empty()) out.text(NFTA_VERDICT_CHAIN, chain);
  out.close(nest, NFTA_TRACE_VERDICT);
}

TraceMessage whole() {
  TraceMessage message(kInet);
  message.with([](AttributeWriter& out) {
    out.be32(NFTA_TRACE_NFPROTO, 2);
    out.be32(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE);
    out.be32(NFTA_TRACE_ID, 0xabcd1234);
    out.text(NFTA_TRACE_CHAIN, "KUBE-SERVICES");
    out.text(NFTA_TRACE_TABLE, "nat");
    out.be64(NFTA_TRACE_RULE_HANDLE, 0x100000002);
    write_verdict(out, NFT_JUMP, "KUBE-SVC-X");
    out.be32(NFTA_TRACE_MARK, 0x4000);
    out.be32(NFTA_TRACE_IIF, 3);
    out.be32(NFTA_TRACE_OIF, 4);
    const std::string network = ipv4_header(6);
    out.raw(NFTA_TRACE_NETWORK_HEADER, network.data(), static_cast<std::uint16_t>(network.size()));
    out.raw(NFTA_TRACE_TRANSPORT_HEADER, kTcpHeader.data(), static_cast<std::uint16_t>(kTcpHeader.size()));
    constexpr std::uint8_t kReply = 1;
    out.be32(kCtState, TracedConnection::kEstablished);
    out.raw(kCtDirection, &kReply, sizeof kReply);
    out.be32(kCtId, 77);
    out.be32(kCtStatus, 0x20);
  });
  return message;
}

}  // namespace

TEST_CASE("A trace message gives packet, place, rule, verdict and connection") {
  const auto event = read(whole().bytes());
  REQUIRE(event);
  CHECK(event->id == 0xabcd1234);
  CHECK(event->family == kInet);
  CHECK(event->protocol_family == 2);
  CHECK(event->type == Type::kRule);
  CHECK(event->table == "nat");
  CHECK(event->chain == "KUBE-SERVICES");
  CHECK(event->rule == 0x100000002U);
  CHECK(event->verdict == Verdict::kJump);
  CHECK(event->jump == "KUBE-SVC-X");
  CHECK(event->mark == 0x4000);
  CHECK(event->in_index == 3);
  CHECK(event->out_index == 4);
  REQUIRE(event->header);
  CHECK(event->header->source.to_string() == "10.244.1.5");
  CHECK(event->header->destination.to_string() == "10.96.0.80");
  CHECK(event->header->source_port == 40000);
  CHECK(event->header->destination_port == 80);
  CHECK(event->header->tcp_flags == 2);
  CHECK(event->header->tcp_sequence == 0x01020304U);
  REQUIRE(event->connection);
  CHECK(event->connection->id == 77U);
  CHECK(event->connection->reply);
  CHECK(event->connection->state == TracedConnection::kEstablished);
  CHECK(event->connection->status == 0x20);
}

TEST_CASE("Other messages are no trace events") {
  CHECK_FALSE(read(whole().bytes(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE)));
  CHECK_FALSE(read(whole().bytes(NFNL_SUBSYS_CTNETLINK << 8 | NFT_MSG_TRACE)));
  CHECK_FALSE(read(whole().bytes(NLMSG_ERROR)));
}

TEST_CASE("Every verdict has its name; numbers of queues and errnos beside it do not matter") {
  const std::vector<std::pair<std::int32_t, std::string>> verdicts{{1, "accept"},
                                                                   {0, "drop"},
                                                                   {2, "stolen"},
                                                                   {3, "queue"},
                                                                   {3 | 7 << 16, "queue"},
                                                                   {-(1 << 16), "drop"},
                                                                   {NFT_CONTINUE, "continue"},
                                                                   {NFT_GOTO, "goto"},
                                                                   {NFT_RETURN, "return"},
                                                                   {NFT_JUMP, "jump"},
                                                                   {9, "other"}};
  for (const auto& [code, name] : verdicts) {
    const auto event = read(TraceMessage(2)
                                .with([&, code = code](AttributeWriter& out) {
                                  out.be32(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE);
                                  write_verdict(out, code);
                                })
                                .bytes());
    REQUIRE(event);
    INFO(code);
    CHECK(name_of(event->verdict) == name);
  }
  const auto policy = read(TraceMessage(2)
                               .with([](AttributeWriter& out) {
                                 out.be32(NFTA_TRACE_TYPE, NFT_TRACETYPE_POLICY);
                                 out.be32(NFTA_TRACE_POLICY, 0);
                               })
                               .bytes());
  REQUIRE(policy);
  CHECK(policy->type == Type::kPolicy);
  CHECK(policy->verdict == Verdict::kDrop);
  CHECK_FALSE(policy->header);
  CHECK_FALSE(policy->connection);
  CHECK_FALSE(policy->rule);
}

TEST_CASE("Headers: IPv4 and IPv6, UDP, ICMP, fragments and what is too short") {
  const std::string udp{0, 53, 0, 99, 0, 8, 0, 0};
  const auto of_udp = read_traced_header(ipv4_header(17), udp);
  REQUIRE(of_udp);
  CHECK(of_udp->source_port == 53);
  CHECK(of_udp->destination_port == 99);
  CHECK_FALSE(of_udp->tcp_flags);

  const auto of_icmp = read_traced_header(ipv4_header(1), std::string{3, 1});
  REQUIRE(of_icmp);
  CHECK(of_icmp->icmp_type == 3);
  CHECK(of_icmp->icmp_code == 1);
  CHECK_FALSE(of_icmp->source_port);

  // Not the first fragment: what looks like ports is data. The first one has ports.
  const auto fragment = read_traced_header(ipv4_header(17, 0x2001), udp);
  REQUIRE(fragment);
  CHECK(fragment->is_fragment);
  CHECK_FALSE(fragment->source_port);
  const auto first = read_traced_header(ipv4_header(17, 0x2000), udp);
  REQUIRE(first);
  CHECK(first->source_port == 53);

  const auto of_ipv6 = read_traced_header(ipv6_header(6), kTcpHeader);
  REQUIRE(of_ipv6);
  CHECK(of_ipv6->source.to_string() == "fd00::5");
  CHECK(of_ipv6->destination.to_string() == "fd00::50");
  CHECK(of_ipv6->destination_port == 80);
  // Behind a hop-by-hop header it is not known what the transport header is of.
  const auto extended = read_traced_header(ipv6_header(0), kTcpHeader);
  REQUIRE(extended);
  CHECK_FALSE(extended->destination_port);

  CHECK_FALSE(read_traced_header("", kTcpHeader));
  CHECK_FALSE(read_traced_header(ipv4_header(6).substr(0, 19), kTcpHeader));
  CHECK_FALSE(read_traced_header(ipv6_header(6).substr(0, 39), kTcpHeader));
  CHECK_FALSE(read_traced_header(std::string(40, '\x50'), kTcpHeader));
  const auto no_ports = read_traced_header(ipv4_header(6), kTcpHeader.substr(0, 3));
  REQUIRE(no_ports);
  CHECK_FALSE(no_ports->source_port);
  const auto no_flags = read_traced_header(ipv4_header(6), kTcpHeader.substr(0, 13));
  REQUIRE(no_flags);
  CHECK(no_flags->source_port == 40000);
  CHECK_FALSE(no_flags->tcp_flags);
}

TEST_CASE("Trace messages that are cut or changed anywhere never crash the reader") {
  const std::string bytes = whole().bytes();
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    std::string part = bytes.substr(0, size);
    (void)read(part);
    if (size < sizeof(nlmsghdr)) continue;
    const auto length = static_cast<std::uint32_t>(size);
    std::memcpy(part.data(), &length, sizeof length);
    const auto event = read(part);
    REQUIRE(event);
    if (size < bytes.size()) CHECK_FALSE((event->connection && event->connection->status != 0));
  }
  std::mt19937 random(20261126);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = bytes;
    for (int i = 0; i < 4; ++i)
      changed[sizeof(nlmsghdr) + random() % (changed.size() - sizeof(nlmsghdr))] = static_cast<char>(random());
    const auto event = read(changed);
    REQUIRE(event);
    CHECK(event->table.size() <= changed.size());
  }
}

TEST_CASE("Chains of the trace's table have their places") {
  CHECK(trace_place("prerouting") == TracePlace::kStart);
  CHECK(trace_place("output") == TracePlace::kStart);
  CHECK(trace_place("replies-output") == TracePlace::kReply);
  CHECK(trace_place("arrived") == TracePlace::kArrived);
  CHECK(trace_place("left") == TracePlace::kLeft);
  CHECK_FALSE(trace_place("PREROUTING"));
}
