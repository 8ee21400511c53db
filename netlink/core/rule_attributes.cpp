#include "netlink/core/rule_attributes.h"

#include <linux/netfilter/nf_tables.h>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink {

std::string_view jump_of(std::string_view expressions) {
  std::string_view jump;
  AttributeReader reader(expressions);
  for (Attribute element; reader.next(element);) {
    if (find_attribute(element.payload, NFTA_EXPR_NAME).text() != "immediate") continue;
    const Attribute data = find_attribute(element.payload, NFTA_EXPR_DATA);
    const Attribute verdict =
        find_attribute(find_attribute(data.payload, NFTA_IMMEDIATE_DATA).payload, NFTA_DATA_VERDICT);
    if (const auto chain = find_attribute(verdict.payload, NFTA_VERDICT_CHAIN).text(); !chain.empty()) jump = chain;
  }
  return jump;
}

}  // namespace kubenatd::netlink
