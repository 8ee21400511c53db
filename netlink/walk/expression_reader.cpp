#include "netlink/walk/expression_reader.h"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>

#include "netlink/walk/parts.h"
#include "rules/walk/part_of.h"
#include "rules/walk/statement.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

constexpr std::size_t kMaxName = 32;

/// A name from a message, for people.
std::string readable(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, kMaxName)) text += c > ' ' && c < 0x7f ? c : '?';
  return text;
}

std::optional<std::uint8_t> family_of(TableFamily family) {
  if (family == TableFamily::kIp) return NFPROTO_IPV4;
  if (family == TableFamily::kIp6) return NFPROTO_IPV6;
  return std::nullopt;
}

}  // namespace

const ExpressionReader::Kind ExpressionReader::kKinds[] = {
    {"payload", &ExpressionReader::payload},
    {"meta", &ExpressionReader::meta},
    {"cmp", &ExpressionReader::compare},
    {"immediate", &ExpressionReader::immediate},
    {"counter", &ExpressionReader::counter},
    {"bitwise", &ExpressionReader::bitwise},
    {"lookup", &ExpressionReader::lookup},
    {"match", &ExpressionReader::xt_match},
    {"target", &ExpressionReader::xt_target},
    {"ct", &ExpressionReader::ct},
    {"fib", &ExpressionReader::fib},
    {"socket", &ExpressionReader::socket},
    {"rt", &ExpressionReader::route},
    {"exthdr", &ExpressionReader::extension_header},
    {"numgen", &ExpressionReader::number_generator},
    {"hash", &ExpressionReader::hash},
    {"osf", &ExpressionReader::fingerprint},
    {"xfrm", &ExpressionReader::ipsec},
    {"tunnel", &ExpressionReader::tunnel},
    {"byteorder", &ExpressionReader::byte_order},
    {"range", &ExpressionReader::range},
    {"limit", &ExpressionReader::limit},
    {"quota", &ExpressionReader::quota},
    {"connlimit", &ExpressionReader::connection_limit},
    {"objref", &ExpressionReader::object},
    {"flow_offload", &ExpressionReader::flow_offload},
    {"log", &ExpressionReader::log},
    {"last", &ExpressionReader::last},
    {"nat", &ExpressionReader::nat},
    {"masq", &ExpressionReader::masquerade},
    {"redir", &ExpressionReader::redirect},
    {"reject", &ExpressionReader::reject},
    {"queue", &ExpressionReader::queue},
    {"tproxy", &ExpressionReader::transparent_proxy},
    {"notrack", &ExpressionReader::no_track},
    {"dup", &ExpressionReader::duplicate},
    {"fwd", &ExpressionReader::forward},
    {"synproxy", &ExpressionReader::syn_proxy},
    {"dynset", &ExpressionReader::dynamic_set},
};

ExpressionReader::ExpressionReader(const WalkTable& table, WalkRule& rule)
    : table_(table),
      rule_(rule),
      of_iptables_((table.family == TableFamily::kIp || table.family == TableFamily::kIp6) &&
                   is_iptables_table(table.name)),
      family_(family_of(table.family)) {}

Part ExpressionReader::part_about(const ExpressionPtr& expression) const {
  std::optional<rules::Family> family;
  if (family_ == NFPROTO_IPV4) family = rules::Family::kIpv4;
  if (family_ == NFPROTO_IPV6) family = rules::Family::kIpv6;
  return part_of(expression, family);
}

void ExpressionReader::read(std::string_view element) {
  if (ended_) return;
  const std::string_view name = find_attribute(element, NFTA_EXPR_NAME).text();
  const auto* const kind = std::ranges::find(kKinds, name, &Kind::name);
  if (kind == std::end(kKinds)) return give_up(readable(name));
  (this->*kind->read)(Attributes(find_attribute(element, NFTA_EXPR_DATA).payload));
}

void ExpressionReader::give_up(std::string cause) {
  if (ended_) return;
  if (cause.empty()) cause = "expression without a name";
  registers_.forget(cause);
  unjudged(cause);
  given_up_ = std::move(cause);
}

void ExpressionReader::finish() {
  // What was not understood may itself be what the rule does with the packet.
  if (!ended_ && !given_up_.empty()) add(OtherTarget{given_up_});
}

void ExpressionReader::only_family(std::uint32_t family) {
  if (family_ || (family != NFPROTO_IPV4 && family != NFPROTO_IPV6)) return;
  const Bytes value = Bytes::network(family, 1);
  condition({make(Meta{NFT_META_NFPROTO}), {{value, value}}, false, Part::kProtocol});
}

void ExpressionReader::condition(Condition condition) {
  if (!condition.negate && condition.ranges.size() == 1 && condition.ranges[0].first == condition.ranges[0].second) {
    split_fields(condition);
    const Bytes& value = condition.ranges[0].first;
    const auto* const meta = std::get_if<Meta>(&condition.left->what);
    if (meta != nullptr && meta->key == NFT_META_NFPROTO && value.size == 1) family_ = value.data[0];
    if (meta != nullptr && meta->key == NFT_META_PROTOCOL && value.size == 2) {
      if (value.as_network() == ETH_P_IP) family_ = NFPROTO_IPV4;
      if (value.as_network() == ETH_P_IPV6) family_ = NFPROTO_IPV6;
    }
  }
  add(std::move(condition));
}

void ExpressionReader::split_fields(Condition& condition) {
  for (;;) {
    const auto* const payload = std::get_if<Payload>(&condition.left->what);
    const auto end = payload == nullptr ? std::nullopt : end_of_field(payload->base, payload->offset, family_);
    if (!end || payload->offset + payload->size <= *end) return;
    const auto size = static_cast<std::uint16_t>(*end - payload->offset);
    const auto rest = static_cast<std::uint16_t>(payload->size - size);
    const Bytes value = condition.ranges.front().first;
    const ExpressionPtr field = make(Payload{payload->base, payload->offset, size});
    add(Condition{field, {{value.slice(0, size), value.slice(0, size)}}, false, part_about(field)});
    condition.left = make(Payload{payload->base, *end, rest});
    condition.ranges = {{value.slice(size, rest), value.slice(size, rest)}};
    condition.part = part_about(condition.left);
  }
}

ExpressionPtr ExpressionReader::key_for(std::string_view name, std::uint32_t number) {
  const WalkSet* set = table_.set(name);
  if (set == nullptr || set->parts.empty()) return registers_.read_value(number);
  std::size_t size = set->parts.front();
  if (set->parts.size() > 1) {
    size = 0;
    for (const std::uint16_t part : set->parts) size += filled_size(part);
  }
  return registers_.read(number, size);
}

}  // namespace kubenatd::netlink::walk
