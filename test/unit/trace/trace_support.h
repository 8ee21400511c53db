#pragma once

#include <linux/netfilter.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "agent/trace/journal.h"
#include "agent/trace/prediction.h"
#include "agent/trace/rule_names.h"

/// Events as the kernel gives them, by hand.
namespace kubenatd::agent::test {

using netlink::trace::TracedConnection;
using netlink::trace::TracedHeader;
using netlink::trace::TraceEvent;
using Type = TraceEvent::Type;
using Verdict = TraceEvent::Verdict;

inline rules::Address address(const std::string& text) {
  return rules::Address::parse(text).value();
}

/// "10.244.1.5", 40000, "10.96.0.80", 80; a SYN.
inline TracedHeader tcp(const std::string& source, std::uint16_t source_port, const std::string& destination,
                        std::uint16_t port, std::uint8_t flags = 0x02, std::uint32_t sequence = 1) {
  TracedHeader header;
  header.source = address(source);
  header.destination = address(destination);
  header.protocol = 6;
  header.source_port = source_port;
  header.destination_port = port;
  header.tcp_flags = flags;
  header.tcp_sequence = sequence;
  return header;
}

inline TracedHeader udp(const std::string& source, std::uint16_t source_port, const std::string& destination,
                        std::uint16_t port) {
  TracedHeader header = tcp(source, source_port, destination, port);
  header.protocol = 17;
  header.tcp_flags.reset();
  header.tcp_sequence.reset();
  return header;
}

inline TracedConnection connection(std::uint32_t id, std::uint32_t state = TracedConnection::kNew, bool reply = false) {
  return {id, reply, state, 0};
}

/// The kernel's events about one packet.
class Events {
 public:
  Events(trace::Journal& journal, std::uint32_t id, std::uint32_t in, std::uint32_t out = 0)
      : journal_(journal), id_(id), in_(in), out_(out) {}

  void set_id(std::uint32_t id) { id_ = id; }
  void set_interfaces(std::uint32_t in, std::uint32_t out) {
    in_ = in;
    out_ = out;
  }
  void set_connection(std::optional<TracedConnection> connection) { connection_ = connection; }

  /// In the trace's own table; `marks`: its rule sets the packet's mark of traces.
  void own(const std::string& chain, const TracedHeader& header, bool marks = false) {
    TraceEvent event = make("kubenatd-trace", chain, header);
    if (marks) event.rule = 7;
    event.verdict = Verdict::kContinue;
    journal_.add(event);
    event = make("kubenatd-trace", chain, std::nullopt);
    event.type = marks ? Type::kRule : Type::kPolicy;
    event.verdict = Verdict::kAccept;
    journal_.add(event);
  }
  void rule(const std::string& table, const std::string& chain, std::optional<TracedHeader> header,
            std::uint64_t handle, Verdict verdict, const std::string& jump = {}) {
    TraceEvent event = make(table, chain, std::move(header));
    event.rule = handle;
    event.verdict = verdict;
    event.jump = jump;
    journal_.add(event);
  }
  void policy(const std::string& table, const std::string& chain, std::optional<TracedHeader> header,
              Verdict verdict = Verdict::kAccept) {
    TraceEvent event = make(table, chain, std::move(header));
    event.type = Type::kPolicy;
    event.verdict = verdict;
    journal_.add(event);
  }

 private:
  [[nodiscard]] TraceEvent make(const std::string& table, const std::string& chain,
                                std::optional<TracedHeader> header) const {
    TraceEvent event;
    event.id = id_;
    event.family = NFPROTO_IPV4;
    event.type = Type::kRule;
    event.table = table;
    event.chain = chain;
    event.header = std::move(header);
    if (event.header) {
      event.in_index = in_;
      event.out_index = out_;
      event.connection = connection_;
    }
    return event;
  }

