#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <string_view>

#include "netlink/core/attributes.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::netlink::nftables {
namespace {

bool is_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

/// Every attribute of `one` that is not zero is in `other`, with the same content.
bool covers(std::string_view one, std::string_view other) {
  AttributeReader reader(one);
  for (Attribute attribute; reader.next(attribute);) {
    if (is_zero(attribute.payload)) continue;
    if (find_attribute(other, attribute.type).payload != attribute.payload) return false;
  }
  return reader.complete();
}

}  // namespace

bool same_expressions(std::string_view one, std::string_view other) {
  AttributeReader ours(one), theirs(other);
  Attribute left, right;
  for (;;) {
    const bool more = ours.next(left);
    if (more != theirs.next(right)) return false;
    if (!more) return ours.complete() && theirs.complete();
    if (find_attribute(left.payload, NFTA_EXPR_NAME).text() != find_attribute(right.payload, NFTA_EXPR_NAME).text())
      return false;
    const std::string_view mine = find_attribute(left.payload, NFTA_EXPR_DATA).payload;
    const std::string_view live = find_attribute(right.payload, NFTA_EXPR_DATA).payload;
    if (!covers(mine, live) || !covers(live, mine)) return false;
  }
}

}  // namespace kubenatd::netlink::nftables
