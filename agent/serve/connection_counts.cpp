#include "agent/serve/connection_counts.h"

#include <linux/netfilter/nf_tables.h>

#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "netlink/iptables/reader.h"
#include "netlink/nftables/codec.h"
#include "rules/iptables/names.h"
#include "rules/nftables/element.h"
#include "rules/nftables/emit.h"

namespace kubenatd::agent::serve {
namespace {

using rules::nftables::SetId;

constexpr std::string_view kEndpointPrefix = "KUBE-SEP-";
constexpr std::array kEndpointMaps{SetId::kEndpoints, SetId::kLocalEndpoints, SetId::kNodePortEndpoints,
                                   SetId::kNodePortLocalEndpoints};

/// Ports by what the comment of an element says, which may be cut off.
using ByComment = std::map<CountedPort, CountedPort>;

/// Adds what the elements of a map have counted; false when the map cannot be read.
bool read_map(netlink::NfTables& kernel, rules::Family family, SetId id, const ByComment& ports,
              std::map<CountedPort, Packets>& counts) {
  const rules::nftables::SetRef set{id, 0};
  // The comment of one element says whose the frontend is, and thereby all elements of that.
  struct Frontend {
    const CountedPort* owner = nullptr;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> packets;  ///< as in Packets
  };
  std::unordered_map<std::string, Frontend> frontends;
  const auto visit = [&](const netlink::nftables::LiveElement& element) {
    if (element.packets == 0 && element.comment.empty()) return;
    const std::string_view key = rules::nftables::endpoint_frontend(element.key);
    Frontend& frontend = frontends[std::string(key)];
    if (element.packets != 0)
      frontend.packets.emplace_back(std::hash<rules::nftables::ElementKey>()(element.key), element.packets);
    const auto protocol = rules::nftables::endpoint_protocol(key);
    if (element.comment.empty() || !protocol) return;
    const auto port = ports.find({std::string(element.comment), *protocol, family});
    if (port != ports.end()) frontend.owner = &port->second;
  };
  // Half a map would be taken for elements that went, and the next look would count them again.
  const auto read = kernel.dump_objects(
      family, rules::nftables::kTable, NFT_MSG_GETSETELEM, name_of(set),
      [&](std::string_view attributes) { netlink::nftables::read_nft_elements(attributes, set, visit); },
      [&] { frontends.clear(); });
  if (!read) return false;
  for (const auto& [key, frontend] : frontends)
    if (frontend.owner != nullptr) counts[*frontend.owner].insert(frontend.packets.begin(), frontend.packets.end());
  return true;
}

}  // namespace

std::optional<Packets> endpoint_packets(netlink::NfTables& kernel, rules::Family family,
                                        const std::string& service_port_name, rules::Protocol protocol) {
  const rules::iptables::ServicePortNames names(service_port_name, protocol);
  Packets packets;
  for (const rules::ChainName& chain : {names.cluster, names.local}) {
    Packets found;
    const auto visit = [&](const netlink::iptables::LiveRule& rule) {
      if (rules::jump_target(rule.rule).starts_with(kEndpointPrefix)) found[rule.handle] = rule.packets;
    };
    // Half a chain would be taken for rules that went, and the next look would count them again.
    if (!netlink::iptables::dump_rules(kernel, family, rules::Table::kNat, chain.view(), visit, [&] { found.clear(); }))
      return std::nullopt;
    packets.merge(found);
  }
  return packets;
}

std::uint64_t packets_since(const Packets& before, const Packets& now) {
  std::uint64_t count = 0;
  for (const auto& [counter, packets] : now) {
    const auto known = before.find(counter);
    const bool goes_on = known != before.end() && known->second <= packets;  // else: new, or set to zero
    count += goes_on ? packets - known->second : packets;
  }
  return count;
}

std::map<CountedPort, Packets> read_counts(netlink::NfTables& kernel, config::Config::Mode mode,
                                           const std::set<CountedPort>& ports) {
  std::map<CountedPort, Packets> counts;
  if (mode == config::Config::Mode::kIptables) {
    for (const CountedPort& port : ports)
      if (auto packets = endpoint_packets(kernel, port.family, port.name, port.protocol))
        counts.emplace(port, std::move(*packets));
    return counts;
  }
  ByComment by_comment;
  for (const CountedPort& port : ports)
    by_comment.try_emplace({port.name.substr(0, rules::nftables::kMaxComment), port.protocol, port.family}, port);
  for (const rules::Family family : rules::kFamilies) {
    std::map<CountedPort, Packets> found;
    bool complete = true;
    for (const SetId id : kEndpointMaps) complete = complete && read_map(kernel, family, id, by_comment, found);
    if (!complete) continue;
    // One without an element has had no connection.
    for (const CountedPort& port : ports)
      if (port.family == family) found.try_emplace(port);
    counts.merge(found);
  }
  return counts;
}

}  // namespace kubenatd::agent::serve
