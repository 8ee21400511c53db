#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "agent/dataplane/model.h"
#include "agent/explain/explain.h"
#include "agent/explain/show.h"
#include "agent/explain/sources.h"
#include "agent/sources/manifest_source.h"
#include "rules/walk/nft/ruleset_text.h"
#include "rules/walk/xt/save_text.h"
#include "test/support/process.h"

namespace kubenatd::agent::test {

/// node-1, 192.168.77.2, with pods 10.244.0.0/16.
inline const std::string kNode = R"(
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDR: 10.244.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.77.2}]}
)";

/// A pod with the label app=NAME, a container port "http" 8080, and more YAML in its spec and status.
inline std::string pod(const std::string& name, const std::string& app, const std::string& address, bool is_ready,
                       const std::string& node = "node-1",
                       const std::string& port = "{name: http, containerPort: 8080}") {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: demo, labels: {app: " + app +
         "}}\nspec: {nodeName: " + node + ", containers: [{name: c, ports: [" + port + "]}]}\n" +
         "status: {phase: Running, podIP: " + address + ", conditions: [{type: Ready, status: \"" +
         (is_ready ? "True" : "False") + "\"}]}\n";
}

/// Service demo/web, 10.96.0.80:80, with more YAML in its spec.
inline std::string web(const std::string& more = "", const std::string& target = "http", const std::string& rest = "") {
  const std::string type = more.contains("  type: ") ? "" : "  type: NodePort\n";
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: demo}\nspec:\n" + type +
         "  selector: {app: web}\n  clusterIP: 10.96.0.80\n  ports: [{name: http, port: 80, targetPort: " + target +
         ", nodePort: 30080}]\n" + more + rest;
}

/// Rules of any program, from their text.
inline rules::walk::Ruleset read_rules(const std::string& text) {
  rules::walk::Ruleset ruleset;
  rules::walk::xt::Remarks remarks;
  const auto read = rules::walk::nft::looks_like_ruleset(text)
                        ? rules::walk::nft::read_ruleset_text(text, ruleset)
                        : rules::walk::xt::read_save_text(text, ruleset, remarks);
  INFO((read ? "" : read.error().to_string()));
  REQUIRE(read);
  return ruleset;
}

/// What `explain` works on, from manifests.
class World {
 public:
  explicit World(const std::string& manifests, config::Config::Mode mode = config::Config::Mode::kIptables,
                 const std::string& node_name = "node-1", const std::string& node = kNode,
                 const std::vector<rules::Prefix>& node_port_addresses = {})
      : model_(config(mode, node_port_addresses), environment(node_name)) {
    kubenatd::test::TempFolder folder;
    folder.write("all.yaml", node + manifests);
    auto source = sources::ManifestSource::open({folder.path()});
    REQUIRE(source);
    sources::SourceUpdate update = source->load();
    for (const std::string& problem : update.problems) FAIL_CHECK(problem);
    for (const objects::ObjectEvent& event : update.events) context.inventory.take(event);
    for (objects::PassedOver& one : update.left_out) context.passed.add(std::move(one));
    (void)model_.apply(std::move(update.events));
    const auto family = rules::Family::kIpv4;
    saved = model_.dataplane(family).render();
    context.rules = read_rules(saved);
    explain::add_views(model_, context);
    context.source = "desired";
    context.node_name = node_name;
    if (const auto& found = model_.state().node()) context.node_addresses = found->addresses;
    if (context.node_addresses.empty()) context.node_addresses = {rules::Address::parse("192.168.77.2").value()};
    context.surroundings.local = context.node_addresses;
  }

  /// From now on other rules are walked, and compared with the desired ones.
  void replace_rules(const std::string& text) {
    context.desired = std::move(context.rules);
    context.rules = read_rules(text);
    context.source = "saved";
  }
  /// The desired rules with `rule` put in front of the first line that has `before`.
  void insert_rule(const std::string& before, const std::string& rule) {
    std::string text = saved;
    const auto at = text.find(before);
    REQUIRE(at != std::string::npos);
    text.insert(at, rule + "\n");
    replace_rules(text);
  }
  /// The desired rules and others behind them.
  void add_rules(const std::string& text) {
    context.desired = context.rules;
    rules::walk::Ruleset more = read_rules(text);
    for (rules::walk::WalkTable& table : more.tables())
      context.rules.table(table.family, table.name, table.legacy) = std::move(table);
    context.source = "live";
  }

  [[nodiscard]] explain::Answer ask(const std::string& text, const std::string& from = "") const {
    const auto question = explain::parse_question(text, from);
    INFO((question ? "" : question.error().to_string()));
    REQUIRE(question);
    auto answer = explain::explain(context, *question);
    INFO((answer ? "" : answer.error().to_string()));
    REQUIRE(answer);
    return std::move(*answer);
  }

  explain::ExplainContext context;
  std::string saved;  ///< the desired rules as text

 private:
  static config::Config config(config::Config::Mode mode, const std::vector<rules::Prefix>& node_port_addresses) {
    config::Config config = config::default_config();
    config.mode = mode;
    config.node_port_addresses = node_port_addresses;
    config.service_cidrs = {rules::Prefix::parse("10.96.0.0/16").value()};
    config.cluster_cidrs = {rules::Prefix::parse("10.244.0.0/16").value()};
    return config;
  }
  static config::Environment environment(const std::string& node_name) {
    config::Environment environment;
    environment.node_name = node_name;
    environment.has_nfacct = false;
    environment.local_addresses = {rules::Address::parse("192.168.77.2").value()};
    return environment;
  }

  dataplane::Model model_;
};

inline const explain::Finding* finding(const explain::Answer& answer, const std::string& code) {
  const auto found = std::ranges::find(answer.findings, code, &explain::Finding::code);
  return found == answer.findings.end() ? nullptr : &*found;
}

/// "CODE: DETAIL DETAIL" of the only problem; "none".
inline std::string problem(const explain::Answer& answer) {
  std::string text;
  for (const explain::Finding& one : answer.findings) {
    if (one.weight != explain::Finding::Weight::kProblem) continue;
    text += (text.empty() ? "" : " | ") + one.code;
    for (const std::string& detail : one.details) text += (&detail == one.details.data() ? ": " : ", ") + detail;
  }
  return text.empty() ? "none" : text;
}

}  // namespace kubenatd::agent::test
