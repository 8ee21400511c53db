#include "rules/walk/nft/condition_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "rules/walk/nft/element_text.h"
#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

std::string one_value(const Bytes& bytes, const Text& left) {
  if (left.parts.size() > 1) {
    const auto sizes = sizes_of(left.parts, bytes.size);
    return parts_text(bytes, bytes, sizes, left.parts, false);
  }
  return value_text(as_loaded(bytes, left), left.type);
}

std::string range_of(const std::pair<Bytes, Bytes>& range, const Text& left) {
  if (left.parts.size() > 1)
    return parts_text(range.first, range.second, sizes_of(left.parts, range.first.size), left.parts, false);
  return range_text(as_loaded(range.first, left), as_loaded(range.second, left), left.type);
}

}  // namespace

std::string ConditionPrinter::text(const Condition& condition) {
  if (condition.ranges.size() == 1 && condition.ranges.front().first == condition.ranges.front().second) {
    if (auto text = short_form(condition, condition.ranges.front().first)) return *std::move(text);
  }
  Text left = expressions_.expression(condition.left);
  const auto* bits = is<Bits>(condition.left);
  const bool single = condition.ranges.size() == 1;
  if (single) {
    const auto& [first, last] = condition.ranges.front();
    if (first == last) {
      // nft says "==" where an operation, or a type of bits, stands on the left.
      const bool say = bits != nullptr || info_of(left.type).is_bits;
      const std::string right = bits != nullptr ? bit_value(first, left) : one_value(first, left);
      return fmt::format("{} {}{}", left.words, condition.negate ? "!= " : say ? "== " : "", right);
    }
    if (left.parts.size() <= 1 && first.size == last.size) {
      if (all(last, 0xff) && !all(first, 0))
        return fmt::format("{} {} {}", left.words, condition.negate ? "<" : ">=", one_value(first, left));
      if (all(first, 0) && !all(last, 0xff))
        return fmt::format("{} {} {}", left.words, condition.negate ? ">" : "<=", one_value(last, left));
    }
    return fmt::format("{} {}{}", left.words, condition.negate ? "!= " : "", range_of(condition.ranges.front(), left));
  }
  std::vector<std::string> values;
  for (const auto& range : condition.ranges) values.push_back(range_of(range, left));
  return fmt::format("{} {}{{ {} }}", left.words, condition.negate ? "!= " : "", joined(values, ", "));
}

std::optional<std::string> ConditionPrinter::short_form(const Condition& condition, const Bytes& is_value) {
  const std::string_view negated = condition.negate ? "!= " : "";
  if (const auto* from = is<Payload>(condition.left)) {
    if (!condition.negate)
      if (auto fields_text = several_fields(*from, is_value)) return fields_text;
    const Field* field = expressions_.beginning_of(*from);
    if (field == nullptr || is_value.size != from->size) return std::nullopt;
    Bytes whole = is_value;
    whole.append(Bytes::filled(field->bits / 8 - is_value.size, 0));
    return fmt::format("{} {} {}{}/{}", info_of(field->header).name, field->name, negated,
                       value_text(whole, field->type), 8 * from->size);
  }
  if (const auto* part = is<Slice>(condition.left); part != nullptr && part->offset == 0) {
    const Text of = expressions_.expression(part->of);
    if (of.type != Type::kAddress4 && of.type != Type::kAddress6) return std::nullopt;
    Bytes whole = is_value;
    whole.append(Bytes::filled(info_of(of.type).size - std::min<std::size_t>(info_of(of.type).size, whole.size), 0));
    return fmt::format("{} {}{}/{}", of.words, negated, value_text(whole, of.type), 8 * is_value.size);
  }
  const auto* bits = is<Bits>(condition.left);
  if (bits == nullptr || !all(bits->flip, 0) || bits->mask.size != is_value.size) return std::nullopt;
  if (const auto* from = is<Payload>(bits->of))
    if (const Field* field = expressions_.cut_out(*from, bits->mask); field != nullptr)
      return fmt::format("{} {} {}{}", info_of(field->header).name, field->name, negated,
                         field_value(is_value, *field, from->offset));
  const Text of = expressions_.expression(bits->of);
  const bool address = of.type == Type::kAddress4 || of.type == Type::kAddress6;
  if (const auto length = prefix_length(bits->mask); address && length)
    return fmt::format("{} {}{}/{}", of.words, negated, value_text(is_value, of.type), *length);
  if (!info_of(of.type).is_bits) return std::nullopt;
  const auto mask = bits_text(bits->mask, of.type, ",");
  if (all(is_value, 0))
    return fmt::format("{} {}{}", of.words, condition.negate ? "" : "! ",
                       mask ? *mask : value_text(bits->mask, of.type));
  const auto value = bits_text(is_value, of.type, ",");
  if (mask && value) return fmt::format("{} {}{} / {}", of.words, negated, *value, *mask);
  return std::nullopt;
}

std::optional<std::string> ConditionPrinter::several_fields(const Payload& payload, const Bytes& value) const {
  if (value.size != payload.size) return std::nullopt;
  std::string text;
  unsigned at = 8U * payload.offset;
  const unsigned end = at + 8U * payload.size;
  int count = 0;
  while (at < end) {
    const auto all_fields = fields();
    const auto field = std::ranges::find_if(all_fields, [&](const Field& each) {
      return told_.fits(each, payload.base) && each.offset == at && each.bits % 8 == 0 && at + each.bits <= end;
    });
    if (field == all_fields.end()) return std::nullopt;
    const Bytes part = value.slice((at - 8U * payload.offset) / 8, field->bits / 8U);
    text += fmt::format("{}{} {} {}", text.empty() ? "" : " ", info_of(field->header).name, field->name,
                        value_text(part, field->type));
    at += field->bits;
    ++count;
  }
  if (count < 2) return std::nullopt;
  return text;
}

}  // namespace kubenatd::rules::walk::nft
