#include "netlink/host/route_question.h"

#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/local_routes.h"
#include "netlink/host/rtnetlink.h"
#include "netlink/host/switches.h"

namespace kubenatd::netlink::host {
namespace {

using rules::walk::RouteAnswer;
using rules::walk::RouteQuestion;

/// So many unknown bits of a mark are tried out, all values of them.
constexpr int kMostUnknownBits = 4;

RouteAnswer::Kind kind_of_type(std::uint8_t type) {
  switch (type) {
    case RTN_LOCAL:
    case RTN_ANYCAST: return RouteAnswer::Kind::kLocal;
    case RTN_UNICAST: return RouteAnswer::Kind::kForward;
    case RTN_BROADCAST:
    case RTN_MULTICAST: return RouteAnswer::Kind::kBroadcast;
    case RTN_BLACKHOLE: return RouteAnswer::Kind::kBlackhole;
    case RTN_UNREACHABLE: return RouteAnswer::Kind::kUnreachable;
    case RTN_PROHIBIT: return RouteAnswer::Kind::kProhibit;
    default: return RouteAnswer::Kind::kUnknown;
  }
}

RouteAnswer::Kind kind_of_code(int code) {
  switch (code) {
    case ENETUNREACH:
    case ESRCH: return RouteAnswer::Kind::kNone;
    case EHOSTUNREACH: return RouteAnswer::Kind::kUnreachable;
    case EACCES: return RouteAnswer::Kind::kProhibit;
    case EINVAL: return RouteAnswer::Kind::kBlackhole;
    default: return RouteAnswer::Kind::kUnknown;
  }
}

KernelRequest route_request(const RouteQuestion& question, std::uint32_t in_interface, unsigned flags) {
  rtmsg fixed{};
  fixed.rtm_family = number_of(question.destination.family);
  fixed.rtm_dst_len = rules::bits_of(question.destination.family);
  fixed.rtm_src_len = question.source ? fixed.rtm_dst_len : 0;
  fixed.rtm_flags = flags;
  KernelRequest request(RTM_GETROUTE, 0, fixed);
  request.attribute(RTA_DST, octets_of(question.destination));
  if (question.source) request.attribute(RTA_SRC, octets_of(*question.source));
  if (in_interface != 0) request.number(RTA_IIF, in_interface);
  if (question.mark != 0) request.number(RTA_MARK, question.mark);
  return request;
}

std::optional<rules::Address> gateway_of(rules::Family family, std::string_view attributes) {
  if (const auto gateway = find_attribute(attributes, RTA_GATEWAY); !gateway.payload.empty())
    return address_of(family, gateway.payload);
  // A gateway of the other family: rtvia is its family, then the address.
  const auto via = find_attribute(attributes, RTA_VIA).payload;
  if (via.size() < sizeof(std::uint16_t)) return std::nullopt;
  std::uint16_t number = 0;
  std::memcpy(&number, via.data(), sizeof number);
  const auto via_family = family_of(static_cast<std::uint8_t>(number));
  return via_family ? address_of(*via_family, via.substr(sizeof number)) : std::nullopt;
}

RouteAnswer read_answer(const Message& message, rules::Family family) {
  RouteAnswer answer;
  const auto fixed = fixed_part<rtmsg>(message);
  if (!fixed) return answer;
  answer.kind = kind_of_type(fixed->rtm_type);
  const std::string_view attributes = attributes_behind<rtmsg>(message);
  if (const auto out = find_attribute(attributes, RTA_OIF); !out.payload.empty())
    answer.interface = interface_name(number_in(out.payload));
  answer.source = address_of(family, find_attribute(attributes, RTA_PREFSRC).payload);
  answer.gateway = gateway_of(family, attributes);
  return answer;
}

bool same(const RouteAnswer& one, const RouteAnswer& other) {
  return one.kind == other.kind && one.interface == other.interface && one.source == other.source &&
         one.gateway == other.gateway && one.source_refused == other.source_refused;
}

/// Whether the next hops of a route lead out by more than one interface.
bool has_several_ways(std::string_view multipath) {
  std::optional<int> first;
  while (multipath.size() >= sizeof(rtnexthop)) {
    rtnexthop hop{};
    std::memcpy(&hop, multipath.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > multipath.size()) break;
    if (first.value_or(hop.rtnh_ifindex) != hop.rtnh_ifindex) return true;
    first = hop.rtnh_ifindex;
    multipath.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(hop.rtnh_len), multipath.size()));
  }
  return false;
}

}  // namespace

