#include "agent/config/environment.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "agent/base/printable.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

using rules::Address;
using rules::DetectByInterface;
using rules::DetectByPrefix;
using rules::Family;
using rules::LocalDetector;
using rules::Prefix;

std::optional<Prefix> first_of(const std::vector<Prefix>& prefixes, Family family) {
  const auto found = std::ranges::find_if(prefixes, [&](const Prefix& p) { return p.address.family == family; });
  return found == prefixes.end() ? std::nullopt : std::optional(*found);
}

std::optional<LocalDetector> local_detector(const Config& config, const std::optional<objects::Node>& node,
                                            Family family) {
  std::optional<Prefix> prefix;
  switch (config.detect_local) {
    case Config::DetectLocal::kBridgeInterface: return DetectByInterface{config.bridge_interface, false};
    case Config::DetectLocal::kInterfaceNamePrefix: return DetectByInterface{config.interface_name_prefix, true};
    case Config::DetectLocal::kClusterCidr: prefix = first_of(config.cluster_cidrs, family); break;
    case Config::DetectLocal::kNodeCidr:
      if (node) prefix = first_of(node->pod_cidrs, family);
      break;
  }
  if (!prefix) return std::nullopt;
  return DetectByPrefix{*prefix};
}

std::optional<Address> node_address(const Config& config, const std::optional<objects::Node>& node, Family family) {
  const std::optional<Address> bind = Address::parse(config.bind_address);
  if (bind && bind->family == family && !bind->is_unspecified()) return bind;
  if (!node) return std::nullopt;
  const auto found = std::ranges::find_if(node->addresses, [&](const Address& a) { return a.family == family; });
  return found == node->addresses.end() ? std::nullopt : std::optional(*found);
}

/// Blocks in which NodePorts of the family answer; none: everywhere.
std::optional<std::vector<Prefix>> node_port_blocks(const Config& config, const std::optional<Address>& node_address,
                                                    Family family) {
  std::vector<Prefix> blocks;
  if (config.node_port_addresses_primary) {
    // A loopback address is only a stand-in for an address that is not known.
    if (node_address && !node_address->is_loopback()) blocks.push_back(Prefix::host(*node_address));
  }
  std::ranges::copy_if(config.node_port_addresses, std::back_inserter(blocks),
                       [&](const Prefix& p) { return p.address.family == family; });
  const bool match_all = std::ranges::any_of(blocks, [](const Prefix& p) { return p.length == 0; });
  if (blocks.empty() || match_all) return std::nullopt;
  return blocks;
}

/// Whether a part of 127.0.0.0/8 is in the block.
bool overlaps_loopback(const Prefix& block) {
  static const Address kFirst = {Family::kIpv4, {127}};
  return block.address.is_loopback() || block.contains(kFirst);
}

}  // namespace

rules::Result<std::string> node_name(const Config& config, const std::optional<std::string>& flag) {
  std::string name = flag.value_or("");
  if (name.empty()) name = config.hostname_override;
  if (name.empty()) {
    utsname system{};
    if (::uname(&system) != 0) {
      return rules::fail("node name", "read the host's name", std::generic_category().message(errno), errno);
    }
    name = static_cast<const char*>(system.nodename);
  }
  name = rules::lower_case(base::trimmed(name));
  if (name.empty()) {
    return rules::fail("node name", "choose", "it is empty: give --hostname-override or hostnameOverride a name",
                       EINVAL);
  }
  return name;
}

rules::NodeOptions node_options(const Config& config, const Environment& environment,
                                const std::optional<objects::Node>& node, Family family) {
  rules::NodeOptions options;
  options.family = family;
  options.masquerade_mark = std::uint32_t{1} << static_cast<unsigned>(config.masquerade_bit);
  options.masquerade_all = config.masquerade_all;
  options.local_detector = local_detector(config, node, family);
  options.node_address = node_address(config, node, family);

  const std::optional<std::vector<Prefix>> blocks = node_port_blocks(config, options.node_address, family);
  options.localhost_node_ports = family == Family::kIpv4 && config.localhost_node_ports &&
                                 (!blocks || std::ranges::any_of(*blocks, overlaps_loopback));
  if (!blocks) return options;
  std::vector<Address>& chosen = options.node_port_addresses.emplace();
  for (const Address& address : environment.local_addresses) {
    if (address.family != family || (address.is_loopback() && !options.localhost_node_ports)) continue;
    if (std::ranges::any_of(*blocks, [&](const Prefix& p) { return p.contains(address); })) chosen.push_back(address);
  }
  std::ranges::sort(chosen);
  const auto doubles = std::ranges::unique(chosen);
  chosen.erase(doubles.begin(), doubles.end());
  return options;
}

}  // namespace kubenatd::agent::config
