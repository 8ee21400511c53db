#include "agent/explain/nft_json_rule.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace kubenatd::agent::explain {
namespace {

using nlohmann::json;
using rules::walk::ToVerdict;
using rules::walk::Verdict;
using rules::walk::nft::Clause;
using rules::walk::nft::Term;

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxParts = 64;
constexpr std::size_t kMaxText = 200;

/// For people: what was not understood.
std::string dump(const json& what) {
  std::string text = what.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxText) text = text.substr(0, kMaxText) + "...";
  return text;
}

std::string text_at(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_at(const json& object, const char* key, std::uint64_t otherwise = 0) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : otherwise;
}

bool flag_at(const json& object, const char* key) {
  if (!object.is_object()) return false;
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::vector<std::string> words_at(const json& object, const char* key) {
  std::vector<std::string> words;
  if (!object.is_object()) return words;
  const auto found = object.find(key);
  if (found == object.end()) return words;
  if (found->is_string()) words.push_back(found->get<std::string>());
  if (found->is_array())
    for (const json& word : *found)
      if (word.is_string()) words.push_back(word.get<std::string>());
  return words;
}

const json& null() {
  static const json kNull;
  return kNull;
}

const json& value_at(const json& object, const char* key) {
  if (!object.is_object()) return null();
  const auto found = object.find(key);
  return found == object.end() ? null() : *found;
}

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

std::optional<ToVerdict> verdict_of(const std::string& key, const json& what) {
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
  if (auto verdict = verdict_of(key, what)) {
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

Clause clause_of(Clause::Kind kind, std::string text = {}) {
  Clause clause;
  clause.kind = kind;
  clause.text = std::move(text);
  return clause;
}

Clause with_terms(Clause::Kind kind, const json& left, const json& right) {
  Clause clause = clause_of(kind);
  clause.terms.push_back(term_at(left, 0));
  clause.terms.push_back(term_at(right, 0));
  return clause;
}

/// A counter, quota, ... that is named, or found by a map.
Clause named(Clause::Kind kind, const std::string& words, const json& what) {
  if (what.is_string()) return clause_of(kind, fmt::format("{} \"{}\"", words, what.get_ref<const std::string&>()));
  const json& map = value_at(what, "map");
  Clause clause = clause_of(Clause::Kind::kObjectMap);
  clause.name = words;
  clause.text = words;
  clause.terms.push_back(term_at(value_at(map, "key"), 0));
  clause.terms.push_back(map_data(value_at(map, "data"), 0));
  return clause;
}

Clause nat(const std::string& name, const json& what) {
  Clause clause = clause_of(name == "tproxy" ? Clause::Kind::kTproxy : Clause::Kind::kNat);
  clause.name = name;
  clause.family = text_at(what, "family");
  if (const json& address = value_at(what, "addr"); !address.is_null()) clause.address.push_back(term_at(address, 0));
  if (const json& port = value_at(what, "port"); !port.is_null()) clause.port.push_back(term_at(port, 0));
  clause.flags = words_at(what, "flags");
  for (std::string& flag : words_at(what, "type_flags")) clause.flags.push_back(std::move(flag));
  return clause;
}

Clause reject(const json& what) {
  Clause clause = clause_of(Clause::Kind::kReject);
  clause.name = text_at(what, "type");
  if (const json& code = value_at(what, "expr"); !code.is_null()) clause.terms.push_back(term_at(code, 0));
  return clause;
}

Clause update(const json& what) {
  Clause clause = clause_of(Clause::Kind::kUpdate);
  clause.operation = text_at(what, "op");
  clause.name = text_at(what, what.contains("map") ? "map" : "set");
  if (clause.name.starts_with('@')) clause.name.erase(0, 1);
  const json& element = value_at(what, "elem");
  const json& inner = value_at(element, "elem");
  clause.terms.push_back(term_at(inner.is_object() ? value_at(inner, "val") : element, 0));
  if (const json& statements = value_at(what, "stmt"); statements.is_array())
    for (const json& statement : statements)
      if (const std::string condition = nft_condition(statement); !condition.empty())
        clause.detail.append(clause.detail.empty() ? "" : " ").append(condition);
  return clause;
}

Clause match(const json& what) {
  Clause clause = with_terms(Clause::Kind::kMatch, value_at(what, "left"), value_at(what, "right"));
  clause.operation = text_at(what, "op");
  return clause;
}

Clause clause_for(const std::string& key, const json& what, const json& statement) {
  using Kind = Clause::Kind;
  if (key == "match") return match(what);
  if (auto verdict = verdict_of(key, what)) {
    Clause clause = clause_of(Kind::kVerdict);
    clause.verdict = std::move(*verdict);
    return clause;
  }
  if (key == "counter") {
    const bool numbers = what.is_null() || (what.is_object() && !what.contains("map"));
    return numbers ? clause_of(Kind::kCounter) : named(Kind::kNoEffect, "counter name", what);
  }
  if (key == "mangle") {
    return with_terms(Kind::kChange, value_at(what, "key"), value_at(what, "value"));
  }
  if (key == "vmap") {
    Clause clause = clause_of(Kind::kVerdictMap);
    clause.terms.push_back(term_at(value_at(what, "key"), 0));
    clause.terms.push_back(map_data(value_at(what, "data"), 0));
    return clause;
  }
  if (key == "limit" || key == "quota") {
    if (what.is_string() || (what.is_object() && what.contains("map")))
      return named(Kind::kUnjudged, key + " name", what);
    return clause_of(Kind::kUnjudged, nft_condition(statement));
  }
  if (key == "ct count") return clause_of(Kind::kUnjudged, nft_condition(statement));
  if (key == "ct helper" || key == "ct timeout") return named(Kind::kNoEffect, key + " set", what);
  // It ends the rule for a connection that has a helper or is no longer new.
  if (key == "ct expectation") return named(Kind::kUnjudged, key + " set", what);
  if (key == "dnat" || key == "snat" || key == "masquerade" || key == "redirect" || key == "tproxy")
    return nat(key, what);
  if (key == "reject") return reject(what);
  if (key == "notrack") return clause_of(Kind::kNoTrack);
  if (key == "synproxy") return clause_of(Kind::kSynproxy);
  if (key == "fwd") return clause_of(Kind::kStolen);
  if ((key == "set" || key == "map") && what.is_object() && what.contains("op")) return update(what);
  if (key == "flow") return clause_of(Kind::kNever, "flow");
  if (key == "log" || key == "dup" || key == "last" || key == "reset" || key == "secmark" || key == "optstrip")
    return clause_of(Kind::kNoEffect, key);
  if (key == "xt") {
    const bool is_match = text_at(what, "type") == "match";
    return clause_of(is_match ? Kind::kUnjudged : Kind::kNotKnown,
                     fmt::format("xt {} \"{}\"", text_at(what, "type"), text_at(what, "name")));
  }
  return clause_of(Kind::kNotKnown, dump(statement));
}

}  // namespace

Clause nft_clause(const json& statement) {
  if (!statement.is_object() || statement.size() != 1) return clause_of(Clause::Kind::kNotKnown, dump(statement));
  Clause clause = clause_for(statement.begin().key(), statement.begin().value(), statement);
  if (clause.text.empty()) clause.text = dump(statement);
  return clause;
}

Term nft_term(const json& expression) {
  return term_at(expression, 0);
}

Term nft_elements(const json& elements, bool is_map) {
  return elements_at(elements, is_map, 0);
}

std::string nft_condition(const json& statement) {
  if (!statement.is_object() || statement.size() != 1) return {};
  const std::string& key = statement.begin().key();
  const json& what = statement.begin().value();
  if (key == "limit" && what.is_object()) {
    rules::walk::nft::Limit limit;
    limit.rate = number_at(what, "rate");
    limit.unit = text_at(what, "rate_unit");
    limit.per = text_at(what, "per");
    limit.burst_unit = text_at(what, "burst_unit");
    limit.burst = number_at(what, "burst", limit.unit.empty() || limit.unit == "packets" ? 5 : 0);
    limit.over = flag_at(what, "inv");
    return text_of(limit);
  }
  if (key == "quota" && what.is_object())
    return text_of(rules::walk::nft::Quota{number_at(what, "val"), text_at(what, "val_unit"), flag_at(what, "inv")});
  if (key == "ct count")
    return fmt::format("ct count {}{}", flag_at(what, "inv") ? "over " : "", number_at(what, "val"));
  if (key == "counter" || key == "last") return {};
  return key;
}

}  // namespace kubenatd::agent::explain
