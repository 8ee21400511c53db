#include "agent/explain/nft_json_term.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/explain/nft_json_members.h"

namespace kubenatd::agent::explain {
namespace {

using nlohmann::json;
using rules::walk::ToVerdict;
using rules::walk::Verdict;
using rules::walk::nft::Term;

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxParts = 64;

Term term_at(const json& what, int depth);

Term several(Term::Kind kind, const json& list, int depth) {
  Term all = Term::of(kind);
  if (!list.is_array() || list.size() > kMaxParts) return Term::unknown(dump(list));
  for (const json& part : list) all.parts.push_back(term_at(part, depth));
  return all;
}

/// An element's own name for its key: "elem" has a comment, timeouts and the like beside it.
void element_key(const json& what, Term& element, int depth) {
  const json& inner = value_at(what, "elem");
  if (!inner.is_object()) {
    element.parts.push_back(term_at(what, depth));
    return;
  }
  element.parts.push_back(term_at(value_at(inner, "val"), depth));
  element.text = text_at(inner, "comment");
  for (const auto& [key, value] : inner.items()) {
    const bool known =
        key == "val" || key == "comment" || key == "timeout" || key == "expires" || key == "counter" || key == "last";
    element.conditional = element.conditional || !known;
  }
}

Term elements_at(const json& list, bool is_map, int depth) {
  Term set = Term::of(Term::Kind::kSet);
  const auto add = [&](const json& what) {
    Term element = Term::of(Term::Kind::kElement);
    if (is_map && what.is_array() && what.size() == 2) {
      element_key(what[0], element, depth);
      element.parts.push_back(term_at(what[1], depth));
    } else {
      element_key(what, element, depth);
    }
    set.parts.push_back(std::move(element));
  };
  if (list.is_array()) {
    set.parts.reserve(list.size());
    for (const json& what : list) add(what);
  } else {
    add(list);
  }
  return set;
}

/// What stands on the right of "vmap" and "map": a set of pairs, or a name.
Term map_data(const json& data, int depth) {
  const json& set = value_at(data, "set");
  return set.is_null() ? term_at(data, depth) : elements_at(set, true, depth);
}

Term payload(const json& what) {
  const std::string base = text_at(what, "base");
  if (!base.empty()) {
    Term term = Term::of(Term::Kind::kRawPayload, base);
    term.number = number_at(what, "offset");
    term.second = number_at(what, "len");
    return term;
  }
  if (what.is_object() && (what.contains("tunnel") || text_at(what, "protocol").empty()))
    return Term::unknown(dump(what));
  Term term = Term::of(Term::Kind::kPayload, text_at(what, "protocol"));
  term.name = text_at(what, "field");
  return term;
}

Term option(std::string kind, const json& what) {
  Term term = Term::of(Term::Kind::kOption, std::move(kind));
  if (what.is_object() && what.contains("base")) {
    term.kind = Term::Kind::kRawOption;
    term.number = number_at(what, "base");
    term.second = number_at(what, "offset");
    term.third = number_at(what, "len");
    return term;
  }
  term.name = text_at(what, "name");
  const std::string field = text_at(what, "field");
  if (!field.empty()) term.words.push_back(field);
  return term;
}

Term with_family(Term::Kind kind, const json& what) {
  Term term = Term::of(kind, text_at(what, "dir"));
  const std::string family = text_at(what, "family");
  term.name = family.empty() ? text_at(what, "key") : family + " " + text_at(what, "key");
  return term;
}

Term draw(const std::string& kind, const json& what, int depth) {
  Term term = Term::of(Term::Kind::kDraw, kind == "numgen" ? text_at(what, "mode") : kind);
  term.number = number_at(what, "mod");
  term.second = number_at(what, "offset");
  if (what.contains("seed")) term.name = std::to_string(number_at(what, "seed"));
  if (kind == "jhash") term.parts.push_back(term_at(value_at(what, "expr"), depth));
  return term;
}

Term binary(const std::string& operation, const json& what, int depth) {
  if (!what.is_array() || what.size() < 2 || what.size() > kMaxParts) return Term::unknown(dump(what));
  Term left = term_at(what[0], depth);
  for (std::size_t i = 1; i < what.size(); ++i) {
    Term both = Term::of(Term::Kind::kBinary, operation);
    both.parts.push_back(std::move(left));
    both.parts.push_back(term_at(what[i], depth));
    left = std::move(both);
  }
  return left;
}

Term object(const std::string& key, const json& what, int depth) {
  if (key == "concat") return several(Term::Kind::kConcat, what, depth);
  if (key == "set") return elements_at(what, false, depth);
  if (key == "map") {
    Term map = Term::of(Term::Kind::kMap, "map");
    map.parts.push_back(term_at(value_at(what, "key"), depth));
    map.parts.push_back(map_data(value_at(what, "data"), depth));
    return map;
  }
  if (key == "prefix") {
    Term prefix = Term::of(Term::Kind::kPrefix);
    prefix.parts.push_back(term_at(value_at(what, "addr"), depth));
    prefix.number = number_at(what, "len");
    return prefix;
  }
  if (key == "range") return several(Term::Kind::kRange, what, depth);
  if (key == "payload") return payload(what);
  if (key == "exthdr" || key == "tcp option" || key == "ip option" || key == "sctp chunk") return option(key, what);
  if (key == "meta") {
    Term term = Term::of(Term::Kind::kMeta);
    term.name = text_at(what, "key");
    return term;
  }
  if (key == "ct") return with_family(Term::Kind::kCt, what);
  if (key == "rt") return with_family(Term::Kind::kRoute, what);
  if (key == "fib") {
    Term term = Term::of(Term::Kind::kFib);
    term.name = text_at(what, "result");
    term.words = words_at(what, "flags");
    return term;
  }
  if (key == "socket") {
    Term term = Term::of(Term::Kind::kSocket);
    term.name = text_at(what, "key");
    return term;
  }
  if (key == "numgen" || key == "jhash" || key == "symhash") return draw(key, what, depth);
  if (key == "&" || key == "|" || key == "^" || key == "<<" || key == ">>") return binary(key, what, depth);
  if (auto verdict = nft_verdict(key, what)) {
    Term term = Term::of(Term::Kind::kVerdict);
    term.verdict = std::move(*verdict);
    return term;
  }
  return Term::unknown(key);
}

Term term_at(const json& what, int depth) {
  if (depth > kMaxDepth) return Term::unknown("too deep");
  switch (what.type()) {
    case json::value_t::string: {
      const auto& text = what.get_ref<const std::string&>();
      if (text == "*") return Term::of(Term::Kind::kAny);
      if (text.size() > 1 && text.front() == '@') return Term::of(Term::Kind::kSetName, text.substr(1));
      return Term::symbol(text);
    }
    case json::value_t::number_integer:
    case json::value_t::number_unsigned: return Term::symbol(what.dump());
    case json::value_t::boolean: return Term::symbol(what.get<bool>() ? "true" : "false");
    case json::value_t::array: return several(Term::Kind::kList, what, depth + 1);
    case json::value_t::object:
      if (what.size() == 1) return object(what.begin().key(), what.begin().value(), depth + 1);
      return Term::unknown(dump(what));
    default: return Term::unknown(dump(what));
  }
}

}  // namespace

std::optional<ToVerdict> nft_verdict(const std::string& key, const json& what) {
  static constexpr std::array<std::pair<std::string_view, Verdict>, 6> kVerdicts{{{"accept", Verdict::kAccept},
                                                                                  {"drop", Verdict::kDrop},
                                                                                  {"return", Verdict::kReturn},
                                                                                  {"continue", Verdict::kContinue},
                                                                                  {"jump", Verdict::kJump},
                                                                                  {"goto", Verdict::kGoto}}};
  for (const auto& [word, verdict] : kVerdicts)
    if (key == word) return ToVerdict{verdict, text_at(what, "target")};
  if (key != "queue") return std::nullopt;
  bool bypass = false;
  for (const std::string& flag : words_at(what, "flags")) bypass = bypass || flag == "bypass";
  return ToVerdict{bypass ? Verdict::kQueueBypass : Verdict::kQueue, {}};
}

Term nft_term(const json& expression) {
  return term_at(expression, 0);
}

Term nft_elements(const json& elements, bool is_map) {
  return elements_at(elements, is_map, 0);
}

Term nft_map_data(const json& data) {
  return map_data(data, 0);
}

}  // namespace kubenatd::agent::explain
