#include "netlink/host/interfaces.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/host/rtnetlink.h"

namespace kubenatd::netlink::host {
namespace {

// linux/bpf.h of 6.6: older headers do not name them.
constexpr std::uint32_t kTcxIngress = 46;
constexpr std::uint32_t kTcxEgress = 47;

void read_kind(std::string_view info, Link& link) {
  link.facts.kind = find_attribute(info, IFLA_INFO_KIND).text();
  link.master_kind = find_attribute(info, IFLA_INFO_SLAVE_KIND).text();
  if (link.facts.kind != "bridge") return;
  const std::string_view data = find_attribute(info, IFLA_INFO_DATA).payload;
  link.calls_iptables = number_in<std::uint8_t>(find_attribute(data, IFLA_BR_NF_CALL_IPTABLES).payload) != 0;
  link.calls_ip6tables = number_in<std::uint8_t>(find_attribute(data, IFLA_BR_NF_CALL_IP6TABLES).payload) != 0;
}

void read_link(const Message& message, std::map<std::string, Link>& links) {
  const auto fixed = fixed_part<ifinfomsg>(message);
  if (message.type != RTM_NEWLINK || !fixed) return;
  Link link;
  link.facts.index = static_cast<std::uint32_t>(fixed->ifi_index);
  link.facts.type = fixed->ifi_type;
  link.is_up = (fixed->ifi_flags & IFF_UP) != 0;
  std::string name;
  AttributeReader reader(attributes_behind<ifinfomsg>(message));
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case IFLA_IFNAME: name = attribute.text(); break;
      case IFLA_GROUP: link.facts.group = number_in(attribute.payload); break;
      case IFLA_MASTER: link.master = number_in(attribute.payload); break;
      case IFLA_LINKINFO: read_kind(attribute.payload, link); break;
      case IFLA_XDP:
        link.has_xdp = number_in<std::uint8_t>(find_attribute(attribute.payload, IFLA_XDP_ATTACHED).payload) != 0;
        break;
      default: break;
    }
  }
  if (!name.empty()) links.insert_or_assign(std::move(name), std::move(link));
}

/// Whether filters of traffic control hang at that side of the interface.
rules::Result<bool> has_filters(std::uint32_t index, bool leaving) {
  auto talk = KernelTalk::open(NETLINK_ROUTE, "filters of traffic control");
  if (!talk) return std::unexpected(std::move(talk.error()));
  tcmsg fixed{};
  fixed.tcm_family = AF_UNSPEC;
  fixed.tcm_ifindex = static_cast<int>(index);
  fixed.tcm_parent = TC_H_MAKE(TC_H_CLSACT, leaving ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
  bool found = false;
  const auto read = [&](const Message& message) { found = found || message.type == RTM_NEWTFILTER; };
  const auto asked = talk->ask(KernelRequest(RTM_GETTFILTER, NLM_F_DUMP, fixed), "filters of traffic control", read);
  // A kernel without traffic control knows no such question.
  if (!asked && asked.error().code != EOPNOTSUPP) return std::unexpected(asked.error());
  return found;
}

/// How many programs of tcx are attached; an errno when it cannot be told.
rules::Result<std::uint32_t> tcx_programs(std::uint32_t index, bool leaving) {
  bpf_attr attributes{};
  std::memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = index;  // target_ifindex shares its place
  attributes.query.attach_type = leaving ? kTcxEgress : kTcxIngress;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof attributes) == 0) return attributes.query.prog_cnt;
  const int code = errno;
  // ENOENT: none; EINVAL: a kernel without tcx; ENOSYS: without bpf.
  if (code == ENOENT || code == EINVAL || code == ENOSYS || code == EOPNOTSUPP) return std::uint32_t{0};
  return rules::fail("programs of tcx", "ask the kernel", std::strerror(code), code);
}

}  // namespace

rules::Result<std::map<std::string, Link>> read_links() {
  auto talk = KernelTalk::open(NETLINK_ROUTE, "interfaces");
  if (!talk) return std::unexpected(std::move(talk.error()));
  std::map<std::string, Link> links;
  ifinfomsg fixed{};
  KernelRequest request(RTM_GETLINK, NLM_F_DUMP, fixed);
  request.number(IFLA_EXT_MASK, std::uint32_t{RTEXT_FILTER_SKIP_STATS});
  const auto asked = talk->ask(
      std::move(request), "interfaces", [&](const Message& message) { read_link(message, links); },
      [&] { links.clear(); });
  if (!asked) return std::unexpected(asked.error());
  return links;
}

std::string interface_name(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(index, name.data()) == nullptr ? std::string() : std::string(name.data());
}

std::vector<rules::walk::NotLookedAt> programs_on(const std::string& interface, bool leaving) {
  std::vector<rules::walk::NotLookedAt> found;
  const std::uint32_t index = ::if_nametoindex(interface.c_str());
  if (index == 0) return found;
  const std::string where = (leaving ? " for packets that leave by " : " for packets that arrive at ") + interface;
  const std::string why = "kubenatd does not read programs; they see packets before or behind all rules";
  if (!leaving) {
    if (const auto links = read_links(); links && links->contains(interface) && links->at(interface).has_xdp)
      found.push_back({"an XDP program" + where, why});
  }
  const auto filters = has_filters(index, leaving);
  if (!filters)
    found.push_back({"filters of traffic control" + where, filters.error().cause});
  else if (*filters)
    found.push_back({"filters of traffic control" + where, why});
  const auto programs = tcx_programs(index, leaving);
  if (!programs)
    found.push_back({"BPF programs of traffic control" + where, programs.error().cause});
  else if (*programs != 0)
    found.push_back({"BPF programs of traffic control" + where, why});
  return found;
}

}  // namespace kubenatd::netlink::host
