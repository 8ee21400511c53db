#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/address.h"
#include "rules/chain_name.h"

/// Numbers and words of nf_tables for families and tables.
namespace kubenatd::netlink {

[[nodiscard]] constexpr std::uint8_t number_of(rules::Family family) {
  return family == rules::Family::kIpv4 ? AF_INET : AF_INET6;
}

[[nodiscard]] constexpr std::optional<rules::Family> family_of(std::uint8_t number) {
  if (number == AF_INET) return rules::Family::kIpv4;
  if (number == AF_INET6) return rules::Family::kIpv6;
  return std::nullopt;
}

[[nodiscard]] constexpr std::optional<rules::Table> table_of(std::string_view name) {
  for (const rules::Table table : {rules::Table::kFilter, rules::Table::kNat, rules::Table::kMangle})
    if (rules::name_of(table) == name) return table;
  return std::nullopt;
}

/// "ip nat KUBE-SERVICES", as nft writes it; without a chain "ip nat".
[[nodiscard]] inline std::string describe_object(rules::Family family, std::string_view table, std::string_view chain) {
  std::string text = family == rules::Family::kIpv4 ? "ip " : "ip6 ";
  text += table;
  if (!chain.empty()) text.append(" ").append(chain);
  return text;
}

}  // namespace kubenatd::netlink
