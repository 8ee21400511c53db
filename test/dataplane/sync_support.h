#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/left_behind.h"
#include "test/dataplane/agent_on.h"
#include "test/dataplane/world.h"
#include "test/support/process.h"

/// What the tests of the sync loop share: an agent in the running case's world, and a look at that from outside through
/// iptables and nft, or through what stands in their place there.
namespace kubenatd::agent::test {

/// An agent in the world of the running case.
class Agent : public AgentOn {
 public:
  explicit Agent(const config::Config& config = test::config(), dataplane::Kernel& kernel = world().kernel())
      : AgentOn(config, kernel) {}
};

/// Tables, chains and rules of both families, without comment lines and counters. Chain lines are sorted by name:
/// their order is that of making.
inline std::string saved() {
  std::string text;
  for (const char* program : {"iptables-save", "ip6tables-save"}) {
    std::vector<std::string> chains;
    std::vector<std::pair<std::string, std::string>> rules;
    const auto end_table = [&] {
      std::ranges::sort(chains);
      // Sorted by chain, in order within one.
      std::ranges::stable_sort(rules, {}, &std::pair<std::string, std::string>::first);
      for (const std::string& chain : chains) text += chain + "\n";
      for (const auto& [chain, rule] : rules) text += rule + "\n";
      chains.clear();
      rules.clear();
    };
    for (const std::string& line : kubenatd::test::lines_of(must_run(std::vector<std::string>{program}))) {
      if (line.empty() || line[0] == '#') continue;
      if (line[0] == ':') {
        chains.push_back(line.substr(0, line.find(" [")));
      } else if (line[0] == '-') {
        rules.emplace_back(line.substr(3, line.find(' ', 3) - 3), line);
      } else {
        end_table();
        text += std::string(program) + " " + line + "\n";
      }
    }
  }
  return text;
}

/// What differs between two texts of saved(); empty when nothing does.
inline std::string changed(const std::string& was, const std::string& is) {
  return kubenatd::test::changed_lines(was, is);
}

inline bool has_line(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// As `kubenatd cleanup` does it, of iptables mode and both families.
inline dataplane::CleanupReport clean() {
  netlink::NfTables tables = open_tables();
  dataplane::CleanupReport total;
  for (const rules::Family family : rules::kFamilies) {
    const auto report = dataplane::remove(tables, family, dataplane::LeftBehind::kIptablesChains);
    INFO((report ? "" : report.error().to_string()));
    REQUIRE(report);
    total.chains += report->chains;
    total.jumps += report->jumps;
    total.tables += report->tables;
    total.emptied.insert(total.emptied.end(), report->emptied.begin(), report->emptied.end());
  }
  return total;
}

/// What differs between the kernel and a fresh start with these objects, in the mode of `config`; empty when nothing
/// does.
inline std::string difference(const config::Config& config, const std::vector<objects::ObjectEvent>& objects) {
  dataplane::Model fresh(config, environment());
  (void)fresh.apply(objects);
  netlink::NfTables tables = open_tables();
  std::string text;
  for (const rules::Family family : rules::kFamilies) {
    const auto found = fresh.dataplane(family).diff(tables);
    INFO((found ? "" : found.error().to_string()));
    REQUIRE(found);
    for (const dataplane::ObjectDiff& diff : found->objects) {
      text += to_text(diff.object) + "\n";
      for (const dataplane::ObjectDiff::Line& line : diff.lines)
        text += std::string("  ") + line.sign + " " + line.rule + "\n";
    }
  }
  return text;
}

inline void check_no_difference(const config::Config& config, const std::vector<objects::ObjectEvent>& objects) {
  CHECK(difference(config, objects) == "");
}

}  // namespace kubenatd::agent::test
