#pragma once

#include "agent/explain/identify.h"
#include "agent/explain/ways.h"
#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// Adds what is wrong about the destination by the objects: endpoints, ports, policies, source ranges, hostPorts, node
/// names, and what was left out while loading. Where every way ends at a working endpoint, it is worth a remark only.
void diagnose_objects(const ExplainContext& context, const Identity& identity, Answer& answer);

/// The part of that about a hostPort of a Pod.
void diagnose_host_port(const ExplainContext& context, const Identity& identity, Answer& answer);
/// A port of this node that no Pod asks for leads to nobody: what the portmap plugin left of a dead container. Only
/// where Pods of this node are known.
void diagnose_left_entry(const ExplainContext& context, Answer& answer);
/// Services and Pods that ask for the packet's destination and do not get it, since it is the API server's or the
/// node's, or outside the ranges of the configuration. True when there are any.
bool diagnose_withheld(const ExplainContext& context, Answer& answer);
/// A finding that stays a problem even where a pod answers.
inline constexpr const char* kHostPortWrongPod = "host-port-wrong-pod";

/// Adds what is wrong about the way by the rules: foreign rules that decide, rules that are missing, doubts.
void diagnose_walk(const ExplainContext& context, const Identity& identity, const rules::walk::Walk& walk,
                   const Ways& ways, Answer& answer);

/// Adds what the node around the rules does to the packet, what was not looked at, what others left behind, and known
/// connections that went elsewhere.
void diagnose_node(const ExplainContext& context, const Identity& identity, const Ways& ways, Answer& answer);

/// What a client sees, from the ends of the walk. Certain only when all ways come to it and nothing is in doubt.
[[nodiscard]] ClientView client_view(const Identity& identity, const Answer& answer);

/// Adds a finding; of many details some are told.
void add_finding(Answer& answer, Finding::Weight weight, std::string code, std::string text,
                 std::vector<std::string> details = {});

/// Why a pod is not among the endpoints; empty: nothing speaks against it.
[[nodiscard]] std::string why_not_ready(const objects::Pod& pod);

}  // namespace kubenatd::agent::explain