  trace::Journal& journal_;
  std::uint32_t id_;
  std::uint32_t in_, out_;
  std::optional<TracedConnection> connection_;
};

/// A packet that comes in by 2 from 10.244.1.5, is translated to an endpoint and leaves by 3, masqueraded or not.
inline void forwarded(trace::Journal& journal, std::uint32_t id, std::optional<TracedConnection> connection,
                      const std::string& endpoint = "10.244.2.7", const std::string& new_source = "10.244.1.5",
                      std::uint16_t source_port = 40000) {
  const TracedHeader before = tcp("10.244.1.5", source_port, "10.96.0.80", 80);
  const TracedHeader after = tcp("10.244.1.5", source_port, endpoint, 8080);
  const TracedHeader left = tcp(new_source, source_port, endpoint, 8080);
  Events events(journal, id, 2);
  events.own("prerouting", before, true);
  events.policy("raw", "PREROUTING", before);
  events.set_connection(connection);
  events.rule("nat", "PREROUTING", before, 11, Verdict::kJump, "KUBE-SERVICES");
  events.rule("nat", "KUBE-SERVICES", std::nullopt, 12, Verdict::kAccept);
  events.set_interfaces(2, 3);
  events.policy("filter", "FORWARD", after);
  events.set_interfaces(0, 3);
  events.policy("nat", "POSTROUTING", after);
  events.own("left", left);
}

/// nat PREROUTING, KUBE-SERVICES, filter FORWARD with a REJECT (21) and a DROP (22), raw PREROUTING with a DROP (31).
inline trace::RuleNames names() {
  using namespace rules::walk;
  Ruleset rules;
  const auto rule = [](std::uint64_t handle, const std::string& text) {
    WalkRule one;
    one.handle = handle;
    one.text = text;
    return one;
  };
  const auto base = [](Hook hook, Base::Type type, std::int32_t priority) {
    Base one;
    one.hook = hook;
    one.type = type;
    one.priority = priority;
    return one;
  };
  const auto add = [](WalkTable& table, const std::string& name, std::optional<Base> start, std::vector<WalkRule> all) {
    WalkChain chain;
    chain.name = name;
    chain.base = std::move(start);
    chain.rules = std::move(all);
    table.chains[name] = std::move(chain);
  };
  WalkTable& nat = rules.tables().emplace_back();
  nat.name = "nat";
  add(nat, "PREROUTING", base(Hook::kPrerouting, Base::Type::kNat, -100), {rule(11, "-j KUBE-SERVICES")});
  add(nat, "KUBE-SERVICES", std::nullopt, {rule(12, "-d 10.96.0.80/32 -j DNAT")});
  WalkTable& filter = rules.tables().emplace_back();
  filter.name = "filter";
  WalkRule reject = rule(21, "-s 10.244.1.5/32 -j REJECT");
  reject.statements.emplace_back(Refuse{"icmp-port-unreachable"});
  add(filter, "FORWARD", base(Hook::kForward, Base::Type::kFilter, 0), {reject, rule(22, "-s 10.0.0.0/8 -j DROP")});
  WalkTable& raw = rules.tables().emplace_back();
  raw.name = "raw";
  add(raw, "PREROUTING", base(Hook::kPrerouting, Base::Type::kFilter, -300), {rule(31, "-j DROP")});
  return trace::RuleNames(std::make_shared<const Ruleset>(std::move(rules)));
}

inline trace::Prediction::End end(const std::string& kind, const std::string& destination = "10.244.2.7",
                                  std::uint16_t port = 8080, bool masqueraded = false) {
  trace::Prediction::End one;
  one.kind = kind;
  one.cause = "rules";
  one.destination = address(destination);
  one.port = port;
  one.masqueraded = masqueraded;
  return one;
}

inline trace::Prediction predict(std::vector<trace::Prediction::End> ends) {
  trace::Prediction prediction;
  prediction.source = address("10.244.1.5");
  prediction.destination = address("10.96.0.80");
  prediction.port = 80;
  prediction.subject = "ClusterIP of demo/web:http";
  prediction.rules = "live";
  prediction.from = "pod demo/client";
  prediction.ends = std::move(ends);
  return prediction;
}

}  // namespace kubenatd::agent::test
