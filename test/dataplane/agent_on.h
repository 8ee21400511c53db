#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/describe.h"
#include "agent/dataplane/reconciler.h"

/// Objects, and an agent without its event loop, on any kernel.
namespace kubenatd::agent::test {

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
    endpoint.place = objects::on_node("node-2");
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

/// With a table that is not owned, as cases edit it from outside and have several agents at once.
/// test/dataplane/ownership_test.cpp is about one that is.
inline config::Config nftables_config() {
  config::Config config = test::config();
  config.mode = config::Config::Mode::kNftables;
  config.own_table = config::Settings::OwnTable::kOff;
  return config;
}

/// Of the mode that a case in both modes runs in.
inline config::Config config_of(config::Config::Mode mode) {
  return mode == config::Config::Mode::kNftables ? nftables_config() : config();
}

/// Names of all that was refused, taken in again, or emptied; one line each.
inline std::vector<std::string> problems_of(const dataplane::RoundReport& report) {
  std::vector<std::string> all;
  for (const auto& family : report.families) {
    for (const dataplane::RefusedObject& refused : family.sync.refused) all.push_back(dataplane::describe(refused));
    for (const rules::ObjectRef& chain : family.sync.emptied) all.push_back(dataplane::describe(chain));
  }
  return all;
}

inline std::vector<std::string> in_force(const dataplane::RoundReport& report) {
  std::vector<std::string> all;
  for (const auto& family : report.families)
    all.insert(all.end(), family.sync.in_force.begin(), family.sync.in_force.end());
  return all;
}

inline std::vector<std::string> remarks_of(const dataplane::RoundReport& report) {
  std::vector<std::string> all;
  for (const auto& family : report.families)
    for (const rules::hostport::Remark& remark : family.sync.host_ports) all.push_back(to_text(remark));
  return all;
}

inline std::vector<rules::ObjectRef> healed_by(const dataplane::RoundReport& report) {
  std::vector<rules::ObjectRef> all;
  for (const auto& family : report.families)
    all.insert(all.end(), family.sync.drift.healed.begin(), family.sync.drift.healed.end());
  return all;
}

inline std::vector<rules::ObjectRef> found_by(const dataplane::RoundReport& report) {
  std::vector<rules::ObjectRef> all;
  for (const auto& family : report.families)
    all.insert(all.end(), family.sync.drift.found.begin(), family.sync.drift.found.end());
  return all;
}

inline std::size_t written_chains(const dataplane::RoundReport& report) {
  std::size_t chains = 0;
  for (const auto& family : report.families) chains += family.sync.chains;
  return chains;
}

inline std::size_t written_elements(const dataplane::RoundReport& report) {
  std::size_t elements = 0;
  for (const auto& family : report.families) elements += family.sync.elements;
  return elements;
}

/// Model and Reconciler, as one run of the agent has them.
class AgentOn {
 public:
  AgentOn(const config::Config& config, dataplane::Kernel& kernel) : model_(config, environment()) {
    auto opened = dataplane::Reconciler::open(model_, kernel);
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
  /// As the run loop does: what is due now, and nothing that is held back.
  dataplane::RoundReport follow() {
    CHECK(reconciler_->handle_events());
    return reconciler_->reconcile();
  }
  /// Reads everything again, as the periodic audit does.
  dataplane::RoundReport audit() {
    reconciler_->require_audit();
    return sync();
  }
  dataplane::RoundReport try_audit() {
    reconciler_->require_audit();
    return reconciler_->reconcile(true);
  }

  static std::string describe(const dataplane::RoundReport& report) {
    std::string text;
    for (const auto& family : report.families)
      if (family.error) text += family.error->to_string() + "\n";
    for (const std::string& problem : problems_of(report)) text += problem + "\n";
    for (const rules::Error& problem : report.problems) text += problem.to_string() + "\n";
    return text;
  }

  [[nodiscard]] dataplane::Reconciler& reconciler() { return *reconciler_; }
  [[nodiscard]] dataplane::Model& model() { return model_; }
  [[nodiscard]] std::vector<dataplane::RefusedObject> refused() const {
    std::vector<dataplane::RefusedObject> all;
    for (const rules::Family family : rules::kFamilies)
      for (auto& one : model_.dataplane(family).refused()) all.push_back(std::move(one));
    return all;
  }

 private:
  dataplane::Model model_;
  std::unique_ptr<dataplane::Reconciler> reconciler_;
};

}  // namespace kubenatd::agent::test
