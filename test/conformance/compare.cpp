#include "test/conformance/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <regex>
#include <set>

#include "test/support/process.h"

namespace kubenatd::test {
namespace {

using Rules = std::vector<std::string>;
using Chains = std::map<std::string, Rules>;
using Tables = std::map<std::string, Chains>;

constexpr std::string_view kNodePortJump = "-j KUBE-NODEPORTS";

bool is_dispatch(std::string_view chain) {
  static constexpr std::array<std::string_view, 4> kChains{"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES",
                                                           "KUBE-PROXY-FIREWALL"};
  return std::ranges::find(kChains, chain) != kChains.end();
}

Tables parse(std::string_view text) {
  static const std::regex counters(R"(^\[\d+:\d+\] )");
  static const std::regex nfacct(R"( -m nfacct --nfacct-name +\S+)");
  Tables tables;
  std::string table;
  for (auto line : lines_of(text)) {
    if (line.starts_with('*')) {
      table = line.substr(1);
    } else if (line.starts_with(':')) {
      tables[table][line.substr(1, line.find(' ') - 1)];
    } else if (line.starts_with("-A ") || line.starts_with('[')) {
      line = std::regex_replace(std::regex_replace(line, counters, ""), nfacct, "");
      if (line.starts_with("-A KUBE-NODEPORTS -d 127.0.0.0/8 ")) continue;
      const auto end = line.find(' ', 3);
      tables[table][line.substr(3, end - 3)].push_back(end == std::string::npos ? "" : line.substr(end + 1));
    }
  }
  tables.erase("mangle");
  for (auto& [name, chains] : tables) {
    chains.erase("KUBE-PROXY-CANARY");
    chains.erase("KUBE-KUBELET-CANARY");
  }
  return tables;
}

/// The rules of a chain without the freedom that no packet notices.
Rules normal_form(const std::string& chain, Rules rules) {
  if (is_dispatch(chain)) {
    const auto is_jump = [](const std::string& rule) { return rule.ends_with(kNodePortJump); };
    const auto tail = std::ranges::find_if(rules, is_jump);
    if (!std::all_of(tail, rules.end(), is_jump)) rules.insert(rules.begin(), "(a jump to KUBE-NODEPORTS is not last)");
    const auto first_jump = std::ranges::find_if(rules, is_jump);
    std::sort(rules.begin(), first_jump);
    std::sort(first_jump, rules.end());
    return rules;
  }
  if (!chain.starts_with("KUBE-SVC-") && !chain.starts_with("KUBE-SVL-")) return rules;
  static const std::regex to_endpoint(R"(-j KUBE-SEP-\S+$)");
  static const std::regex probability(R"( -m statistic --mode random --probability \S+)");
  static const std::regex identity(R"rx( -m comment --comment (".*?"|\S+)|--comment (".*?"|\S+)|KUBE-SEP-\S+)rx");
  Rules fixed, shape, endpoints;
  for (const auto& rule : rules) {
    if (!std::regex_search(rule, to_endpoint)) {
      fixed.push_back(rule);
      continue;
    }
    shape.push_back(std::regex_replace(rule, identity, ""));
    endpoints.push_back(std::regex_replace(rule, probability, ""));
  }
  std::ranges::sort(endpoints);
  fixed.insert(fixed.end(), shape.begin(), shape.end());
  fixed.insert(fixed.end(), endpoints.begin(), endpoints.end());
  return fixed;
}

void compare_chain(const std::string& table, const std::string& chain, const Rules& expected, const Rules& actual,
                   std::vector<std::string>& found) {
  const auto wanted = normal_form(chain, expected);
  const auto present = normal_form(chain, actual);
  if (wanted == present) return;
  const auto before = found.size();
  for (const auto& rule : wanted) {
    if (std::ranges::find(present, rule) == present.end())
      found.push_back(fmt::format("{} {}: - {}", table, chain, rule));
  }
  for (const auto& rule : present) {
    if (std::ranges::find(wanted, rule) == wanted.end())
      found.push_back(fmt::format("{} {}: + {}", table, chain, rule));
  }
  if (found.size() == before) found.push_back(fmt::format("{} {}: order or number of rules differs", table, chain));
}

}  // namespace

std::vector<std::string> differences(std::string_view expected, std::string_view actual) {
  auto wanted = parse(expected);
  auto present = parse(actual);
  std::vector<std::string> found;
  std::set<std::pair<std::string, std::string>> chains;
  for (const auto* tables : {&wanted, &present}) {
    for (const auto& [table, content] : *tables) {
      for (const auto& [chain, rules] : content) chains.emplace(table, chain);
    }
  }
  for (const auto& [table, chain] : chains) {
    const bool is_wanted = wanted[table].contains(chain);
    const bool is_present = present[table].contains(chain);
    // A builtin chain without rules need not be in the kernel.
    const bool empty_builtin =
        !chain.starts_with("KUBE-") && wanted[table][chain].empty() && present[table][chain].empty();
    if (is_wanted != is_present && !empty_builtin) {
      found.push_back(fmt::format("{} {}: {}", table, chain, is_wanted ? "missing" : "not expected"));
    } else {
      compare_chain(table, chain, wanted[table][chain], present[table][chain], found);
    }
  }
  return found;
}

}  // namespace kubenatd::test
