#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of the node: sockets, interfaces, routes, IPsec.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;

bool read_owner(const XtInfo& info, XtWriter& out) {
  const auto owner = info.as<layout::Owner>();
  if (!owner) return false;
  constexpr std::uint8_t kUser = 1, kGroup = 2, kSocket = 4, kOtherGroups = 8;
  const auto asks = [&owner](std::uint8_t bit) { return (owner->match & bit) != 0; };
  const auto negated = [&owner](std::uint8_t bit) { return (owner->invert & bit) != 0; };
  if (asks(kSocket)) {
    out.say(negated(kSocket), "--socket-exists");
    out.add(xt::socket_exists(negated(kSocket)));
  }
  if (asks(kUser)) {
    out.say(negated(kUser), "--uid-owner {}", range_text(owner->user_first, owner->user_last, '-'));
    out.add(xt::owner_user(owner->user_first, owner->user_last, negated(kUser)));
  }
  if (asks(kGroup)) {
    out.say(negated(kGroup), "--gid-owner {}", range_text(owner->group_first, owner->group_last, '-'));
    if (!asks(kOtherGroups)) out.add(xt::owner_group(owner->group_first, owner->group_last, negated(kGroup)));
  }
  if (asks(kOtherGroups)) {
    out.say(negated(kOtherGroups), "--suppl-groups");
    out.unjudged();
  }
  return true;
}

void cgroup_path(XtWriter& out, std::string_view path, bool negate) {
  out.say(negate, "--path");
  out.quoted(path);
  out.add(xt::cgroup_path("-m cgroup --path " + std::string(path), negate));
}

void cgroup_class(XtWriter& out, std::uint32_t number, bool negate) {
  out.say(negate, "--cgroup {}", number);
  out.add(xt::cgroup_class(number, negate));
}

bool read_cgroup(const XtInfo& info, XtWriter& out) {
  if (info.revision == 0) {
    const auto cgroup = info.as<layout::Number>();
    if (!cgroup) return false;
    cgroup_class(out, cgroup->value, cgroup->invert != 0);
    return true;
  }
  if (info.revision == 1) {
    const auto cgroup = info.as<layout::Cgroup1>();
    if (!cgroup) return false;
    if (cgroup->has_path != 0) cgroup_path(out, text_of(cgroup->path), cgroup->invert_path != 0);
    if (cgroup->has_class != 0) cgroup_class(out, cgroup->class_id, cgroup->invert_class != 0);
    return true;
  }
  const auto cgroup = info.as<layout::Cgroup2>();
  if (!cgroup) return false;
  if (cgroup->has_path != 0) cgroup_path(out, text_of(cgroup->path), cgroup->invert_path != 0);
  if (cgroup->has_class != 0) {
    std::uint32_t number = 0;
    std::memcpy(&number, cgroup->path.data(), sizeof number);
    cgroup_class(out, number, cgroup->invert_class != 0);
  }
  return true;
}

bool read_physdev(const XtInfo& info, XtWriter& out) {
  const auto physdev = info.as<layout::Physdev>();
  if (!physdev) return false;
  constexpr std::uint8_t kIn = 0x01, kOut = 0x02, kBridged = 0x04, kIsIn = 0x08, kIsOut = 0x10;
  const auto option = [&](std::uint8_t bit, std::string_view name, std::string_view value) {
    if ((physdev->options & bit) == 0) return;
    const bool negate = (physdev->invert & bit) != 0;
    const std::string words = fmt::format("--physdev-{}{}{}", name, value.empty() ? "" : " ", value);
    out.say(negate, "{}", words);
    out.add(xt::bridge_port("-m physdev " + words, negate));
  };
  option(kIsIn, "is-in", {});
  option(kIn, "in", text_of(physdev->in));
  option(kIsOut, "is-out", {});
  option(kOut, "out", text_of(physdev->out));
  option(kBridged, "is-bridged", {});
  return true;
}

std::string ipsec_protocol(std::uint8_t number) {
  switch (number) {
    case 50: return "esp";
    case 51: return "ah";
    case 108: return "ipcomp";
    default: return std::to_string(number);
  }
}

/// Says what is asked of one transformation; whether anything is.
bool read_policy_element(const XtInfo& info, const layout::Policy::Element& element, XtWriter& out) {
  constexpr std::uint8_t kSource = 1, kDestination = 2, kProtocol = 4, kMode = 8, kSpi = 16, kRequest = 32;
  const auto asks = [&element](std::uint8_t bit) { return (element.match & bit) != 0; };
  const auto negated = [&element](std::uint8_t bit) { return (element.invert & bit) != 0; };
  const auto tunnel = [&](std::uint8_t bit, std::string_view end, const layout::Address& address,
                          const layout::Address& mask) {
    if (asks(bit))
      out.say(negated(bit), "--tunnel-{} {}{}", end, info.address(address).to_string(), mask_text(info.address(mask)));
  };
  if (asks(kRequest)) out.say(negated(kRequest), "--reqid {}", element.request);
  if (asks(kSpi)) out.say(negated(kSpi), "--spi {:#x}", element.spi);
  if (asks(kProtocol)) out.say(negated(kProtocol), "--proto {}", ipsec_protocol(element.protocol));
  if (asks(kMode)) out.say(negated(kMode), "--mode {}", element.mode == 0 ? "transport" : "tunnel");
  tunnel(kDestination, "dst", element.destination, element.destination_mask);
  tunnel(kSource, "src", element.source, element.source_mask);
  return element.match != 0;
}

