#include "netlink/walk/legacy_tables.h"

#include <fmt/format.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "netlink/walk/xt_reader.h"
#include "rules/text.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::netlink::walk {
namespace {

using rules::Address;
using rules::Family;
using rules::walk::Statement;
using rules::walk::ToVerdict;
using rules::walk::Verdict;
using rules::walk::WalkChain;
using rules::walk::WalkRule;
using rules::walk::WalkTable;

// Of both families the same (linux/netfilter_ipv4/ip_tables.h and its sister).
static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES);
static_assert(IPT_INV_SRCIP == IP6T_INV_SRCIP && IPT_INV_PROTO == IP6T_INV_PROTO && IPT_INV_FRAG == IP6T_INV_FRAG);
static_assert(sizeof(ipt_getinfo) == sizeof(ip6t_getinfo));

constexpr std::array<const char*, 5> kHookChains{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
constexpr std::size_t kMostBytes = std::size_t{512} * 1024 * 1024;
constexpr int kReturn = -NF_REPEAT - 1;  // XT_RETURN

/// Reads the fixed part of a structure of the kernel; false: there are too few bytes.
template <class Struct>
bool read_at(std::string_view bytes, std::size_t offset, Struct& value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof value) return false;
  std::memcpy(static_cast<void*>(&value), bytes.data() + offset, sizeof value);
  return true;
}

std::string text_in(const char* bytes, std::size_t size) {
  return {bytes, ::strnlen(bytes, size)};
}

/// Where a rule's parts are; offsets are from the start of its entry.
struct Frame {
  std::size_t header = 0;  ///< size of ipt_entry or ip6t_entry
  std::size_t target = 0;
  std::size_t next = 0;
  xt_counters counters{};
};

std::optional<Frame> frame_at(std::string_view entries, std::size_t offset, Family family) {
  Frame frame;
  if (family == Family::kIpv4) {
    ipt_entry entry{};
    if (!read_at(entries, offset, entry)) return std::nullopt;
    frame = {sizeof entry, entry.target_offset, entry.next_offset, entry.counters};
  } else {
    ip6t_entry entry{};
    if (!read_at(entries, offset, entry)) return std::nullopt;
    frame = {sizeof entry, entry.target_offset, entry.next_offset, entry.counters};
  }
  const bool whole = frame.target >= frame.header && frame.next <= entries.size() - offset &&
                     frame.next >= frame.target + sizeof(xt_entry_target);
  return whole ? std::optional(frame) : std::nullopt;
}

struct Target {
  std::string name;  ///< empty: a verdict
  std::uint8_t revision = 0;
  std::string_view info;
};

Target target_of(std::string_view entry, const Frame& frame) {
  xt_entry_target header{};
  Target target;
  if (!read_at(entry, frame.target, header)) return target;
  target.name = text_in(header.u.user.name, sizeof header.u.user.name);
  target.revision = header.u.user.revision;
  target.info = entry.substr(frame.target + sizeof header, frame.next - frame.target - sizeof header);
  return target;
}

int verdict_of(const Target& target) {
  int verdict = -NF_QUEUE - 1;  // what cannot be read, a program decides
  (void)read_at(target.info, 0, verdict);
  return verdict;
}

template <class Header>
void add_interfaces(const Header& header, WalkRule& rule) {
  const auto add = [&](const char* name_bytes, const unsigned char* mask, bool negate, bool in) {
    // The mask covers what is compared: a whole name with its NUL, or the part before the "+", which is kept.
    const auto* end = std::find(mask, mask + IFNAMSIZ, 0);
    const auto compared = static_cast<std::size_t>(end - mask);
    if (compared == 0) return;
    const std::string whole = text_in(name_bytes, IFNAMSIZ);
    const bool is_prefix = compared <= whole.size();
    const std::string name = whole.substr(0, compared);
    rule.statements.push_back(in ? rules::walk::xt::in_interface(name, is_prefix, negate)
                                 : rules::walk::xt::out_interface(name, is_prefix, negate));
    rule.text += std::string(negate ? "! " : "") + (in ? "-i " : "-o ") + name + (is_prefix ? "+ " : " ");
  };
  add(header.iniface, header.iniface_mask, (header.invflags & IPT_INV_VIA_IN) != 0, true);
  add(header.outiface, header.outiface_mask, (header.invflags & IPT_INV_VIA_OUT) != 0, false);
}

