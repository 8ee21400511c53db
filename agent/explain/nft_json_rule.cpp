#include "agent/explain/nft_json_rule.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/explain/nft_json_members.h"
#include "agent/explain/nft_json_term.h"

namespace kubenatd::agent::explain {
namespace {

using nlohmann::json;
using rules::walk::nft::Clause;

Clause with_terms(Clause::Kind kind, const json& left, const json& right) {
  Clause clause = Clause::of(kind);
  clause.terms.push_back(nft_term(left));
  clause.terms.push_back(nft_term(right));
  return clause;
}

/// A counter, quota, ... that is named, or found by a map.
Clause named(Clause::Kind kind, const std::string& words, const json& what) {
  if (what.is_string()) return Clause::of(kind, fmt::format("{} \"{}\"", words, what.get_ref<const std::string&>()));
  const json& map = value_at(what, "map");
  Clause clause = Clause::of(Clause::Kind::kObjectMap);
  clause.name = words;
  clause.text = words;
  clause.terms.push_back(nft_term(value_at(map, "key")));
  clause.terms.push_back(nft_map_data(value_at(map, "data")));
  return clause;
}

Clause nat(const std::string& name, const json& what) {
  Clause clause = Clause::of(name == "tproxy" ? Clause::Kind::kTproxy : Clause::Kind::kNat);
  clause.name = name;
  clause.family = text_at(what, "family");
  if (const json& address = value_at(what, "addr"); !address.is_null()) clause.address.push_back(nft_term(address));
  if (const json& port = value_at(what, "port"); !port.is_null()) clause.port.push_back(nft_term(port));
  clause.flags = words_at(what, "flags");
  for (std::string& flag : words_at(what, "type_flags")) clause.flags.push_back(std::move(flag));
  return clause;
}

Clause reject(const json& what) {
  Clause clause = Clause::of(Clause::Kind::kReject);
  clause.name = text_at(what, "type");
  if (const json& code = value_at(what, "expr"); !code.is_null()) clause.terms.push_back(nft_term(code));
  return clause;
}

Clause update(const json& what) {
  Clause clause = Clause::of(Clause::Kind::kUpdate);
  clause.operation = text_at(what, "op");
  clause.name = text_at(what, what.contains("map") ? "map" : "set");
  if (clause.name.starts_with('@')) clause.name.erase(0, 1);
  const json& element = value_at(what, "elem");
  const json& inner = value_at(element, "elem");
  clause.terms.push_back(nft_term(inner.is_object() ? value_at(inner, "val") : element));
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
  if (auto verdict = nft_verdict(key, what)) {
    Clause clause = Clause::of(Kind::kVerdict);
    clause.verdict = std::move(*verdict);
    return clause;
  }
  if (key == "counter") {
    const bool numbers = what.is_null() || (what.is_object() && !what.contains("map"));
    return numbers ? Clause::of(Kind::kCounter) : named(Kind::kNoEffect, "counter name", what);
  }
  if (key == "mangle") {
    return with_terms(Kind::kChange, value_at(what, "key"), value_at(what, "value"));
  }
  if (key == "vmap") {
    Clause clause = Clause::of(Kind::kVerdictMap);
    clause.terms.push_back(nft_term(value_at(what, "key")));
    clause.terms.push_back(nft_map_data(value_at(what, "data")));
    return clause;
  }
  if (key == "limit" || key == "quota") {
    if (what.is_string() || (what.is_object() && what.contains("map")))
      return named(Kind::kUnjudged, key + " name", what);
    return Clause::of(Kind::kUnjudged, nft_condition(statement));
  }
  if (key == "ct count") return Clause::of(Kind::kUnjudged, nft_condition(statement));
  if (key == "ct helper" || key == "ct timeout") return named(Kind::kNoEffect, key + " set", what);
  // It ends the rule for a connection that has a helper or is no longer new.
  if (key == "ct expectation") return named(Kind::kUnjudged, key + " set", what);
  if (key == "dnat" || key == "snat" || key == "masquerade" || key == "redirect" || key == "tproxy")
    return nat(key, what);
  if (key == "reject") return reject(what);
  if (key == "notrack") return Clause::of(Kind::kNoTrack);
  if (key == "synproxy") return Clause::of(Kind::kSynproxy);
  if (key == "fwd") return Clause::of(Kind::kStolen);
  if ((key == "set" || key == "map") && what.is_object() && what.contains("op")) return update(what);
  if (key == "flow") return Clause::of(Kind::kNever, "flow");
  if (key == "log" || key == "dup" || key == "last" || key == "reset" || key == "secmark" || key == "optstrip")
    return Clause::of(Kind::kNoEffect, key);
  if (key == "xt") {
    const bool is_match = text_at(what, "type") == "match";
    return Clause::of(is_match ? Kind::kUnjudged : Kind::kNotKnown,
                      fmt::format("xt {} \"{}\"", text_at(what, "type"), text_at(what, "name")));
  }
  return Clause::of(Kind::kNotKnown, dump(statement));
}

}  // namespace

Clause nft_clause(const json& statement) {
  if (!statement.is_object() || statement.size() != 1) return Clause::of(Clause::Kind::kNotKnown, dump(statement));
  Clause clause = clause_for(statement.begin().key(), statement.begin().value(), statement);
  if (clause.text.empty()) clause.text = dump(statement);
  return clause;
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