rules::Result<RouteAsker> RouteAsker::open() {
  auto talk = KernelTalk::open(NETLINK_ROUTE, "routes");
  if (!talk) return std::unexpected(std::move(talk.error()));
  return RouteAsker(std::move(*talk));
}

RouteAsker::Policy RouteAsker::read_policy(rules::Family family) {
  Policy policy;
  fib_rule_hdr fixed{};
  fixed.family = number_of(family);
  const auto read = [&](const Message& message) {
    const auto rule = fixed_part<fib_rule_hdr>(message);
    if (!rule || message.type != RTM_NEWRULE || rule->family != fixed.family) return;
    if (rule->tos != 0) policy.more = true;
    if (rule->src_len != 0) policy.origin = true;
    AttributeReader reader(attributes_behind<fib_rule_hdr>(message));
    std::uint32_t mark = 0;
    std::optional<std::uint32_t> mask;
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        case FRA_FWMARK: mark = number_in(attribute.payload); break;
        case FRA_FWMASK: mask = number_in(attribute.payload); break;
        case FRA_IIFNAME:
        case FRA_OIFNAME: policy.origin = true; break;
        case FRA_IP_PROTO:
        case FRA_SPORT_RANGE:
        case FRA_DPORT_RANGE:
        case FRA_UID_RANGE:
        case FRA_TUN_ID:
        case FRA_FLOW: policy.more = true; break;
        default:
          // DSCP, port masks and what comes after them (6.13 and newer).
          if (attribute.type > FRA_DPORT_RANGE) policy.more = true;
          break;
      }
    }
    // Without a mark, kernels give a mask of zero or none.
    policy.mark_bits |= mask.value_or(mark != 0 ? 0xffffffff : 0);
  };
  const auto asked = talk_.ask(KernelRequest(RTM_GETRULE, NLM_F_DUMP, fixed), "rules of policy routing", read);
  // A kernel without policy routing (EOPNOTSUPP) has none; else nobody knows.
  if (!asked && asked.error().code != EOPNOTSUPP) policy.more = true;
  return policy;
}

RouteAsker::Said RouteAsker::ask_kernel(const RouteQuestion& question) {
  Said said;
  std::uint32_t index = 0;
  if (question.in_interface) {
    index = ::if_nametoindex(question.in_interface->c_str());
    if (index == 0) {
      said.code = ENODEV;
      return said;
    }
  }
  const auto read = [&](const Message& message) {
    if (message.type == RTM_NEWROUTE) said.answer = read_answer(message, question.destination.family);
  };
  const std::string object = "route to " + question.destination.to_string();
  if (const auto asked = talk_.ask(route_request(question, index, 0), object, read); !asked) {
    said.code = asked.error().code == 0 ? EIO : asked.error().code;
    said.answer.kind = kind_of_code(said.code);
  } else if (const auto kind = said.answer.kind; kind == RouteAnswer::Kind::kUnreachable ||
                                                 kind == RouteAnswer::Kind::kProhibit ||
                                                 kind == RouteAnswer::Kind::kBlackhole) {
    said.answer = {};
    said.answer.kind = kind;
  }
  return said;
}