Address address_of(const void* bytes, Family family) {
  Address address;
  address.family = family;
  std::memcpy(address.bytes.data(), bytes, address.octets().size());
  return address;
}

void add_address(bool is_source, const Address& address, const Address& mask, bool negate, WalkRule& rule) {
  if (mask.is_unspecified() && !negate) return;
  rule.statements.push_back(rules::walk::xt::address_masked(is_source, address, mask, negate));
  rule.text += std::string(negate ? "! " : "") + (is_source ? "-s " : "-d ") + address.to_string() + "/" +
               mask.to_string() + " ";
}

void add_protocol(std::uint8_t number, Family family, bool negate, WalkRule& rule) {
  if (number == 0 && !negate) return;
  rule.statements.push_back(rules::walk::xt::protocol(number, family, negate));
  rule.text += std::string(negate ? "! -p " : "-p ") + std::to_string(number) + " ";
}

/// What stands in front of the matches. True: the target's chain is gone to, not jumped to.
bool add_header(std::string_view entry, Family family, WalkRule& rule) {
  if (family == Family::kIpv4) {
    ipt_ip header{};  // the first member of ipt_entry
    (void)read_at(entry, 0, header);
    const unsigned inverted = header.invflags;
    add_address(true, address_of(&header.src, family), address_of(&header.smsk, family),
                (inverted & IPT_INV_SRCIP) != 0, rule);
    add_address(false, address_of(&header.dst, family), address_of(&header.dmsk, family),
                (inverted & IPT_INV_DSTIP) != 0, rule);
    add_interfaces(header, rule);
    add_protocol(static_cast<std::uint8_t>(header.proto), family, (inverted & IPT_INV_PROTO) != 0, rule);
    if ((header.flags & IPT_F_FRAG) != 0) {
      rule.statements.push_back(rules::walk::xt::fragment((inverted & IPT_INV_FRAG) != 0));
      rule.text += (inverted & IPT_INV_FRAG) != 0 ? "! -f " : "-f ";
    }
    return (header.flags & IPT_F_GOTO) != 0;
  }
  ip6t_ip6 header{};  // the first member of ip6t_entry
  (void)read_at(entry, 0, header);
  const unsigned inverted = header.invflags;
  add_address(true, address_of(&header.src, family), address_of(&header.smsk, family), (inverted & IP6T_INV_SRCIP) != 0,
              rule);
  add_address(false, address_of(&header.dst, family), address_of(&header.dmsk, family),
              (inverted & IP6T_INV_DSTIP) != 0, rule);
  add_interfaces(header, rule);
  if ((header.flags & IP6T_F_PROTO) != 0)
    add_protocol(static_cast<std::uint8_t>(header.proto), family, (inverted & IP6T_INV_PROTO) != 0, rule);
  if ((header.flags & IP6T_F_TOS) != 0)
    rule.statements.emplace_back(rules::walk::Unjudged{"a traffic class", rules::walk::Part::kOther});
  return (header.flags & IP6T_F_GOTO) != 0;
}

void add_matches(std::string_view entry, const Frame& frame, Family family, WalkRule& rule) {
  for (std::size_t offset = frame.header; offset < frame.target;) {
    xt_entry_match header{};
    const bool is_there = read_at(entry.substr(0, frame.target), offset, header);
    const std::size_t size = is_there ? header.u.user.match_size : 0;
    if (size < sizeof(xt_entry_match) || size > frame.target - offset) {
      rule.statements.emplace_back(rules::walk::Unjudged{"a match that cannot be read", rules::walk::Part::kOther});
      return;
    }
    XtPart part = read_xt_match(text_in(header.u.user.name, sizeof header.u.user.name), header.u.user.revision,
                                entry.substr(offset + sizeof(xt_entry_match), size - sizeof(xt_entry_match)), family);
    std::move(part.statements.begin(), part.statements.end(), std::back_inserter(rule.statements));
    rule.text += part.text + " ";
    offset += size;
  }
}

/// Chains by the offset of their first rule.
using Chains = std::map<std::size_t, std::string>;

