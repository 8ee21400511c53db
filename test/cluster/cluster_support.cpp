#include "test/cluster/cluster_support.h"
#include "test/support/places.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <stdexcept>

namespace kubenatd::test {

using nlohmann::json;

json service_object(const std::string& name, const std::string& address, int node_port) {
  json port = {{"name", "http"}, {"port", 80}, {"targetPort", 8080}, {"protocol", "TCP"}};
  if (node_port != 0) port["nodePort"] = node_port;
  return {{"kind", "Service"},
          {"apiVersion", "v1"},
          {"metadata", {{"name", name}, {"namespace", "demo"}}},
          {"spec",
           {{"type", node_port == 0 ? "ClusterIP" : "NodePort"},
            {"clusterIP", address},
            {"clusterIPs", {address}},
            {"ipFamilies", {address.find(':') == std::string::npos ? "IPv4" : "IPv6"}},
            {"ports", {port}}}}};
}

json slice_object(const std::string& service, const std::vector<std::string>& addresses) {
  json slice = {
      {"kind", "EndpointSlice"},
      {"apiVersion", "discovery.k8s.io/v1"},
      {"metadata",
       {{"name", service + "-x"}, {"namespace", "demo"}, {"labels", {{"kubernetes.io/service-name", service}}}}},
      {"addressType", "IPv4"},
      {"ports", {{{"name", "http"}, {"port", 8080}, {"protocol", "TCP"}}}},
      {"endpoints", json::array()}};
  for (const std::string& address : addresses)
    slice["endpoints"].push_back({{"addresses", {address}},
                                  {"conditions", {{"ready", true}, {"serving", true}, {"terminating", false}}},
                                  {"nodeName", address.starts_with("10.244.2.") ? "node-2" : "node-1"}});
  return slice;
}

json node_object(const std::vector<std::string>& addresses) {
  json node = {{"kind", "Node"},
               {"apiVersion", "v1"},
               {"metadata", {{"name", "node-1"}, {"labels", {{"topology.kubernetes.io/zone", "zone-a"}}}}},
               {"spec", {{"podCIDR", "10.244.1.0/24"}, {"podCIDRs", {"10.244.1.0/24", "fd00:10:244:1::/64"}}}},
               {"status", {{"addresses", json::array()}}}};
  for (const std::string& address : addresses)
    node["status"]["addresses"].push_back({{"type", "InternalIP"}, {"address", address}});
  return node;
}

HttpAnswer http_get(const Namespace& where, std::uint16_t port, const std::string& path) {
  const Inside inside(where);
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return {};
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t size = 0; (size = ::recv(socket.get(), block.data(), block.size(), 0)) > 0;)
    text.append(block.data(), static_cast<std::size_t>(size));
  const auto body = text.find("\r\n\r\n");
  if (text.size() < 12 || body == std::string::npos) return {};
  return {std::atoi(text.c_str() + 9), text.substr(body + 4)};
}

ClusterNode::ClusterNode(ApiServer::Options options, const std::string& authority)
    : inside_(std::in_place, bare.node), server(std::move(options)), authority_(authority) {
  inside_.reset();
  configure();
  write_kubeconfig(server.url());
}

void ClusterNode::configure(const std::string& extra) const {
  files.write(
      "config.yaml",
      "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nhostnameOverride: node-1\n"
      "conntrack: {maxPerCore: 0, min: 0}\nclientConnection: {kubeconfig: " +
          (files.path() / "kubeconfig.yaml").string() + "}\n" +
          (extra.find("detectLocalMode") == std::string::npos ? "clusterCIDR: \"10.244.0.0/16,fd00:10:244::/56\"\n"
                                                              : "") +
          extra);
}

void ClusterNode::write_kubeconfig(const std::string& url, const json& credentials) const {
  json cluster = {{"server", url}};
  if (!authority_.empty())
    cluster["certificate-authority"] = files.write("authority.pem", authority_).filename().string();
  const json config = {{"apiVersion", "v1"},
                       {"kind", "Config"},
                       {"clusters", {{{"name", "here"}, {"cluster", cluster}}}},
                       {"users", {{{"name", "me"}, {"user", credentials}}}},
                       {"contexts", {{{"name", "it"}, {"context", {{"cluster", "here"}, {"user", "me"}}}}}},
                       {"current-context", "it"}};
  files.write("kubeconfig.yaml", config.dump());
}

std::vector<std::string> ClusterNode::command(const std::string& verb, const std::vector<std::string>& more) const {
  std::vector<std::string> all{program(), verb, "--config", (files.path() / "config.yaml").string()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Child ClusterNode::start(const std::vector<std::string>& more) const {
  ProcessOptions options;
  options.namespace_fd = bare.node.fd();
  return Child(command("run", more), options);
}

std::string ClusterNode::fresh_rules(bool ipv6) const {
  const BareNode other;
  const TempFolder objects;
  objects.write("objects.json", server.manifest());
  const auto result = run_in(other.node, command("run", {"--once", "--manifests", objects.path().string()}));
  if (!result.ok()) throw std::runtime_error("a fresh start failed: " + result.describe());
  return saved_rules(other.node, ipv6);
}

bool ClusterNode::is_watched() const {
  return eventually(
      [&] {
        return server.watches(kServicesPath) == 1 && server.watches(kSlicesPath) == 1 &&
               server.watches(kNodesPath) == 1;
      },
      kPatience);
}

bool says(const Child& agent, const std::string& text) {
  return eventually([&] { return agent.err().find(text) != std::string::npos; }, kPatience);
}

}  // namespace kubenatd::test
