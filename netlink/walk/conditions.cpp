#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <utility>

#include "netlink/walk/expression_reader.h"
#include "netlink/walk/parts.h"
#include "netlink/walk/set_reader.h"
#include "netlink/walk/xt_reader.h"

/// Expressions on which a rule may end.
namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

constexpr std::uint32_t kUsualBurst = 5;  // of iptables and of nft, which do not print it

/// The values for which the comparison holds; none when no value does.
std::vector<std::pair<Bytes, Bytes>> ranges_of(std::uint32_t operation, Bytes value) {
  const Bytes least = Bytes::filled(value.size, 0);
  const Bytes most = Bytes::filled(value.size, 0xff);
  switch (operation) {
    case NFT_CMP_LT:
      if (!step(value, false)) return {};
      return {{least, value}};
    case NFT_CMP_LTE: return {{least, value}};
    case NFT_CMP_GT:
      if (!step(value, true)) return {};
      return {{value, most}};
    case NFT_CMP_GTE: return {{value, most}};
    default: return {{value, value}};
  }
}

std::string_view unit_of(std::uint64_t seconds, bool of_iptables) {
  switch (seconds) {
    case 1: return of_iptables ? "sec" : "second";
    case 60: return of_iptables ? "min" : "minute";
    case 3600: return "hour";
    case 86400: return "day";
    case 604800: return "week";
    default: return {};
  }
}

/// "10 mbytes", as nft has it.
std::string size_text(std::uint64_t bytes) {
  std::string_view unit = "bytes";
  for (const std::string_view next : {"kbytes", "mbytes"}) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = next;
  }
  return fmt::format("{} {}", bytes, unit);
}

std::string limit_text(const ExpressionAttributes& attributes, bool of_iptables) {
  const std::uint64_t rate = attributes.be64(NFTA_LIMIT_RATE);
  const std::uint64_t seconds = attributes.be64(NFTA_LIMIT_UNIT);
  std::string unit(unit_of(seconds, of_iptables));
  if (unit.empty()) unit = fmt::format("{} seconds", seconds);
  const std::uint32_t burst = attributes.be32(NFTA_LIMIT_BURST);
  if (of_iptables) {
    std::string text = fmt::format("-m limit --limit {}/{}", rate, unit);
    if (burst != kUsualBurst) text += fmt::format(" --limit-burst {}", burst);
    return text;
  }
  const bool bytes = attributes.be32(NFTA_LIMIT_TYPE) == NFT_LIMIT_PKT_BYTES;
  const bool over = (attributes.be32(NFTA_LIMIT_FLAGS) & NFT_LIMIT_F_INV) != 0;
  const std::string_view how = over ? "over " : "";
  std::string text = fmt::format("limit rate {}{}/{}", how, bytes ? size_text(rate) : std::to_string(rate), unit);
  if (bytes && burst != 0) text += " burst " + size_text(burst);
  if (!bytes && burst != 0 && burst != kUsualBurst) text += fmt::format(" burst {} packets", burst);
  return text;
}

std::string object_text(std::uint32_t type, std::string_view name) {
  std::string_view what = "object";
  switch (type) {
    case NFT_OBJECT_COUNTER: what = "counter name"; break;
    case NFT_OBJECT_QUOTA: what = "quota name"; break;
    case NFT_OBJECT_CT_HELPER: what = "ct helper set"; break;
    case NFT_OBJECT_LIMIT: what = "limit name"; break;
    case NFT_OBJECT_CONNLIMIT: what = "ct count name"; break;
    case NFT_OBJECT_TUNNEL: what = "tunnel name"; break;
    case NFT_OBJECT_CT_TIMEOUT: what = "ct timeout set"; break;
    case NFT_OBJECT_SECMARK: what = "meta secmark set"; break;
    case NFT_OBJECT_CT_EXPECT: what = "ct expectation set"; break;
    case NFT_OBJECT_SYNPROXY: what = "synproxy name"; break;
    default: break;
  }
  return fmt::format("{} \"{}\"", what, name);
}

}  // namespace

std::string condition_text(std::string_view kind, const ExpressionAttributes& attributes, bool of_iptables) {
  if (kind == "limit") return limit_text(attributes, of_iptables);
  if (kind == "quota") {
    const bool over = (attributes.be32(NFTA_QUOTA_FLAGS) & NFT_QUOTA_F_INV) != 0;
    return fmt::format("quota {}{}", over ? "over " : "", size_text(attributes.be64(NFTA_QUOTA_BYTES)));
  }
  if (kind == "connlimit") {
    const bool over = (attributes.be32(NFTA_CONNLIMIT_FLAGS) & NFT_CONNLIMIT_F_INV) != 0;
    return fmt::format("ct count {}{}", over ? "over " : "", attributes.be32(NFTA_CONNLIMIT_COUNT));
  }
  if (kind == "counter" || kind == "last") return {};
  return std::string(kind);
}