RouteAnswer RouteAsker::ask_marked(const RouteQuestion& question, const Policy& policy) {
  RouteQuestion plain = question;
  plain.source.reset();
  plain.in_interface.reset();
  const auto ask_plain = [&] {
    Said said = ask_kernel(plain);
    if (policy.origin) said.answer = {};
    return said;
  };
  const bool arrives = question.in_interface.has_value();
  const bool from_somewhere = arrives && question.in_interface->empty();
  Said said = from_somewhere ? ask_plain() : ask_kernel(question);
  if (said.code == ENODEV) return {};
  // The node sends with a source that is none of its own (a transparent socket): the kernel lets it, this question does
  // not. It refuses it by the words for "no route" (6.18) or EINVAL.
  const bool sends_for_other =
      !arrives && question.source &&
      (said.code == EINVAL || (said.code == ENETUNREACH && !is_local(*question.source).value_or(true)));
  // An interface that does not forward says "no route" for that reason alone.
  const bool forwards_nothing = arrives && !from_somewhere && said.code == EHOSTUNREACH &&
                                !forwards(question.destination.family, *question.in_interface).value_or(true);
  if (sends_for_other || forwards_nothing) {
    said = ask_plain();
  } else if (arrives && !from_somewhere && (said.code == EINVAL || said.code == EXDEV)) {
    const int refusal = said.code;
    said = ask_plain();
    said.answer.source_refused = refusal == EXDEV || said.code != EINVAL;
  }
  if (said.answer.kind == RouteAnswer::Kind::kForward) {
    look_at_paths(question, said.answer);
    look_at_neighbour(question.destination, said.answer);
  }
  return said.answer;
}

void RouteAsker::look_at_paths(const RouteQuestion& question, RouteAnswer& answer) {
  // 0: by addresses, as the question has them. What else is mixed in (1: ports, 2 and 3: inner or other fields) it has
  // not.
  if (multipath_policy(question.destination.family) == 0) return;
  bool several = false;
  const auto read = [&](const Message& message) {
    if (message.type == RTM_NEWROUTE)
      several = has_several_ways(find_attribute(attributes_behind<rtmsg>(message), RTA_MULTIPATH).payload);
  };
  std::uint32_t index = 0;
  if (question.in_interface) index = ::if_nametoindex(question.in_interface->c_str());
  const auto asked = talk_.ask(route_request(question, index, RTM_F_FIB_MATCH), "route", read);
  if (!asked || !several) return;
  answer.interface.clear();
  answer.source.reset();
  answer.gateway.reset();
}

void RouteAsker::look_at_neighbour(const rules::Address& destination, RouteAnswer& answer) {
  const std::uint32_t index = ::if_nametoindex(answer.interface.c_str());
  if (answer.interface.empty() || index == 0) return;
  const rules::Address& next = answer.gateway ? *answer.gateway : destination;
  ndmsg fixed{};
  fixed.ndm_family = number_of(next.family);
  fixed.ndm_ifindex = static_cast<int>(index);
  KernelRequest request(RTM_GETNEIGH, 0, fixed);
  request.attribute(NDA_DST, octets_of(next));
  const auto read = [&](const Message& message) {
    if (const auto entry = fixed_part<ndmsg>(message); entry && message.type == RTM_NEWNEIGH)
      answer.neighbour_failed = (entry->ndm_state & NUD_FAILED) != 0;
  };
  // An unknown neighbour (ENOENT) has not been looked for; a kernel before 5.0 cannot be asked for one alone.
  (void)talk_.ask(std::move(request), "neighbour " + next.to_string(), read);
}

RouteAnswer RouteAsker::ask(const RouteQuestion& question) {
  const auto [known, is_new] = known_.try_emplace(
      Key(question.destination, question.source, question.in_interface, question.mark, question.unknown_mark));
  if (!is_new) return known->second;
  const rules::Family family = question.destination.family;
  auto policy = policy_.find(family);
  if (policy == policy_.end()) policy = policy_.emplace(family, read_policy(family)).first;
  if (policy->second.more) return known->second;
  // A sysctl makes the reverse path look at the mark, too; that is no matter of where the packet goes.
  const std::uint32_t open = question.unknown_mark & policy->second.mark_bits;
  if (std::popcount(open) > kMostUnknownBits) return known->second;
  RouteQuestion one = question;
  std::optional<RouteAnswer> answer;
  for (std::uint32_t bits = open;; bits = (bits - 1) & open) {
    one.mark = (question.mark & ~question.unknown_mark) | bits;
    RouteAnswer now = ask_marked(one, policy->second);
    if (!answer)
      answer = std::move(now);
    else if (!same(*answer, now))
      return known->second;
    if (bits == 0) break;
  }
  return known->second = *answer;
}

}  // namespace kubenatd::netlink::host
