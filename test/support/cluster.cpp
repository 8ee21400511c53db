#include "test/support/cluster.h"
#include "test/support/places.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <regex>
#include <stdexcept>

namespace kubenatd::test {
namespace {

constexpr const char* kNodes = R"(apiVersion: v1
kind: Node
metadata:
  name: node-1
  labels:
    kubernetes.io/hostname: node-1
    topology.kubernetes.io/zone: zone-a
spec:
  podCIDR: 10.244.1.0/24
  podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]
status:
  addresses:
  - {type: InternalIP, address: 192.168.77.2}
  - {type: InternalIP, address: "fd00:77::2"}
  - {type: Hostname, address: node-1}
---
apiVersion: v1
kind: Node
metadata:
  name: node-2
  labels:
    kubernetes.io/hostname: node-2
    topology.kubernetes.io/zone: zone-b
spec:
  podCIDR: 10.244.2.0/24
  podCIDRs: [10.244.2.0/24, "fd00:10:244:2::/64"]
status:
  addresses:
  - {type: InternalIP, address: 192.168.77.3}
  - {type: InternalIP, address: "fd00:77::3"}
  - {type: Hostname, address: node-2}
)";

bool is_ipv6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

std::string node_of(const std::string& address) {
  return address.starts_with("10.244.2.") || address.starts_with("fd00:10:244:2:") ? "node-2" : "node-1";
}

std::string quoted_list(const std::vector<std::string>& items) {
  return items.empty() ? "[]" : fmt::format("[\"{}\"]", fmt::join(items, "\", \""));
}

std::string slice_text(const ServiceSpec& service, const std::vector<EndpointSpec>& endpoints, bool ipv6) {
  std::string text = fmt::format(
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: {}\nmetadata:\n  name: {}-{}\n"
      "  namespace: demo\n  labels:\n    kubernetes.io/service-name: {}\nports:\n",
      ipv6 ? "IPv6" : "IPv4", service.name, ipv6 ? 6 : 4, service.name);
  for (const auto& port : service.ports) {
    text += fmt::format("- name: \"{}\"\n  port: {}\n  protocol: {}\n", port.name, port.target, port.protocol);
  }
  std::string list;
  for (const auto& endpoint : endpoints) {
    if (is_ipv6(endpoint.address) != ipv6) continue;
    list += fmt::format(
        "- addresses: [\"{}\"]\n  conditions: {{ready: {}, serving: {}, terminating: {}}}\n  nodeName: {}\n",
        endpoint.address, endpoint.ready && !endpoint.terminating, endpoint.ready || endpoint.terminating,
        endpoint.terminating, node_of(endpoint.address));
  }
  return text + (list.empty() ? "endpoints: []\n" : "endpoints:\n" + list);
}

}  // namespace

Manifests::Manifests() {
  folder_.write("nodes.yaml", kNodes);
}

void Manifests::put(const ServiceSpec& service) const {
  std::string text =
      fmt::format("apiVersion: v1\nkind: Service\nmetadata:\n  name: {}\n  namespace: demo\nspec:\n  type: {}\n",
                  service.name, service.type);
  std::vector<std::string> families;
  for (const auto& ip : service.cluster_ips) families.emplace_back(is_ipv6(ip) ? "IPv6" : "IPv4");
  text += fmt::format("  clusterIP: \"{}\"\n  clusterIPs: {}\n  ipFamilies: {}\n  ipFamilyPolicy: {}\n",
                      service.cluster_ips.front(), quoted_list(service.cluster_ips), quoted_list(families),
                      families.size() > 1 ? "RequireDualStack" : "SingleStack");
  if (!service.external_policy.empty()) text += fmt::format("  externalTrafficPolicy: {}\n", service.external_policy);
  if (!service.internal_policy.empty()) text += fmt::format("  internalTrafficPolicy: {}\n", service.internal_policy);
  if (!service.external_ips.empty()) text += fmt::format("  externalIPs: {}\n", quoted_list(service.external_ips));
  if (!service.source_ranges.empty()) {
    text += fmt::format("  loadBalancerSourceRanges: {}\n", quoted_list(service.source_ranges));
  }
  if (service.health_check_node_port != 0) {
    text += fmt::format("  healthCheckNodePort: {}\n", service.health_check_node_port);
  }
  if (service.affinity_seconds) {
    text += fmt::format("  sessionAffinity: ClientIP\n  sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {}}}}}\n",
                        *service.affinity_seconds);
  }
  text += "  ports:\n";
  for (const auto& port : service.ports) {
    text += fmt::format("  - name: \"{}\"\n    port: {}\n    targetPort: {}\n    protocol: {}\n", port.name, port.port,
                        port.target, port.protocol);
    if (port.node_port != 0) text += fmt::format("    nodePort: {}\n", port.node_port);
  }
  if (!service.ingress.empty()) {
    text += "status:\n  loadBalancer:\n    ingress:\n";
    for (const auto& ingress : service.ingress) {
      text += fmt::format("    - ip: \"{}\"\n", ingress.ip);
      if (!ingress.mode.empty()) text += fmt::format("      ipMode: {}\n", ingress.mode);
    }
  }
  folder_.write(service.name + ".yaml", text);
}

