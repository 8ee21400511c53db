#include "test/soak/targets.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "test/soak/objects.h"

namespace kubenatd::soak {

using nlohmann::json;
using test::Transport;

namespace {

constexpr const char* kSecondAddress = "192.168.77.50";
constexpr int kFirstNodePort = 32000;

const std::map<std::string, std::pair<std::string, std::string>> kPods{{"pod-a", {test::kPodA, test::kPodA6}},
                                                                       {"pod-b", {test::kPodB, test::kPodB6}},
                                                                       {"pod-c", {test::kPodC, test::kPodC6}}};

struct From {
  const char* name;
  const test::Namespace* where;
};

Way* add_way(Ways& ways, const std::string& kind, const std::string& leads_to, const From& from, Transport transport,
             const std::string& address, int port, const std::shared_ptr<Behind>& behind) {
  auto way = std::make_unique<Way>();
  way->kind = fmt::format("{} {} {}", kind, transport == Transport::kTcp ? "TCP" : "UDP",
                          address.find(':') == std::string::npos ? "IPv4" : "IPv6");
  way->what = fmt::format("{} {} port {} of {} from {}", way->kind, address, port, leads_to, from.name);
  way->from = from.where;
  way->transport = transport;
  way->address = address;
  way->port = static_cast<std::uint16_t>(port);
  way->heard_on = transport == Transport::kTcp ? 8080 : 9090;
  way->behind = behind;
  ways.push_back(std::move(way));
  return ways.back().get();
}

int node_port(unsigned number, Transport transport) {
  return kFirstNodePort + static_cast<int>(2 * number) + (transport == Transport::kTcp ? 0 : 1);
}

int service_port(Transport transport) {
  return transport == Transport::kTcp ? 80 : 53;
}

void offer(const std::vector<Way*>& ways) {
  for (Way* way : ways) way->offer();
}

constexpr Transport kTransports[] = {Transport::kTcp, Transport::kUdp};

}  // namespace

Target::Target(test::ApiServer& server, const test::Lab& lab, unsigned number, Ways& ways)
    : server_(server), name_(fmt::format("target{}", number)), number_(number) {
  const From client{"the client", &lab.client};
  const From pod{"a pod", &lab.pod_a};
  const From node{"the node", &lab.node};
  for (const Transport transport : kTransports) {
    for (const bool ipv6 : {false, true}) {
      const std::string cluster_ip =
          ipv6 ? fmt::format("fd00:10:96::fa{:02x}", number) : fmt::format("10.96.250.{}", number + 1);
      const std::string balancer =
          ipv6 ? fmt::format("2001:db8:113::{:x}", number + 1) : fmt::format("203.0.113.{}", 100 + number);
      for (const From& from : {client, pod, node})
        inside_.push_back(
            add_way(ways, "ClusterIP", name_, from, transport, cluster_ip, service_port(transport), behind_));
      for (const From& from : {client, pod})
        outside_.push_back(add_way(ways, "NodePort", name_, from, transport, ipv6 ? test::kNode6 : test::kNode,
                                   node_port(number, transport), behind_));
      outside_.push_back(
          add_way(ways, "load balancer", name_, client, transport, balancer, service_port(transport), behind_));
    }
  }
  put_slices({"pod-a", "pod-b"});
  put_service();
  offer(inside_);
  offer(outside_);
}

void Target::put_service() {
  json object = {{"kind", "Service"}, {"apiVersion", "v1"}, {"metadata", {{"name", name_}, {"namespace", kSpace}}}};
  json& spec = object["spec"];
  const std::string four = fmt::format("10.96.250.{}", number_ + 1);
  const std::string six = fmt::format("fd00:10:96::fa{:02x}", number_);
  spec = {{"type", balanced_ ? "LoadBalancer" : "ClusterIP"}, {"clusterIP", four}};
  spec["clusterIPs"] = {four, six};
  spec["ipFamilies"] = {"IPv4", "IPv6"};
  spec["internalTrafficPolicy"] = internal_local_ ? "Local" : "Cluster";
  for (const Transport transport : kTransports) {
    const bool tcp = transport == Transport::kTcp;
    json port = {{"name", tcp ? "http" : "dns"},
                 {"port", service_port(transport)},
                 {"targetPort", tcp ? 8080 : 9090},
                 {"protocol", tcp ? "TCP" : "UDP"}};
    if (balanced_) port["nodePort"] = node_port(number_, transport);
    spec["ports"].push_back(port);
  }
  if (third_port_) spec["ports"].push_back({{"name", "more"}, {"port", 8443}, {"protocol", "TCP"}});
  if (sticky_) {
    spec["sessionAffinity"] = "ClientIP";
    spec["sessionAffinityConfig"] = {{"clientIP", {{"timeoutSeconds", 2}}}};
  }
  if (balanced_) {
    spec["externalTrafficPolicy"] = external_local_ ? "Local" : "Cluster";
    if (ranges_) spec["loadBalancerSourceRanges"] = {"192.168.77.0/24", "fd00:77::/64"};
    json ingress = json::array();
    ingress.push_back({{"ip", fmt::format("203.0.113.{}", 100 + number_)}});
    ingress.push_back({{"ip", fmt::format("2001:db8:113::{:x}", number_ + 1)}});
    object["status"]["loadBalancer"]["ingress"] = ingress;
  }
  server_.put(object);
}

void Target::put_slices(const std::set<std::string>& pods) {
  std::set<std::string> both = behind_->pods();
  both.insert(pods.begin(), pods.end());
  behind_->set(both, Clock::now());
  for (const bool ipv6 : {false, true}) {
    std::vector<std::string> addresses;
    for (const std::string& pod : pods) addresses.push_back(ipv6 ? kPods.at(pod).second : kPods.at(pod).first);
    server_.put(slice(name_, ipv6, addresses));
  }
  behind_->set(pods, Clock::now());
}

void Target::change_pods(Dice& dice) {
  // One of this node always stays, as policies may be Local.
  std::set<std::string> pods;
  pods.insert(dice.one_in(2) ? "pod-a" : "pod-b");
  for (const auto& [pod, addresses] : kPods)
    if (dice.one_in(3)) pods.insert(pod);
  put_slices(pods);
}

void Target::withdraw(std::vector<Way*> ways, std::function<void()> then) {
  for (Way* way : ways) way->withdraw();
  draining_ = std::move(ways);
  then_ = std::move(then);
}

void Target::go_on() {
  if (!then_ || !drained(draining_)) return;
  std::exchange(then_, nullptr)();
}

void Target::change(Dice& dice) {
  if (then_) return;
  if (!there_) {
    there_ = true;
    put_slices(behind_->pods());
    put_service();
    offer(inside_);
    if (balanced_) offer(outside_);
    return;
  }
  const unsigned kind = dice.below(20);
  if (kind < 10) return change_pods(dice);
  switch (kind) {
    case 10: external_local_ = !external_local_; break;
    case 11: internal_local_ = !internal_local_; break;
    case 12: sticky_ = !sticky_; break;
    case 13: ranges_ = !ranges_; break;
    case 14: third_port_ = !third_port_; break;
    case 15:
    case 16:
      if (balanced_)
        return withdraw(outside_, [this] {
          balanced_ = false;
          put_service();
        });
      balanced_ = true;
      put_service();
      return offer(outside_);
    case 17: {
      std::vector<Way*> all = inside_;
      all.insert(all.end(), outside_.begin(), outside_.end());
      const bool slices_too = dice.one_in(2);
      return withdraw(all, [this, slices_too] {
        there_ = false;
        server_.remove(test::kServicesPath, kSpace, name_);
        if (!slices_too) return;
        for (const bool ipv6 : {false, true}) server_.remove(test::kSlicesPath, kSpace, slice_name(name_, ipv6));
      });
    }
    default: return change_pods(dice);
  }
  put_service();
}

HostPortPod::HostPortPod(test::ApiServer& server, const test::Lab& lab, const std::string& pod, int port, Ways& ways)
    : server_(server), pod_(pod), port_(port) {
  const auto behind = std::make_shared<Behind>();
  behind->set({pod}, Clock::now());
  for (const Transport transport : kTransports)
    for (const bool ipv6 : {false, true})
      for (const From& from : {From{"the client", &lab.client}, From{"the node", &lab.node}})
        ways_.push_back(
            add_way(ways, "hostPort", pod, from, transport, ipv6 ? test::kNode6 : test::kNode, port, behind));
  put();
}

void HostPortPod::put() {
  server_.put(pod("with-host-port-" + pod_, {kPods.at(pod_).first, kPods.at(pod_).second}, port_));
  offer(ways_);
}

void HostPortPod::change() {
  if (draining_) return;
  if (!there_) {
    there_ = true;
    return put();
  }
  for (Way* way : ways_) way->withdraw();
  draining_ = true;
}

void HostPortPod::go_on() {
  if (!draining_ || !drained(ways_)) return;
  draining_ = false;
  there_ = false;
  server_.remove(test::kPodsPath, kSpace, "with-host-port-" + pod_);
}

SecondAddress::SecondAddress(test::ApiServer& server, const test::Lab& lab, Ways& ways) : server_(server), lab_(lab) {
  const auto behind = std::make_shared<Behind>();
  behind->set({"pod-b"}, Clock::now());
  json service = {{"kind", "Service"},
                  {"apiVersion", "v1"},
                  {"metadata", {{"name", "second"}, {"namespace", kSpace}}},
                  {"spec", {{"type", "NodePort"}, {"clusterIP", "10.96.250.200"}}}};
  service["spec"]["clusterIPs"] = json::array({"10.96.250.200"});
  service["spec"]["ipFamilies"] = json::array({"IPv4"});
  for (const Transport transport : kTransports) {
    const bool tcp = transport == Transport::kTcp;
    service["spec"]["ports"].push_back({{"name", tcp ? "http" : "dns"},
                                        {"port", service_port(transport)},
                                        {"protocol", tcp ? "TCP" : "UDP"},
                                        {"nodePort", node_port(300, transport)}});
    ways_.push_back(add_way(ways, "NodePort", "second", From{"the client", &lab.client}, transport, kSecondAddress,
                            node_port(300, transport), behind));
    ways_.back()->lasts = false;
  }
  server_.put(service);
  server_.put(slice("second", false, {test::kPodB}));
  server_.put(node(zone_, {}));
}

void SecondAddress::put(bool there) {
  test::must_run_in(lab_.node,
                    {"ip", "addr", there ? "add" : "del", fmt::format("{}/24", kSecondAddress), "dev", "eth0"});
  there_ = there;
  server_.put(node(zone_, there ? std::vector<std::string>{kSecondAddress} : std::vector<std::string>{}));
}

void SecondAddress::change(Dice& dice) {
  if (draining_) return;
  if (dice.one_in(3)) {
    zone_ = zone_ == "zone-a" ? "zone-b" : "zone-a";
    server_.put(node(zone_, there_ ? std::vector<std::string>{kSecondAddress} : std::vector<std::string>{}));
    return;
  }
  if (!there_) {
    put(true);
    return offer(ways_);
  }
  for (Way* way : ways_) way->withdraw();
  draining_ = true;
}

void SecondAddress::go_on() {
  if (!draining_ || !drained(ways_)) return;
  draining_ = false;
  put(false);
}

void SecondAddress::end() {
  for (Way* way : ways_) way->withdraw();
  while (!drained(ways_)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  draining_ = false;
  if (there_) put(false);
}

}  // namespace kubenatd::soak
