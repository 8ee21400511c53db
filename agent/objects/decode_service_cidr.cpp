#include <fmt/format.h>

#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

/// The kind is newer than others, and its prefixes have only one form.
void check_form(const Field& field, const rules::Prefix& prefix) {
  const std::string text = field.text();
  if (text != prefix.to_string())
    field.disallow(invalid(text, fmt::format("must be in canonical form ({})", prefix.to_string())));
}

}  // namespace

ServiceCidr decode_service_cidr(const Field& root, ObjectKey key) {
  ServiceCidr ranges;
  ranges.key = std::move(key);
  const Field list = root.member("spec").member("cidrs");
  const std::vector<Field> elements = list.elements();
  if (elements.empty()) list.disallow(required("at least one CIDR required"));
  if (elements.size() > 2) list.disallow("Invalid value: may only hold up to 2 values");
  std::vector<rules::Family> families;
  for (const Field& element : elements)
    if (const auto prefix = element.prefix(Wrong::kRefuse)) {
      check_form(element, *prefix);
      ranges.cidrs.push_back(*prefix);
      families.push_back(prefix->address.family);
    }
  check_dual_stack(list, families, "IP");
  return ranges;
}

}  // namespace kubenatd::agent::objects
