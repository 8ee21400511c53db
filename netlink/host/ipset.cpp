#include "netlink/host/ipset.h"

#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"

namespace kubenatd::netlink::host {
namespace {

using rules::walk::Packet;

/// All kernels understand 6; the look-up by number came with 7 (4.20).
constexpr std::uint8_t kProtocol = IPSET_PROTOCOL_MIN;
constexpr std::uint8_t kProtocolOfNumbers = 7;
constexpr const char* kObject = "sets of ipset";

KernelRequest request_of(std::uint16_t command, std::uint8_t protocol, std::uint8_t family, std::uint16_t flags = 0) {
  const nfgenmsg general{family, NFNETLINK_V0, 0};
  KernelRequest request(static_cast<std::uint16_t>(NFNL_SUBSYS_IPSET << 8 | command), flags, general);
  request.number(IPSET_ATTR_PROTOCOL, protocol);
  return request;
}

/// A part of an element, and what it needs of the packet.
enum class PartKind : std::uint8_t { kAddress, kPort, kInterface, kUnknown };

std::vector<PartKind> parts_of(std::string_view type) {
  const auto colon = type.find(':');
  if (colon == std::string_view::npos) return {};
  type.remove_prefix(colon + 1);
  std::vector<PartKind> parts;
  while (!type.empty()) {
    const auto comma = type.find(',');
    const std::string_view word = type.substr(0, comma);
    if (word == "ip" || word == "net")
      parts.push_back(PartKind::kAddress);
    else if (word == "port")
      parts.push_back(PartKind::kPort);
    else if (word == "iface")
      parts.push_back(PartKind::kInterface);
    else
      parts.push_back(PartKind::kUnknown);
    type.remove_prefix(comma == std::string_view::npos ? type.size() : comma + 1);
  }
  return parts;
}

void put_address(KernelRequest& request, std::uint16_t type, const rules::Address& address) {
  const auto octets = address.octets();
  const std::uint16_t family = address.family == rules::Family::kIpv4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;
  request.open(type);
  request.attribute(family | NLA_F_NET_BYTEORDER, {reinterpret_cast<const char*>(octets.data()), octets.size()});
  request.close();
}

/// The element that the packet is in a set with these parts; false: it cannot be told.
bool put_element(KernelRequest& request, const std::vector<PartKind>& parts, const std::vector<bool>& source,
                 const Packet& packet) {
  std::uint16_t address_attribute = IPSET_ATTR_IP;
  bool has_address = false;
  bool has_port = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool of_source = source[i];
    switch (parts[i]) {
      case PartKind::kAddress:
        put_address(request, address_attribute, of_source ? packet.source : packet.destination);
        address_attribute = IPSET_ATTR_IP2;
        has_address = true;
        break;
      case PartKind::kPort: {
        if (of_source && !packet.source_port_known) return false;
        const std::uint16_t port = of_source ? packet.source_port : packet.destination_port;
        request.number(IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, static_cast<std::uint16_t>(htobe16(port)));
        has_port = true;
        break;
      }
      case PartKind::kInterface:
        if (!of_source || packet.in_interface.empty() || packet.origin != Packet::Origin::kArriving) return false;
        request.text(IPSET_ATTR_IFACE, packet.in_interface);
        break;
      case PartKind::kUnknown: return false;
    }
  }
  // bitmap:port has ports of any protocol.
  if (has_port && has_address) request.number(IPSET_ATTR_PROTO, static_cast<std::uint8_t>(packet.protocol));
  return true;
}

}  // namespace

rules::Result<IpsetAsker> IpsetAsker::open() {
  auto talk = KernelTalk::open(NETLINK_NETFILTER, kObject);
  if (!talk) return std::unexpected(std::move(talk.error()));
  return IpsetAsker(std::move(*talk));
}

std::optional<std::string> IpsetAsker::name_of(const std::string& number) {
  std::uint16_t index = 0;
  const char* end = number.data() + number.size();
  const auto [at, failure] = std::from_chars(number.data() + 1, end, index);
  if (failure != std::errc() || at != end) return std::nullopt;
  KernelRequest request = request_of(IPSET_CMD_GET_BYINDEX, kProtocolOfNumbers, AF_UNSPEC);
  request.number(IPSET_ATTR_INDEX | NLA_F_NET_BYTEORDER, static_cast<std::uint16_t>(htobe16(index)));
  std::string name;
  const auto read = [&](const Message& message) {
    name = find_attribute(message.attributes(), IPSET_ATTR_SETNAME).text();
  };
  if (!talk_.ask(std::move(request), kObject, read) || name.empty()) return std::nullopt;
  return name;
}

