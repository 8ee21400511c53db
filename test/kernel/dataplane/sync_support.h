#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/iptables/diff.h"
#include "agent/dataplane/reconciler.h"
#include "test/support/netns.h"
#include "test/support/process.h"

/// What the tests of the sync loop share: objects, an agent without its event loop, and a look from outside through
/// iptables and nft.
namespace kubenatd::agent::test {

using kubenatd::test::enter_fresh_namespace;

inline rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

/// demo/NAME with one port 80, in IPv4.
inline objects::Service service(const std::string& name, const std::string& cluster_ip,
                                rules::Protocol protocol = rules::Protocol::kTcp) {
  objects::Service service;
  service.key = {"demo", name};
  service.cluster_ips = {ip(cluster_ip)};
  service.ports = {{"", protocol, 80, 0, ""}};
  return service;
}

/// A slice of demo/SERVICE with ready endpoints at port 8080.
inline objects::EndpointSlice slice(const std::string& service, const std::vector<std::string>& addresses,
                                    rules::Protocol protocol = rules::Protocol::kTcp) {
  objects::EndpointSlice slice;
  slice.key = {"demo", service + "-1"};
  slice.service = service;
  slice.ports = {{"", 8080, protocol}};
  for (const std::string& address : addresses) {
    objects::SliceEndpoint endpoint;
    endpoint.address = ip(address);
    endpoint.node_name = "node-2";
    slice.family = endpoint.address.family;
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

inline objects::ObjectEvent put(const objects::Service& service) {
  return {objects::Kind::kService, service.key, std::make_shared<const objects::Object>(service)};
}

inline objects::ObjectEvent put(const objects::EndpointSlice& slice) {
  return {objects::Kind::kEndpointSlice, slice.key, std::make_shared<const objects::Object>(slice)};
}

inline objects::ObjectEvent remove_service(const std::string& name) {
  return {objects::Kind::kService, {"demo", name}, nullptr};
}

inline objects::ObjectEvent remove_slice(const std::string& service) {
  return {objects::Kind::kEndpointSlice, {"demo", service + "-1"}, nullptr};
}

inline config::Config config(config::Config::Dispatch dispatch = config::Config::Dispatch::kAuto,
                             std::size_t threshold = 1000) {
  config::Config config = config::default_config();
  config.dispatch = dispatch;
  config.tree_threshold = threshold;
  config.cluster_cidrs = {rules::Prefix::parse("10.244.0.0/16").value()};
  return config;
}

inline config::Environment environment() {
  config::Environment environment;
  environment.node_name = "node-1";
  environment.local_addresses = {ip("127.0.0.1"), ip("192.168.77.2"), ip("::1")};
  environment.has_nfacct = false;
  return environment;
}

/// Model and Reconciler, as one run of the agent has them.
class Agent {
 public:
  explicit Agent(const config::Config& config = test::config()) : model_(config, environment()) {
    auto opened = dataplane::Reconciler::open(model_);
    INFO((opened ? "" : opened.error().to_string()));
    REQUIRE(opened);
    reconciler_ = std::move(*opened);
  }

  /// Takes events in and reconciles; every problem fails the test.
  dataplane::RoundReport apply(std::vector<objects::ObjectEvent> events) {
    reconciler_->apply(std::move(events));
    return sync();
  }
  dataplane::RoundReport sync() {
    dataplane::RoundReport report = reconciler_->reconcile(true);
    INFO(describe(report));
    CHECK_FALSE(report.failed());
    return report;
  }
  /// A sync that may have problems.
  dataplane::RoundReport try_sync(std::vector<objects::ObjectEvent> events = {}) {
    reconciler_->apply(std::move(events));
    return reconciler_->reconcile(true);
  }
  /// Reads everything again, as the slow audit does.
  dataplane::RoundReport audit() {
    for (const rules::Family family : rules::kFamilies)
      const_cast<dataplane::Dataplane&>(reconciler_->family(family)).require_audit(false);
    return sync();
  }

  static std::string describe(const dataplane::RoundReport& report) {
    std::string text;
    for (const auto& family : report.families) {
      if (family.error) text += family.error->to_string() + "\n";
      for (const std::string& problem : family.sync.problems) text += problem + "\n";
    }
    for (const std::string& problem : report.problems) text += problem + "\n";
    return text;
  }

  [[nodiscard]] dataplane::Reconciler& reconciler() { return *reconciler_; }
  [[nodiscard]] dataplane::Model& model() { return model_; }

 private:
  dataplane::Model model_;
  std::unique_ptr<dataplane::Reconciler> reconciler_;
};

/// All lines of the problems of all families.
inline std::vector<std::string> problems_of(const dataplane::RoundReport& report) {
  std::vector<std::string> all;
  for (const auto& family : report.families)
    all.insert(all.end(), family.sync.problems.begin(), family.sync.problems.end());
  return all;
}

inline std::size_t written_chains(const dataplane::RoundReport& report) {
  std::size_t chains = 0;
  for (const auto& family : report.families) chains += family.sync.chains;
  return chains;
}

/// Runs a program in the namespace of the test; it must succeed.
inline std::string must_run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  kubenatd::test::ProcessOptions options;
  options.input = input;
  const auto result = kubenatd::test::run(arguments, options);
  INFO(arguments.front() << " " << (arguments.size() > 1 ? arguments[1] : "") << ": " << result.describe());
  REQUIRE(result.ok());
  return result.out;
}

/// Splits at blanks: for commands without quoting.
inline std::string must_run(const std::string& command) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < command.size()) {
    const std::size_t end = std::min(command.find(' ', at), command.size());
    words.push_back(command.substr(at, end - at));
    at = end + 1;
  }
  return must_run(words);
}

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

inline std::uint32_t generation() {
  auto kernel = netlink::NfTables::open();
  REQUIRE(kernel);
  const auto generation = kernel->generation();
  REQUIRE(generation);
  return *generation;
}

/// The live chains differ in nothing from what a fresh start with these objects wants.
inline void check_no_difference(const config::Config& config, const std::vector<objects::ObjectEvent>& objects) {
  dataplane::Model fresh(config, environment());
  (void)fresh.apply(objects);
  auto kernel = netlink::NfTables::open();
  REQUIRE(kernel);
  for (const rules::Family family : rules::kFamilies) {
    const auto diffs = dataplane::iptables::diff_with_live(*kernel, family, fresh.desired(family));
    REQUIRE(diffs);
    std::string text;
    for (const dataplane::iptables::ChainDiff& diff : *diffs) {
      text += std::string(name_of(diff.table)) + " " + diff.chain + "\n";
      for (const dataplane::iptables::ChainDiff::Line& line : diff.lines)
        text += std::string("  ") + line.sign + " " + line.rule + "\n";
    }
    CHECK(text.empty());
    if (!text.empty()) WARN(text);
  }
}

}  // namespace kubenatd::agent::test

/// Enters a namespace of its own and skips the test when that, or one of the programs, is not to be had.
#define SYNC_TEST_NAMESPACE()                                                     \
  do {                                                                            \
    if (!::kubenatd::test::enter_fresh_namespace()) return;                       \
    for (const char* program : {"iptables", "ip6tables", "iptables-save", "nft"}) \
      if (!::kubenatd::test::run({program, "--version"}).ok()) {                  \
        std::printf("SKIPPED: %s is not there\n", program);                       \
        return;                                                                   \
      }                                                                           \
  } while (false)
