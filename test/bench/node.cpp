#include "test/bench/node.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace kubenatd::bench {

std::unique_ptr<agent::dataplane::Model> make_model(agent::config::Config config) {
  config.cluster_cidrs = {*rules::Prefix::parse("10.128.0.0/9")};
  agent::config::Environment environment;
  environment.node_name = "node-1";
  environment.has_nfacct = false;
  environment.ipv6 = false;
  return std::make_unique<agent::dataplane::Model>(std::move(config), std::move(environment));
}

Node::Node(agent::config::Config config) : model_(make_model(std::move(config))) {
  auto opened = agent::dataplane::Reconciler::open(*model_, kernel_);
  if (!opened) fail(opened.error().to_string());
  reconciler_ = std::move(*opened);
}

void Node::serve() {
  auto opened = agent::daemon::Serving::open(*model_);
  if (!opened) fail(opened.error().to_string());
  serving_ = std::move(*opened);
}

void Node::listen() {
  if (auto handled = reconciler_->handle_events(); !handled) fail(handled.error().to_string());
}

bool Node::apply(std::vector<agent::objects::ObjectEvent> events) {
  if (serving_) serving_->note(events);
  reconciler_->apply(std::move(events));
  const agent::dataplane::RoundReport report = reconciler_->reconcile(true);
  if (serving_) serving_->note(report);
  for (const auto& family : report.families)
    if (family.error) fail(family.error->to_string());
  if (report.failed()) fail("a sync had problems");
  return report.wrote();
}

void Node::fail(const std::string& why) {
  fmt::print(stderr, "{}\n", why);
  std::exit(1);
}

}  // namespace kubenatd::bench