void add_verdict(int verdict, bool goes_to, std::size_t next, const Chains& chains, WalkRule& rule) {
  const auto add = [&](Verdict what, std::string chain, std::string_view text) {
    rule.text += text;
    rule.text += chain;
    rule.statements.emplace_back(ToVerdict{what, std::move(chain)});
  };
  if (verdict == kReturn) return add(Verdict::kReturn, {}, "-j RETURN");
  if (verdict == -NF_ACCEPT - 1) return add(Verdict::kAccept, {}, "-j ACCEPT");
  if (verdict == -NF_DROP - 1) return add(Verdict::kDrop, {}, "-j DROP");
  if (verdict < 0) return add(Verdict::kQueue, {}, "-j QUEUE");
  // A rule without a target falls through to the next one.
  if (static_cast<std::size_t>(verdict) == next) return;
  const auto chain = chains.find(static_cast<std::size_t>(verdict));
  if (chain == chains.end()) {
    rule.statements.emplace_back(rules::walk::OtherTarget{"a jump that cannot be read"});
    return;
  }
  add(goes_to ? Verdict::kGoto : Verdict::kJump, chain->second, goes_to ? "-g " : "-j ");
}

WalkRule rule_at(const LegacyTable& table, std::size_t offset, const Frame& frame, const Chains& chains) {
  const std::string_view entry = std::string_view(table.entries).substr(offset, frame.next);
  WalkRule rule;
  const bool goes_to = add_header(entry, table.family, rule);
  add_matches(entry, frame, table.family, rule);
  const Target target = target_of(entry, frame);
  if (target.name.empty()) {
    add_verdict(verdict_of(target), goes_to, offset + frame.next, chains, rule);
  } else {
    XtPart part = read_xt_target(target.name, target.revision, target.info, table.family);
    std::move(part.statements.begin(), part.statements.end(), std::back_inserter(rule.statements));
    rule.text += part.text;
  }
  while (rule.text.ends_with(' ')) rule.text.pop_back();
  rule.counters = rules::walk::Counters{frame.counters.pcnt, frame.counters.bcnt};
  return rule;
}

/// The name of a chain of the user's at its head, an entry with target ERROR.
std::optional<std::string> name_at(std::string_view entry, const Frame& frame) {
  const Target target = target_of(entry, frame);
  if (target.name != XT_ERROR_TARGET) return std::nullopt;
  return text_in(target.info.data(), std::min<std::size_t>(target.info.size(), XT_FUNCTION_MAXNAMELEN));
}

/// The lists of names: one table a line, those that somebody has used. None: this kernel has no such tables.
struct Names {
  std::vector<std::string> names;
  int code = 0;
};

Names table_names(Family family) {
  Names found;
  // /proc/net is that of the process: a thread may be in another network namespace.
  const char* path =
      family == Family::kIpv4 ? "/proc/thread-self/net/ip_tables_names" : "/proc/thread-self/net/ip6_tables_names";
  errno = 0;
  std::ifstream file(path);
  if (!file) {
    found.code = errno == ENOENT ? 0 : errno;
    return found;
  }
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) found.names.push_back(line);
  return found;
}

struct Closing {
  int fd;
  ~Closing() {
    if (fd >= 0) ::close(fd);
  }
};

rules::Result<LegacyTable> read_table(Family family, const std::string& name) {
  const std::string object = "table " + name + " of iptables-legacy";
  const auto failed = [&](int code) { return rules::fail(object, "read", std::strerror(code), code); };
  const bool is_v4 = family == Family::kIpv4;
  const Closing socket{::socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (socket.fd < 0) return failed(errno);
  const int level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
  // Another writer may change its size in between.
  constexpr int kTries = 8;
  for (int tries = 1;; ++tries) {
    ipt_getinfo info{};
    if (name.size() >= sizeof info.name) return failed(ENAMETOOLONG);
    std::memcpy(info.name, name.data(), name.size());
    socklen_t size = sizeof info;
    if (::getsockopt(socket.fd, level, IPT_SO_GET_INFO, &info, &size) != 0) return failed(errno);
    if (info.size > kMostBytes) return failed(EFBIG);
    ipt_get_entries head{};
    std::memcpy(head.name, name.data(), name.size());
    head.size = info.size;
    std::string buffer(sizeof head + info.size, '\0');
    std::memcpy(buffer.data(), &head, sizeof head);
    size = static_cast<socklen_t>(buffer.size());
    if (::getsockopt(socket.fd, level, IPT_SO_GET_ENTRIES, buffer.data(), &size) == 0) {
      LegacyTable table{
          .family = family, .name = name, .hooks = info.valid_hooks, .entries = buffer.substr(sizeof head)};
      std::copy_n(std::begin(info.hook_entry), table.first.size(), table.first.begin());
      std::copy_n(std::begin(info.underflow), table.policy.size(), table.policy.begin());
      return table;
    }
    if (errno != EAGAIN || tries == kTries) return failed(errno);
  }
}

}  // namespace

