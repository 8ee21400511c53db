#include "rules/walk/nft/told_protocols.h"

#include <algorithm>
#include <type_traits>

namespace kubenatd::rules::walk::nft {
namespace {

/// Of expressions in a part of a rule: trees share their branches, so a small one may be long to walk.
constexpr int kMaxSteps = 2000;

/// ICMP is one of IPv4 or of IPv6.
bool is_of_one_network(const Condition& condition) {
  const auto* meta = is<Meta>(condition.left);
  if (meta == nullptr || meta->key != NFT_META_L4PROTO || condition.negate || condition.ranges.size() != 1)
    return false;
  const Bytes& value = condition.ranges.front().first;
  return value == condition.ranges.front().second && value.size == 1 &&
         (value.data[0] == 1 || value.data[0] == 2 || value.data[0] == 58);
}

bool names_network(const Statement& statement) {
  if (const auto* nat = std::get_if<Nat>(&statement)) return nat->address != nullptr;
  if (const auto* tproxy = std::get_if<Tproxy>(&statement)) return tproxy->address != nullptr;
  const auto* refuse = std::get_if<Refuse>(&statement);
  return refuse != nullptr && (refuse->with.starts_with("icmp-") || refuse->with.starts_with("icmp6-"));
}

bool has_ports_or_fields(std::uint8_t protocol) {
  return std::ranges::any_of(
      headers(), [protocol](const HeaderInfo& info) { return info.protocol != 0 && info.protocol == protocol; });
}

bool uses_expression(const ExpressionPtr& expression, Payload::Base base, int& steps) {
  if (!expression || ++steps > kMaxSteps) return false;
  return std::visit(
      [&]<class What>(const What& what) {
        if constexpr (std::is_same_v<What, Payload>) return what.base == base;
        if constexpr (std::is_same_v<What, ExtensionHeader>)
          return base == Payload::Base::kNetwork &&
                 (what.operation == NFT_EXTHDR_OP_IPV6 || what.operation == NFT_EXTHDR_OP_IPV4);
        if constexpr (std::is_same_v<What, Concat>)
          return std::ranges::any_of(what.parts,
                                     [&](const ExpressionPtr& part) { return uses_expression(part, base, steps); });
        if constexpr (std::is_same_v<What, MapLookup>) return uses_expression(what.key, base, steps);
        if constexpr (std::is_same_v<What, BitsOfTwo>)
          return uses_expression(what.of, base, steps) || uses_expression(what.other, base, steps);
        if constexpr (requires { what.of; }) return uses_expression(what.of, base, steps);
        return false;
      },
      expression->what);
}

template <class Part>
bool uses(const Part& part, Payload::Base base) {
  int steps = 0;
  const auto in = [&](const ExpressionPtr& expression) { return uses_expression(expression, base, steps); };
  if constexpr (std::is_same_v<Part, SetPayload>) return part.where.base == base;
  if constexpr (std::is_same_v<Part, Nat>) return in(part.address) || in(part.port);
  if constexpr (std::is_same_v<Part, SetMeta> || std::is_same_v<Part, SetCt>) return in(part.value);
  if constexpr (std::is_same_v<Part, InSet> || std::is_same_v<Part, VerdictMap> || std::is_same_v<Part, UpdateSet>)
    return in(part.key);
  if constexpr (std::is_same_v<Part, Condition>) return in(part.left);
  return false;
}

}  // namespace

ToldProtocols::ToldProtocols(TableFamily family) : family_(family) {
  if (family == TableFamily::kIp) network_ = Header::kIp;
  if (family == TableFamily::kIp6) network_ = Header::kIp6;
}

bool ToldProtocols::learn(const Statement& statement) {
  const auto* condition = std::get_if<Condition>(&statement);
  if (condition == nullptr || condition->negate || condition->ranges.size() != 1) return false;
  const Bytes& is_value = condition->ranges.front().first;
  if (is_value != condition->ranges.front().second || is_value.size == 0) return false;
  if (const auto* meta = is<Meta>(condition->left)) {
    if (meta->key == NFT_META_L4PROTO && is_value.size == 1) {
      transport_ = is_value.data[0];
      return true;
    }
    if (meta->key == NFT_META_NFPROTO && is_value.size == 1)
      return learn_network(is_value.data[0] == 2, is_value.data[0] == 10) && family_ == TableFamily::kInet;
    if (meta->key == NFT_META_IIFTYPE && is_value.size == 2) return family_ == TableFamily::kInet;
    if (meta->key == NFT_META_PROTOCOL && is_value.size == 2)
      return learn_network(is_value.as_network() == 0x0800, is_value.as_network() == 0x86dd) &&
             (family_ == TableFamily::kNetdev || family_ == TableFamily::kBridge);
  }
  if (const auto* payload = is<Payload>(condition->left)) {
    if (payload->base == Payload::Base::kNetwork && payload->size == 1 &&
        ((payload->offset == 9 && network_ == Header::kIp) || (payload->offset == 6 && network_ == Header::kIp6)))
      transport_ = is_value.data[0];
  }
  return false;
}

bool ToldProtocols::learn_network(bool ip, bool ip6) {
  if (ip) network_ = Header::kIp;
  if (ip6) network_ = Header::kIp6;
  return ip || ip6;
}

bool ToldProtocols::is_said_later(const std::vector<Statement>& statements, std::size_t at) const {
  const auto& condition = std::get<Condition>(statements[at]);
  const auto* meta = is<Meta>(condition.left);
  Payload::Base base = Payload::Base::kNetwork;
  if (meta == nullptr || meta->key == NFT_META_IIFTYPE) base = Payload::Base::kLink;
  if (meta != nullptr && meta->key == NFT_META_L4PROTO) {
    base = Payload::Base::kTransport;
    if (!has_ports_or_fields(condition.ranges.front().first.data[0])) return false;
  }
  for (std::size_t i = at + 1; i < statements.size(); ++i) {
    if (const auto* next = std::get_if<Condition>(&statements[i])) {
      if (same(next->left, condition.left)) return false;
      if (base == Payload::Base::kNetwork && is_of_one_network(*next) && is_said_later(statements, i)) return true;
    }
    if (base == Payload::Base::kNetwork && family_ == TableFamily::kInet && names_network(statements[i])) return true;
    if (std::visit([&](const auto& part) { return uses(part, base); }, statements[i])) return true;
  }
  return false;
}

bool ToldProtocols::fits(const Field& field, Payload::Base base) const {
  const HeaderInfo& info = info_of(field.header);
  if (info.base != base) return false;
  switch (base) {
    case Payload::Base::kLink: return true;
    case Payload::Base::kNetwork: return field.header == network_;
    case Payload::Base::kTransport:
      if (field.header == Header::kTh) return !transport_ || !has_ports_or_fields(*transport_);
      return transport_ && info.protocol == *transport_;
    case Payload::Base::kInner: return false;
  }
  return false;
}

}  // namespace kubenatd::rules::walk::nft
