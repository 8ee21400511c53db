#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/iptables/compiler.h"
#include "rules/text.h"

/// Views and texts for the compiler's tests.
namespace kubenatd::rules::iptables::test {

inline Endpoint endpoint(std::string_view address, std::uint16_t port, bool is_local = false) {
  Endpoint endpoint;
  endpoint.address = Address::parse(address).value();
  endpoint.port = port;
  endpoint.is_local = is_local;
  endpoint.is_ready = endpoint.is_serving = true;
  endpoint.for_cluster = endpoint.reachable = true;
  endpoint.for_local = is_local;
  return endpoint;
}

/// demo/web:http, 10.96.10.10:80, with an endpoint here and one on another node.
inline ServicePortView web() {
  ServicePortView view;
  view.name = "demo/web:http";
  view.cluster_ip = Address::parse("10.96.10.10").value();
  view.port = 80;
  view.has_endpoints = true;
  view.endpoints = {endpoint("10.244.1.5", 8080, true), endpoint("10.244.2.7", 8080)};
  return view;
}

/// The same with endpoints on other nodes only.
inline ServicePortView web_elsewhere() {
  ServicePortView view = web();
  view.endpoints.erase(view.endpoints.begin());
  return view;
}

inline ServicePortView web_without_endpoints() {
  ServicePortView view = web();
  view.has_endpoints = false;
  view.endpoints.clear();
  return view;
}

/// IPv4, pods known by 10.244.0.0/16, no localhost NodePorts.
inline CompileOptions options() {
  CompileOptions options;
  options.node.local_detector = DetectByPrefix{Prefix::parse("10.244.0.0/16").value()};
  return options;
}

using Lines = std::vector<std::string>;

/// "TABLE CHAIN RULE" for each rule in a shared chain.
inline Lines dispatch_of(const ServicePortView& view, const CompileOptions& options) {
  Lines lines;
  for (const DispatchRule& rule : compile_dispatch(view, options)) {
    const ChainId& chain = chain_of(rule.chain);
    lines.push_back(std::string(name_of(chain.table)) + " " + std::string(chain.name.view()) + " " +
                    to_text(rule.rule, options.node.family));
  }
  return lines;
}

/// Rules of the service port's only chain whose name begins with `prefix`; "none" when there is no such chain.
inline Lines chain_of_kind(const ServicePortView& view, const CompileOptions& options, std::string_view prefix) {
  for (const ChainRules& chain : compile(view, options).chains) {
    if (!chain.id.name.view().starts_with(prefix)) continue;
    Lines lines;
    for (const Rule& rule : chain.rules) lines.push_back(to_text(rule, options.node.family));
    return lines;
  }
  return {"none"};
}

inline Lines chain_names(const ServicePortView& view, const CompileOptions& options) {
  Lines names;
  for (const ChainRules& chain : compile(view, options).chains)
    names.push_back(std::string(name_of(chain.id.table)) + " " + std::string(chain.id.name.view()));
  return names;
}

}  // namespace kubenatd::rules::iptables::test