bool read_policy(const XtInfo& info, XtWriter& out) {
  const auto policy = info.as<layout::Policy>();
  if (!policy || policy->count > policy->elements.size()) return false;
  constexpr std::uint16_t kIn = 1, kOut = 2, kNone = 4, kStrict = 8;
  if ((policy->flags & (kIn | kOut)) == 0) return false;
  const bool is_in = (policy->flags & kIn) != 0, none = (policy->flags & kNone) != 0;
  out.say(false, "--dir {} --pol {}", is_in ? "in" : "out", none ? "none" : "ipsec");
  out.add(xt::ipsec(is_in, none));
  if (none) return true;
  bool more = (policy->flags & kStrict) != 0;
  if (more) out.say(false, "--strict");
  for (std::size_t i = 0; i < policy->count; ++i) {
    if (i != 0) out.say(false, "--next");
    if (read_policy_element(info, policy->elements[i], out)) more = true;
  }
  if (more) out.unjudged();  // of a packet with IPsec, which transformations it has
  return true;
}

bool read_rpfilter(const XtInfo& info, XtWriter& out) {
  const auto filter = info.as<layout::OneByte>();
  if (!filter) return false;
  const bool loose = (filter->value & 1U) != 0, mark = (filter->value & 2U) != 0, local = (filter->value & 4U) != 0,
             invert = (filter->value & 8U) != 0;
  if (loose) out.say(false, "--loose");
  if (mark) out.say(false, "--validmark");
  if (local) out.say(false, "--accept-local");
  if (invert) out.say(false, "--invert");
  out.add(xt::way_back(loose, mark, local, invert, info.family));
  return true;
}

bool read_socket(const XtInfo& info, XtWriter& out) {
  std::uint8_t flags = 0;
  if (info.revision > 0) {
    const auto socket = info.as<layout::OneByte>();
    if (!socket) return false;
    flags = socket->value;
  } else if (!info.bytes.empty()) {
    return false;
  }
  const bool transparent = (flags & 1U) != 0, any_address = (flags & 2U) != 0, restore = (flags & 4U) != 0;
  out.add(xt::socket_found(any_address));
  if (transparent) {
    out.say(false, "--transparent");
    out.add(xt::socket_transparent());
  }
  if (any_address) out.say(false, "--nowildcard");
  if (restore) {
    out.say(false, "--restore-skmark");
    out.add(xt::mark_of_socket());
  }
  return true;
}

bool read_devgroup(const XtInfo& info, XtWriter& out) {
  const auto group = info.as<layout::DevGroup>();
  if (!group) return false;
  if ((group->flags & 1U) != 0) {
    const bool negate = (group->flags & 2U) != 0;
    out.say(negate, "--src-group {}", masked_text(group->source, group->source_mask));
    out.add(xt::interface_group(true, group->source, group->source_mask, negate));
  }
  if ((group->flags & 4U) != 0) {
    const bool negate = (group->flags & 8U) != 0;
    out.say(negate, "--dst-group {}", masked_text(group->destination, group->destination_mask));
    out.add(xt::interface_group(false, group->destination, group->destination_mask, negate));
  }
  return true;
}

bool read_cpu(const XtInfo& info, XtWriter& out) {
  const auto cpu = info.as<layout::Number>();
  if (!cpu) return false;
  out.say(cpu->invert != 0, "--cpu {}", cpu->value);
  out.add(xt::processor(cpu->value, cpu->invert != 0));
  return true;
}

bool read_realm(const XtInfo& info, XtWriter& out) {
  const auto realm = info.as<layout::Realm>();
  if (!realm) return false;
  out.say(realm->invert != 0, "--realm {}", masked_text(realm->value, realm->mask));
  out.add(xt::route_realm(realm->value, realm->mask, realm->invert != 0));
  return true;
}

}  // namespace

std::span<const XtKind> node_matches() {
  static constexpr XtKind kKinds[] = {
      {"owner", 1, 1, read_owner},       {"cgroup", 0, 2, read_cgroup},     {"physdev", 0, 0, read_physdev},
      {"policy", 0, 0, read_policy},     {"rpfilter", 0, 0, read_rpfilter}, {"socket", 0, 3, read_socket},
      {"devgroup", 0, 0, read_devgroup}, {"cpu", 0, 0, read_cpu},           {"realm", 0, 0, read_realm}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