void ExpressionReader::compare(const Attributes& attributes) {
  const std::uint32_t operation = attributes.be32(NFTA_CMP_OP);
  const Bytes value = attributes.value(NFTA_CMP_DATA);
  const ExpressionPtr left = registers_.read(attributes.be32(NFTA_CMP_SREG), value.size);
  if (value.size == 0 || !attributes.has(NFTA_CMP_OP) || operation > NFT_CMP_GTE) return give_up("cmp");
  auto ranges = ranges_of(operation, value);
  // A range is two bounds on what was loaded once: it has to be one condition, above all for a number that is drawn.
  const bool is_bound = operation != NFT_CMP_EQ && operation != NFT_CMP_NEQ;
  Condition* const before = rule_.statements.empty() ? nullptr : std::get_if<Condition>(&rule_.statements.back());
  if (is_bound && before != nullptr && last_bound_ == left.get() && before->left == left) {
    if (ranges.empty() || before->ranges.empty()) {
      before->ranges.clear();
      return;
    }
    auto& [first, last] = before->ranges.front();
    first = std::max(first, ranges.front().first);
    last = std::min(last, ranges.front().second);
    if (first > last) before->ranges.clear();
    return;
  }
  last_bound_ = is_bound ? left.get() : nullptr;
  condition({left, std::move(ranges), operation == NFT_CMP_NEQ, part_about(left)});
}

void ExpressionReader::range(const Attributes& attributes) {
  const std::uint32_t operation = attributes.be32(NFTA_RANGE_OP);
  const Bytes first = attributes.value(NFTA_RANGE_FROM_DATA);
  const Bytes last = attributes.value(NFTA_RANGE_TO_DATA);
  if (first.size == 0 || first.size != last.size || operation > NFT_RANGE_NEQ) return give_up("range");
  const ExpressionPtr left = registers_.read(attributes.be32(NFTA_RANGE_SREG), first.size);
  condition({left, {{first, last}}, operation == NFT_RANGE_NEQ, part_about(left)});
}

void ExpressionReader::lookup(const Attributes& attributes) {
  std::string name(attributes.text(NFTA_LOOKUP_SET));
  const ExpressionPtr key = key_for(name, attributes.be32(NFTA_LOOKUP_SREG));
  const WalkSet* set = table_.set(name);
  if (!attributes.has(NFTA_LOOKUP_DREG)) {
    const bool negate = (attributes.be32(NFTA_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
    // A set that stands in the rule itself is as good as a list of values.
    const Part part = set != nullptr && set->anonymous ? part_about(key) : Part::kSet;
    return add(InSet{key, std::move(name), negate, part == Part::kOther ? Part::kSet : part});
  }
  const std::uint32_t to = attributes.be32(NFTA_LOOKUP_DREG);
  if (to == NFT_REG_VERDICT) return add(VerdictMap{key, std::move(name)});
  if (set == nullptr || set->data_size == 0) {
    // How many registers it fills is not known.
    registers_.forget("map that is not there");
    add(Unjudged{"map @" + name, Part::kSet});
    return load(to, make(Unread{"map @" + name, Bytes::kCapacity}));
  }
  load(to, make(MapLookup{key, std::move(name), set->data_size}));
}

void ExpressionReader::limit(const Attributes& attributes) {
  unjudged(condition_text("limit", attributes, of_iptables_));
}

void ExpressionReader::quota(const Attributes& attributes) {
  unjudged(condition_text("quota", attributes, of_iptables_));
}

void ExpressionReader::connection_limit(const Attributes& attributes) {
  unjudged(condition_text("connlimit", attributes, of_iptables_));
}

void ExpressionReader::object(const Attributes& attributes) {
  if (attributes.has(NFTA_OBJREF_SET_SREG)) {
    // A key that the map does not have ends the rule (nft_objref_map_eval). What its objects decide is in the elements.
    std::string map(attributes.text(NFTA_OBJREF_SET_NAME));
    const ExpressionPtr key = key_for(map, attributes.be32(NFTA_OBJREF_SET_SREG));
    return add(InSet{key, std::move(map), false, Part::kSet});
  }
  const std::uint32_t type = attributes.be32(NFTA_OBJREF_IMM_TYPE);
  std::string text = object_text(type, attributes.text(NFTA_OBJREF_IMM_NAME));
  switch (type) {
    case NFT_OBJECT_COUNTER:
    case NFT_OBJECT_CT_HELPER:
    case NFT_OBJECT_CT_TIMEOUT:
    case NFT_OBJECT_SECMARK:
    case NFT_OBJECT_TUNNEL: return nothing(std::move(text));
    case NFT_OBJECT_QUOTA:
    case NFT_OBJECT_LIMIT:
    case NFT_OBJECT_CONNLIMIT:
    // It ends the rule for a connection that has a helper or is no longer new.
    case NFT_OBJECT_CT_EXPECT: return unjudged(std::move(text));
    case NFT_OBJECT_SYNPROXY: return add_synproxy();
    default: return give_up(std::move(text));
  }
}

void ExpressionReader::flow_offload(const Attributes& attributes) {
  // It ends the rule for a connection that is not confirmed yet, and a first packet is not (nft_flow_offload_eval).
  add(Never{fmt::format("flow add @{}", attributes.text(NFTA_FLOW_TABLE_NAME)), Part::kState});
}

void ExpressionReader::xt_match(const Attributes& attributes) {
  const std::string_view name = attributes.text(NFTA_MATCH_NAME);
  const std::string_view info = attributes.payload(NFTA_MATCH_INFO);
  // char[XT_MAX_COMMENT_LEN], with its NUL when it is shorter.
  if (name == "comment" && rule_.comment.empty()) rule_.comment = info.substr(0, info.find('\0'));
  XtPart part = read_xt_match(name, attributes.be32(NFTA_MATCH_REV), info, xt_family());
  add_xt(std::move(part.statements), std::move(part.text));
}

}  // namespace kubenatd::netlink::walk
