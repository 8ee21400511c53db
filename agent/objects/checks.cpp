#include "agent/objects/checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/api_words.h"
#include "agent/objects/special_addresses.h"

namespace kubenatd::agent::objects {
namespace {

bool is_link_local_multicast(const rules::Address& address) {
  const auto& bytes = address.bytes;
  if (address.family == rules::Family::kIpv4) return bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0;
  return bytes[0] == 0xff && (bytes[1] & 0x0fU) == 0x02;
}

}  // namespace

void check_label_texts(const Field& field) {
  for (const auto& [name, value] : field.labels()) {
    if (const auto wrong = wrong_qualified_name(name); !wrong.empty()) field.disallow(invalid(name, wrong));
    if (const auto wrong = wrong_label_value(value); !wrong.empty()) field.disallow(invalid(value, wrong));
  }
}

void check_dual_stack(const Field& list, const std::vector<rules::Family>& families, std::string_view what) {
  if (std::ranges::count(families, rules::Family::kIpv4) > 1 || std::ranges::count(families, rules::Family::kIpv6) > 1)
    list.disallow(fmt::format("Invalid value: may specify no more than one {} for each IP family", what));
}

void check_endpoint_address(const Field& field, const rules::Address& address) {
  if (!field.is_from_folder()) return;
  const auto refuse = [&](std::string_view detail) { field.disallow(invalid(field.text(), detail)); };
  if (address.is_unspecified()) refuse(fmt::format("may not be unspecified ({})", field.text()));
  if (address.is_loopback()) refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (is_link_local(address)) refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (is_link_local_multicast(address))
    refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

void check_length(const Field& list, std::size_t length, std::size_t most) {
  if (length > most) list.disallow(too_many(length, most));
}

}  // namespace kubenatd::agent::objects