std::optional<IpsetAsker::Kind> IpsetAsker::kind_of(const std::string& name) {
  const auto [known, is_new] = kinds_.try_emplace(name);
  if (!is_new) return known->second;
  Kind kind;
  if (name.starts_with('#')) {
    const auto found = name_of(name);
    if (!found) return std::nullopt;
    kind.name = *found;
  } else {
    kind.name = name;
  }
  if (kind.name.size() >= IPSET_MAXNAMELEN) return std::nullopt;
  KernelRequest request = request_of(IPSET_CMD_HEADER, kProtocol, AF_UNSPEC);
  request.text(IPSET_ATTR_SETNAME, kind.name);
  const auto read = [&](const Message& message) {
    kind.type = find_attribute(message.attributes(), IPSET_ATTR_TYPENAME).text();
    const auto family = find_attribute(message.attributes(), IPSET_ATTR_FAMILY).payload;
    if (!family.empty()) kind.family = static_cast<std::uint8_t>(family[0]);
  };
  if (talk_.ask(std::move(request), kObject, read) && !kind.type.empty()) known->second = std::move(kind);
  return known->second;
}

std::optional<std::vector<std::string>> IpsetAsker::members_of(const std::string& list) {
  std::vector<std::string> members;
  KernelRequest request = request_of(IPSET_CMD_LIST, kProtocol, AF_UNSPEC, NLM_F_DUMP);
  request.text(IPSET_ATTR_SETNAME, list);
  const auto read = [&](const Message& message) {
    AttributeReader elements(find_attribute(message.attributes(), IPSET_ATTR_ADT).payload);
    for (Attribute element; elements.next(element);)
      if (element.type == IPSET_ATTR_DATA)
        members.emplace_back(find_attribute(element.payload, IPSET_ATTR_NAME).text());
  };
  if (!talk_.ask(std::move(request), kObject, read, [&] { members.clear(); })) return std::nullopt;
  return members;
}

std::optional<bool> IpsetAsker::is_in_list(const Kind& list, const std::vector<bool>& source, const Packet& packet) {
  const auto members = members_of(list.name);
  if (!members) return std::nullopt;
  bool known = true;
  for (const std::string& member : *members) {
    const auto kind = kind_of(member);
    // A list in a list cannot be made (IPSET_ERR_LOOP).
    if (!kind || kind->type == "list:set") {
      known = false;
      continue;
    }
    const auto found = is_in(*kind, source, packet);
    if (found == true) return true;
    if (!found) known = false;
  }
  return known ? std::optional(false) : std::nullopt;
}

std::optional<bool> IpsetAsker::is_in(const Kind& kind, const std::vector<bool>& source, const Packet& packet) {
  const std::uint8_t family = number_of(packet.destination.family);
  if (kind.family != AF_UNSPEC && kind.family != family) return false;
  const auto parts = parts_of(kind.type);
  if (parts.empty()) return std::nullopt;
  if (source.size() < parts.size()) return false;
  KernelRequest request = request_of(IPSET_CMD_TEST, kProtocol, family);
  request.text(IPSET_ATTR_SETNAME, kind.name);
  request.open(IPSET_ATTR_DATA);
  if (!put_element(request, parts, source, packet)) return std::nullopt;
  request.close();
  const auto asked = talk_.ask(std::move(request), kObject, [](const Message&) {});
  if (asked) return true;
  // "Not in it", and, of a bitmap, "outside of what it can hold".
  const int code = asked.error().code;
  if (code == IPSET_ERR_EXIST || (code == IPSET_ERR_TYPE_SPECIFIC && kind.type.starts_with("bitmap:"))) return false;
  return std::nullopt;
}

std::optional<bool> IpsetAsker::has(const rules::walk::InIpset& set, const Packet& packet) {
  const auto kind = kind_of(set.name);
  if (!kind) return std::nullopt;
  return kind->type == "list:set" ? is_in_list(*kind, set.source, packet) : is_in(*kind, set.source, packet);
}

}  // namespace kubenatd::netlink::host
