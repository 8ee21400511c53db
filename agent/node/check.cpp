#include "agent/node/check.h"

#include <sys/utsname.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "agent/node/connection_tracking.h"
#include "agent/node/fast_path.h"
#include "agent/node/forwarding.h"
#include "agent/node/leftovers.h"
#include "agent/node/limits.h"
#include "agent/node/rights.h"
#include "agent/node/table_ownership.h"
#include "agent/node/trial_findings.h"

namespace kubenatd::agent::node {
namespace {

void add(Report& report, Findings findings) {
  std::ranges::move(findings, std::back_inserter(report.findings));
}

}  // namespace

Report check_kernel(dataplane::Kernel& kernel, const Question& question) {
  Report report{.kernel = {}, .modes = question.modes, .findings = {}};
  utsname system{};
  if (::uname(&system) == 0) report.kernel = static_cast<const char*>(system.release);
  const bool loaded_before = is_conntrack_loaded();
  for (const config::Config::Mode mode : question.modes) {
    // As a run in that mode would have it.
    config::Config config = question.facts.config;
    config.mode = mode;
    const dataplane::NodeFacts facts{.config = config,
                                     .environment = question.facts.environment,
                                     .node = question.facts.node,
                                     .known_endpoints = question.facts.known_endpoints,
                                     .service_cidrs = question.facts.service_cidrs};
    const std::span families(rules::kFamilies);
    static_assert(rules::kFamilies.front() == rules::Family::kIpv4 && rules::kFamilies.size() == 2);
    for (const Trial& trial :
         try_mode(kernel, mode, question.facts.environment.ipv6 ? families : families.first(1), facts))
      add(report, judge(trial, report.kernel));
  }
  add(report, judge(read_connection_tracking(loaded_before)));
  return report;
}

Report check_node(dataplane::Kernel& kernel, const Question& question) {
  Report report = check_kernel(kernel, question);
  Findings rights = judge(read_rights());
  report.findings.insert(report.findings.begin(), rights.begin(), rights.end());
  add(report, judge(read_forwarding(), question.localhost_node_ports));
  add(report, judge(read_limits(), question.least_descriptors));
  add(report, judge(read_leftovers(kernel), question.modes, question.rival));
  if (std::ranges::find(question.modes, config::Config::Mode::kNftables) != question.modes.end()) {
    add(report, judge(read_table_owners(kernel), question.facts.config.own_table));
    const std::vector<config::DevicePattern>& wanted = question.facts.config.fast_path;
    add(report, judge(read_fast_path(kernel, wanted), wanted));
  }
  return report;
}

}  // namespace kubenatd::agent::node
