#include "rules/walk/xt/match_forms.h"

/// The matches (-m) of a rule's text.
namespace kubenatd::rules::walk::xt {

std::optional<std::pair<std::uint16_t, std::uint16_t>> read_range(std::string_view text) {
  constexpr std::uint32_t kHighest = 65535;
  const auto colon = text.find(':');
  const std::string_view low = text.substr(0, colon);
  const std::string_view high = colon == text.npos ? low : text.substr(colon + 1);
  const bool open = colon != text.npos;
  const auto first = open && low.empty() ? 0 : read_number(low, kHighest);
  const auto last = open && high.empty() ? kHighest : read_number(high, kHighest);
  if (!first || !last || text == ":") return std::nullopt;
  return std::pair(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
}

void add_to_model(Parts& parts, Match match) {
  if (parts.model) parts.model->matches.push_back(std::move(match));
}

bool read_never(const Group& group, Parts& parts) {
  parts.model.reset();
  parts.statements.emplace_back(Never{std::string(group.text), Part::kOther});
  return true;
}

bool read_unjudged(const Group& /*group*/, Parts& /*parts*/) {
  return false;
}

const Form* match_form(std::string_view name) {
  for (const auto forms : {history_forms(), transport_forms(), packet_forms(), connection_forms(), node_forms()}) {
    const auto found = std::ranges::find(forms, name, &Form::name);
    if (found != forms.end()) return &*found;
  }
  return nullptr;
}

}  // namespace kubenatd::rules::walk::xt