void Manifests::put_endpoints(const ServiceSpec& service, const std::vector<EndpointSpec>& endpoints) const {
  std::string text;
  for (const auto& ip : service.cluster_ips) text += "---\n" + slice_text(service, endpoints, is_ipv6(ip));
  folder_.write(service.name + "-endpoints.yaml", text);
}

void Manifests::put(const ServiceSpec& service, const std::vector<EndpointSpec>& endpoints) const {
  put_endpoints(service, endpoints);
  put(service);
}

void Manifests::remove(const ServiceSpec& service) const {
  folder_.remove(service.name + ".yaml");
  remove_endpoints(service);
}

void Manifests::remove_endpoints(const ServiceSpec& service) const {
  folder_.remove(service.name + "-endpoints.yaml");
}

std::vector<EndpointSpec> ready(const std::vector<std::string>& addresses) {
  std::vector<EndpointSpec> endpoints;
  for (const auto& address : addresses) endpoints.push_back({address});
  return endpoints;
}

std::string install_binary(const TempFolder& folder) {
  const auto target = folder.path() / "kubenatd";
  std::error_code error;
  std::filesystem::copy_file(program(), target, error);
  if (error) throw std::runtime_error("cannot copy " + program() + ": " + error.message());
  std::filesystem::permissions(target, std::filesystem::perms(0755));
  return target.string();
}

bool in_nftables_mode() {
  const char* mode = std::getenv("KUBENATD_TEST_MODE");
  return mode != nullptr && std::string_view(mode) == "nftables";
}

std::string nftables_mode() {
  return in_nftables_mode() ? "" : "mode: nftables\n";
}

namespace {

/// The configuration's words for the mode under test; a section "iptables:" becomes that of the mode.
std::string in_mode(std::string config) {
  if (!in_nftables_mode()) return config;
  constexpr std::string_view kSection = "iptables:";
  if (const auto at = config.find(kSection); at != std::string::npos) config.replace(at, kSection.size(), "nftables:");
  return "mode: nftables\n" + config;
}

}  // namespace

Agent::Agent(const Namespace& node, const Manifests& manifests, const std::string& extra_config, bool detection)
    : node_(node), manifests_(manifests) {
  static_cast<void>(install_binary(files_));
  files_.write("config.yaml", std::string("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                                          "hostnameOverride: node-1\nconntrack: {maxPerCore: 0, min: 0}\n") +
                                  (detection ? "clusterCIDR: \"10.244.0.0/16,fd00:10:244::/56\"\n" : "") +
                                  in_mode(extra_config));
}

std::vector<std::string> Agent::command(const std::string& verb) const {
  std::vector<std::string> arguments{verb, "--manifests", manifests_.path(), "--config",
                                     (files_.path() / "config.yaml").string()};
  arguments.insert(arguments.end(), extra_arguments.begin(), extra_arguments.end());
  return arguments;
}

ProcessResult Agent::invoke(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{(files_.path() / "kubenatd").string()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_in(node_, all);
}

ProcessResult Agent::once() const {
  auto arguments = command("run");
  arguments.emplace_back("--once");
  return invoke(arguments);
}

void Agent::apply() const {
  const auto result = once();
  if (!result.ok()) throw std::runtime_error("kubenatd run --once failed: " + result.describe());
}

Child Agent::start() const {
  std::vector<std::string> all{(files_.path() / "kubenatd").string()};
  const auto arguments = command("run");
  all.insert(all.end(), arguments.begin(), arguments.end());
  ProcessOptions options;
  options.namespace_fd = node_.fd();
  return Child(all, options);
}

std::string saved_rules(const Namespace& where, bool ipv6) {
  static const std::regex counters(R"(\[[0-9]+:[0-9]+\]$)");
  std::string text;
  bool in_mangle = false;
  for (const auto& line : lines_of(must_run_in(where, {ipv6 ? "ip6tables-save" : "iptables-save"}))) {
    if (line.starts_with('#')) continue;
    if (line.starts_with('*')) in_mangle = line == "*mangle";
    if (!in_mangle) text += (line.starts_with(':') ? std::regex_replace(line, counters, "") : line) + "\n";
  }
  return text;
}

bool has_rule(const Namespace& where, const std::string& part, bool ipv6) {
  if (in_nftables_mode())
    return must_run_in(where, {"nft", "list", "ruleset", ipv6 ? "ip6" : "ip"}).find(part) != std::string::npos;
  return saved_rules(where, ipv6).find(part) != std::string::npos;
}

}  // namespace kubenatd::test
