#include "test/support/fake/faults.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include "netlink/core/names.h"

namespace kubenatd::test::fake {
namespace {

using netlink::Attribute;
using netlink::AttributeReader;
using netlink::find_attribute;

FakeMessage describe(const Request& request, std::uint32_t port_id) {
  FakeMessage message;
  message.type = request.operation();
  message.family = netlink::family_of(request.family());
  message.attributes = request.attributes();
  message.port_id = port_id;
  // The first attribute names the table, whatever the message is about.
  static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1 &&
                NFTA_SET_ELEM_LIST_TABLE == 1);
  message.table = request.text(NFTA_TABLE_NAME);
  switch (message.type) {
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_GETCHAIN:
    case NFT_MSG_DELCHAIN: message.name = request.text(NFTA_CHAIN_NAME); break;
    case NFT_MSG_NEWTABLE:
    case NFT_MSG_GETTABLE:
    case NFT_MSG_DELTABLE:
    case NFT_MSG_GETGEN: break;
    default:
      static_assert(NFTA_RULE_CHAIN == 2 && NFTA_SET_NAME == 2 && NFTA_SET_ELEM_LIST_SET == 2);
      message.name = request.text(NFTA_RULE_CHAIN);
  }
  return message;
}

/// "fib", "match recent"
bool is_expression(const Attribute& expression, std::string_view wanted) {
  std::string name(find_attribute(expression.payload, NFTA_EXPR_NAME).text());
  if (name == "match" || name == "target") {
    const std::string_view data = find_attribute(expression.payload, NFTA_EXPR_DATA).payload;
    name.append(" ").append(find_attribute(data, NFTA_MATCH_NAME).text());
  }
  return name == wanted;
}

}  // namespace

bool Faults::take(std::size_t& count) {
  if (count == 0) return false;
  if (count != kForever) --count;
  return true;
}

void Faults::refuse(MessageTest test, int code, std::size_t times) {
  orders_.push_back({std::move(test), {}, {}, code, times});
}

void Faults::refuse_element(ElementTest test, int code, std::size_t times) {
  orders_.push_back({{}, std::move(test), {}, code, times});
}

void Faults::refuse_expression(std::string name, int code, std::size_t times) {
  orders_.push_back({{}, {}, std::move(name), code, times});
}

void Faults::forget_refusals() {
  orders_.clear();
}

std::optional<Problem> Faults::asked(const Request& request, std::uint32_t port_id) {
  if (orders_.empty()) return std::nullopt;
  const FakeMessage message = describe(request, port_id);
  for (Order& order : orders_) {
    if (order.left == 0) continue;
    if (order.message) {
      if (order.message(message) && take(order.left)) return Problem{order.code, 0, {}};
      continue;
    }
    const bool in_rule = !order.expression.empty();
    if (in_rule ? message.type != NFT_MSG_NEWRULE
                : message.type != NFT_MSG_NEWSETELEM && message.type != NFT_MSG_DELSETELEM)
      continue;
    const auto list =
        request.find(in_rule ? std::uint16_t{NFTA_RULE_EXPRESSIONS} : std::uint16_t{NFTA_SET_ELEM_LIST_ELEMENTS});
    AttributeReader reader(list ? list->payload : std::string_view());
    for (Attribute part; reader.next(part);) {
      const bool is_wanted = in_rule ? is_expression(part, order.expression) : order.element(message, part.payload);
      if (is_wanted && take(order.left)) return request.refuse(order.code, part).error();
    }
  }
  return std::nullopt;
}

}  // namespace kubenatd::test::fake