bool LegacyTable::is_idle() const {
  for (std::size_t hook = 0; hook < first.size(); ++hook) {
    if ((hooks >> hook & 1U) == 0) continue;
    if (first[hook] != policy[hook]) return false;
    const auto frame = frame_at(entries, policy[hook], family);
    if (!frame) return false;
    const Target target = target_of(std::string_view(entries).substr(policy[hook], frame->next), *frame);
    if (!target.name.empty() || verdict_of(target) != -NF_ACCEPT - 1) return false;
  }
  return true;
}

void add_legacy_table(rules::walk::Ruleset& into, const LegacyTable& table) {
  const auto family = table.family == Family::kIpv4 ? rules::walk::TableFamily::kIp : rules::walk::TableFamily::kIp6;
  WalkTable& walked = into.table(family, table.name, true);
  const std::string_view entries = table.entries;
  // First the chains: a rule may jump to one that comes later.
  std::vector<std::pair<std::size_t, Frame>> frames;
  Chains chains;
  std::map<std::size_t, std::size_t> policies;  // offset to hook
  for (std::size_t hook = 0; hook < kHookChains.size(); ++hook) {
    if ((table.hooks >> hook & 1U) == 0) continue;
    chains.emplace(table.first[hook], kHookChains[hook]);
    policies.emplace(table.policy[hook], hook);
    WalkChain& chain = walked.chains[kHookChains[hook]];
    chain.name = kHookChains[hook];
    chain.base = rules::walk::iptables_base(table.name, chain.name);
    // Until its policy was met, nobody knows what is in it.
    chain.unread = true;
  }
  std::size_t offset = 0;
  while (offset < entries.size()) {
    const auto frame = frame_at(entries, offset, table.family);
    if (!frame) break;
    if (const auto name = name_at(entries.substr(offset, frame->next), *frame)) {
      const std::size_t start = offset + frame->next;
      // The last entry of a table is such a head, too, with nothing behind it.
      if (start < entries.size()) {
        chains.insert_or_assign(start, *name);
        walked.chains[*name].name = *name;
      }
    }
    frames.emplace_back(offset, *frame);
    offset += frame->next;
  }
  WalkChain* chain = nullptr;
  for (const auto& [start, frame] : frames) {
    const std::string_view entry = entries.substr(start, frame.next);
    if (const auto started = chains.find(start); started != chains.end()) chain = &walked.chains[started->second];
    if (chain == nullptr || name_at(entry, frame)) continue;
    if (const auto policy = policies.find(start); policy != policies.end()) {
      if (chain->base) chain->base->policy_drop = verdict_of(target_of(entry, frame)) == -NF_DROP - 1;
      chain->unread = false;
      chain = nullptr;  // what follows is of another one
      continue;
    }
    chain->rules.push_back(rule_at(table, start, frame, chains));
  }
  // Bytes that are no rules: what comes behind them, nobody can tell.
  if (offset < entries.size())
    for (auto& [name, one] : walked.chains) one.unread = true;
}

void read_legacy_tables(rules::walk::Ruleset& into) {
  for (const Family family : rules::kFamilies) {
    const std::string program = family == Family::kIpv4 ? "iptables-legacy" : "ip6tables-legacy";
    const Names names = table_names(family);
    if (names.code != 0) into.not_looked_at.push_back({"tables of " + program, std::strerror(names.code)});
    for (const std::string& name : names.names) {
      auto table = read_table(family, name);
      if (!table)
        into.not_looked_at.push_back({fmt::format("table {} of {}", name, program), table.error().cause});
      else if (!table->is_idle())
        add_legacy_table(into, *table);
    }
  }
}

}  // namespace kubenatd::netlink::walk
