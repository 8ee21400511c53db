#include "rules/walk/nft/element_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

}  // namespace

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::string verdict_text(const ToVerdict& verdict) {
  switch (verdict.verdict) {
    case Verdict::kAccept: return "accept";
    case Verdict::kDrop: return "drop";
    case Verdict::kReturn: return "return";
    case Verdict::kContinue: return "continue";
    case Verdict::kJump: return "jump " + verdict.chain;
    case Verdict::kGoto: return "goto " + verdict.chain;
    case Verdict::kQueue: return "queue";
    case Verdict::kQueueBypass: return "queue flags bypass";
    case Verdict::kStolen: return "stolen";
  }
  return "";
}

std::string parts_text(const Bytes& first, const Bytes& last, const std::vector<std::uint16_t>& sizes,
                       const std::vector<Type>& types, bool turn) {
  std::vector<std::string> words;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Type type = i < types.size() ? types[i] : Type::kUnknown;
    Bytes low = first.slice(at, sizes[i]);
    Bytes high = last.slice(at, sizes[i]);
    if (turn && info_of(type).host_order) {
      low = turned(low);
      high = turned(high);
    }
    words.push_back(low != high && all(low, 0) && all(high, 0xff) && sizes.size() == 1 ? "*"
                                                                                       : range_text(low, high, type));
    at += filled_up(sizes[i]);
  }
  return joined(words, " . ");
}

std::vector<std::uint16_t> sizes_of(const std::vector<Type>& types, std::size_t whole) {
  std::vector<std::uint16_t> sizes;
  for (const Type type : types) sizes.push_back(info_of(type).size);
  if (sizes.size() <= 1 || std::ranges::find(sizes, 0) != sizes.end()) return {static_cast<std::uint16_t>(whole)};
  return sizes;
}

std::string element_text(const SetElement& element, const WalkSet& set, const std::vector<Type>& types,
                         const std::vector<Type>& data_types, bool any) {
  std::string text = any ? "*" : parts_text(element.first, element.last, set.parts, types, set.interval);
  if (!element.comment.empty()) text += " comment " + in_quotes(element.comment);
  if (element.verdict) return text + " : " + verdict_text(*element.verdict);
  if (!set.is_map || element.data.size == 0) return text;
  // Data that is a range is its first and its last value.
  std::size_t whole = 0;
  for (const Type type : data_types)
    whole += data_types.size() == 1 ? info_of(type).size : filled_up(info_of(type).size);
  const std::size_t half = element.data.size / 2U;
  const bool range = whole != 0 && whole == half && element.data.size % 2 == 0;
  const Bytes first = range ? element.data.slice(0, half) : element.data;
  const Bytes last = range ? element.data.slice(half, half) : element.data;
  text += " : " + parts_text(first, last, sizes_of(data_types, first.size), data_types, false);
  return text;
}

}  // namespace kubenatd::rules::walk::nft
