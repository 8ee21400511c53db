#include "netlink/host/surroundings.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <utility>

#include "netlink/host/addresses.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/ipsec.h"
#include "netlink/host/ipset.h"
#include "netlink/host/ipvs.h"
#include "netlink/host/local_routes.h"
#include "netlink/host/route_question.h"
#include "netlink/host/routes.h"
#include "netlink/host/switches.h"

namespace kubenatd::netlink::host {
namespace {

using Links = std::map<std::string, Link>;
using rules::walk::Surroundings;

void add_ways(rules::Family family, LiveNode& node) {
  Surroundings& surroundings = node.surroundings;
  if (auto addresses = local_addresses())
    surroundings.local = std::move(*addresses);
  else
    node.not_looked_at.push_back({"the addresses of this node", addresses.error().cause});
  if (auto prefixes = local_prefixes(surroundings.local))
    surroundings.local_prefixes = std::move(*prefixes);
  else
    node.not_looked_at.push_back({"routes of type local", prefixes.error().cause});
  surroundings.ask_local =
      [known = std::make_shared<std::map<rules::Address, std::optional<bool>>>()](const rules::Address& address) {
        const auto [place, is_new] = known->try_emplace(address);
        if (is_new)
          if (const auto local = is_local(address)) place->second = *local;
        return place->second;
      };
  if (auto asker = RouteAsker::open()) {
    const auto shared = std::make_shared<RouteAsker>(std::move(*asker));
    surroundings.ask_route = [shared](const rules::walk::RouteQuestion& question) { return shared->ask(question); };
  } else if (auto routes = main_routes()) {
    for (auto& route : *routes)
      if (route.destination.address.family == family)
        surroundings.routes.push_back({route.destination, std::move(route.interface)});
  }
}

void add_interfaces(rules::Family family, const std::shared_ptr<const Links>& links, Surroundings& surroundings) {
  surroundings.interface_facts = [links](const std::string& name) -> std::optional<Surroundings::Interface> {
    const auto found = links->find(name);
    return found == links->end() ? std::nullopt : std::optional(found->second.facts);
  };
  const bool all = bridges_call_iptables(family);
  surroundings.is_bridge_port_filtered = [links, family, all](const std::string& name) -> std::optional<bool> {
    const auto port = links->find(name);
    if (port == links->end()) return std::nullopt;
    if (port->second.master_kind != "bridge") return false;
    const auto bridge =
        std::ranges::find_if(*links, [&](const auto& one) { return one.second.facts.index == port->second.master; });
    if (all || bridge == links->end()) return all;
    return family == rules::Family::kIpv4 ? bridge->second.calls_iptables : bridge->second.calls_ip6tables;
  };
}

std::int32_t minutes_west() {
  // glibc 2.31 and newer give no time zone of the kernel: asked without them.
  struct timezone zone {};
  struct timeval now {};
  return ::syscall(SYS_gettimeofday, &now, &zone) == 0 ? zone.tz_minuteswest : 0;
}

}  // namespace

std::string arrival_interface(const rules::Address& source) {
  auto asker = RouteAsker::open();
  if (!asker) return {};
  const auto answer = asker->ask({source, std::nullopt, std::nullopt, 0, 0});
  return answer.kind == rules::walk::RouteAnswer::Kind::kForward ? answer.interface : std::string();
}

LiveNode live_surroundings(rules::Family family, const std::string& in_interface) {
  LiveNode node;
  Surroundings& surroundings = node.surroundings;
  add_ways(family, node);
  surroundings.ip_forward = forwards(family, in_interface);
  surroundings.route_localnet = routes_localnet;
  surroundings.rp_filter = reverse_path_filter;
  bool has_ipvs = has_ipvs_services();
  if (auto links = read_links()) {
    // kube-proxy's, with the addresses of all Services; it stays when kube-proxy goes.
    has_ipvs = has_ipvs || links->contains("kube-ipvs0");
    add_interfaces(family, std::make_shared<const Links>(std::move(*links)), surroundings);
  } else {
    node.not_looked_at.push_back({"the interfaces of this node", links.error().cause});
  }
  if (has_ipvs)
    node.not_looked_at.push_back(
        {"ipvs", "its virtual services take packets at the input hook, and kubenatd does not read them"});
  if (const auto policies = has_ipsec_policies()) surroundings.ipsec = *policies;
  if (auto asker = IpsetAsker::open()) {
    const auto shared = std::make_shared<IpsetAsker>(std::move(*asker));
    surroundings.ipset_has = [shared](const rules::walk::InIpset& set, const rules::walk::Packet& now) {
      return shared->has(set, now);
    };
  }
  surroundings.programs_on = programs_on;
  surroundings.now = ::time(nullptr);
  surroundings.minutes_west = minutes_west();
  if (!in_interface.empty()) {
    auto programs = programs_on(in_interface, false);
    std::move(programs.begin(), programs.end(), std::back_inserter(node.not_looked_at));
  }
  return node;
}

}  // namespace kubenatd::netlink::host
