#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/explain/question.h"
#include "rules/walk/packet.h"
#include "rules/walk/walker.h"

/// What `explain` answers, as values. Printing is done elsewhere (show.h).
namespace kubenatd::agent::explain {

/// Something that is wrong, or worth knowing. The code is part of the JSON contract.
struct Finding {
  enum class Weight : std::uint8_t { kProblem, kRemark };
  Weight weight = Weight::kProblem;
  std::string code;
  std::string text;
  std::vector<std::string> details;
};

/// What the destination is.
struct Subject {
  enum class Kind : std::uint8_t {
    kNone,
    kClusterIp,
    kExternalIp,
    kLoadBalancerIp,
    kNodePort,
    kHostPort,
    kHealthCheck,
    kPod,
    kNode,
  };
  Kind kind = Kind::kNone;
  std::string name;  ///< "demo/web:http", "demo/pod-1"
};

/// A rule on the way.
struct PathStep {
  std::string family;  ///< "ip", "inet", ...; of the table
  std::string table, chain;
  bool legacy = false;  ///< a table of iptables-legacy
  std::string hook;     ///< that the packet is at: "prerouting", ...
  std::string rule;     ///< empty: the policy
  std::string comment;  ///< of the rule, else of the element that it found
  std::uint64_t handle = 0;
  bool matched = true;
  std::string why;  ///< why it did not fit; or what made it fit: chance, affinity, the elements that were found
  bool foreign = false;
  bool idle = false;  ///< a jump to a chain in which no rule fitted
  std::optional<rules::walk::Counters> counters;
};

/// One way that the packet may go.
struct PathEnd {
  rules::walk::End end = rules::walk::End::kForwarded;
  rules::walk::Cause cause = rules::walk::Cause::kRules;
  double odds = 1;
  bool odds_known = true;  ///< false: a rule that cannot be judged leads here, or does not
  bool remembered = false;
  rules::Address destination;
  std::uint16_t port = 0;
  std::optional<rules::Address> last_destination;  ///< it is one of `destination` to this
  std::optional<std::uint16_t> last_port;
  bool destination_changed = false;
  bool masqueraded = false;      ///< its source is replaced, whatever rule does it
  bool source_may_stay = false;  ///< where it is `masqueraded`: the new source may be the old one
  std::string refused_with;      ///< kRejected by a rule: "icmp-port-unreachable", "tcp-reset", ...
  bool neighbour_failed = false;
  std::string who;              ///< "pod demo/web-1 on node-1", "this node"; may be empty
  std::vector<PathStep> steps;  ///< the steps behind those that all ways share
};

/// A difference between the rules and what is wanted, in a chain on the path.
struct PathDifference {
  std::string table, chain;
  char sign = '-';  ///< '-': there and not wanted, '+': wanted and not there
  std::string rule;
};

struct KnownFlow {
  std::string original;  ///< "10.244.1.5:40000 -> 10.96.0.10:53"
  std::string served_by;
};

/// What a client would see. The code is part of the JSON contract.
struct ClientView {
  /// answer, local, refused, timeout, not-here, redirect, http-404, http-500, http-502, http-503, mixed, unknown
  std::string code;
  std::string text;
};

/// The rule that a request falls under, of an Ingress or of an HTTPRoute.
struct IngressAnswer {
  std::string kind;     ///< Ingress, HTTPRoute; empty: none fits
  std::string ingress;  ///< "demo/shop"; empty: none fits
  std::string host;     ///< of the rule that fits; empty: every host
  std::string path;
  /// Exact, Prefix, ImplementationSpecific, DefaultBackend; of an HTTPRoute Exact, PathPrefix, RegularExpression
  std::string path_type;
  std::string ingress_class;  ///< or GatewayClass
  std::string gateway;        ///< "infra/public, listener http"; empty: an Ingress
  std::string backend;        ///< "demo/web:80", the first one
  std::string controller;     ///< the pod or Service that is the way in; empty: not found
};

struct Answer {
  Question question;
  std::string source;  ///< desired, live, saved
  rules::walk::Packet packet;
  std::string from;  ///< in words
  Subject subject;
  std::vector<PathStep> steps;  ///< those that all ways share
  std::vector<PathEnd> ends;
  std::string masquerade;        ///< why; empty: none
  bool is_doubtful = false;      ///< rules that cannot be judged lead to different ends
  bool is_incomplete = false;    ///< something that could decide was not looked at, or not walked
  bool rules_changed = false;    ///< while they were asked for: some may be of another time than others
  bool is_contradicted = false;  ///< known connections all go elsewhere than it says
  std::vector<Finding> findings;
  std::vector<PathDifference> differences;
  std::vector<KnownFlow> flows;
  ClientView client;
  std::optional<IngressAnswer> ingress;
  std::unique_ptr<Answer> backend;  ///< of a URL: the way from the controller to the Service behind it
};

}  // namespace kubenatd::agent::explain
