#include <algorithm>

#include "rules/walk/nft/parse_limits.h"
#include "rules/walk/nft/rule_parse.h"
#include "rules/walk/nft/value_read.h"
#include "rules/walk/nft/vocabulary.h"

/// Constants, lists and elements of sets in nft's text.
namespace kubenatd::rules::walk::nft {

std::optional<Term> RuleParser::value(bool lists) {
  auto first = value_binary();
  if (!first) return first;
  if (peek().is(".")) {
    Term all = Term::of(Term::Kind::kConcat);
    all.parts.push_back(std::move(*first));
    while (accept(".")) {
      auto next = value_binary();
      if (!next || all.parts.size() >= kMaxParts) return std::nullopt;
      all.parts.push_back(std::move(*next));
    }
    return all;
  }
  if (!lists || !peek().is(",")) return first;
  Term all = Term::of(Term::Kind::kList);
  all.parts.push_back(std::move(*first));
  while (accept(",")) {
    auto next = value_binary();
    if (!next || all.parts.size() >= kMaxParts) return std::nullopt;
    all.parts.push_back(std::move(*next));
  }
  return all;
}

std::optional<Term> RuleParser::value_binary() {
  auto left = value_one();
  for (std::size_t count = 0; left && (peek().is("|") || peek().is("&") || peek().is("^")); ++count) {
    if (count >= kMaxParts) return std::nullopt;
    Term both = Term::of(Term::Kind::kBinary, std::string(peek().text));
    ++at_;
    auto right = value_one();
    if (!right) return std::nullopt;
    both.parts.push_back(std::move(*left));
    both.parts.push_back(std::move(*right));
    left = std::move(both);
  }
  return left;
}

std::optional<Term> RuleParser::value_one() {
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return std::nullopt;
  const Token& token = peek();
  if (token.is("{")) {
    if (token.partner == 0 || tokens_[token.partner].kind == Token::Kind::kEnd) return std::nullopt;
    std::size_t at = at_;
    return elements(at);
  }
  if (accept("(")) {
    auto inner = value_binary();
    if (!inner || !accept(")")) return std::nullopt;
    return inner;
  }
  if (token.kind == Token::Kind::kString) {
    ++at_;
    Term term = Term::symbol(std::string(token.text));
    term.quoted = true;
    // "17:00"-"19:00"
    if (peek().is("-") && peek().glued && peek(1).kind == Token::Kind::kString) {
      Term range = Term::of(Term::Kind::kRange);
      range.parts.push_back(std::move(term));
      range.parts.push_back(Term::symbol(std::string(peek(1).text)));
      range.parts.back().quoted = true;
      at_ += 2;
      return range;
    }
    return term;
  }
  if (token.kind != Token::Kind::kWord || token.text == "." || token.text == ":" || token.text == "/")
    return std::nullopt;
  ++at_;
  if (token.text == "*") return Term::of(Term::Kind::kAny);
  if (token.text.size() > 1 && token.text.starts_with('@'))
    return Term::of(Term::Kind::kSetName, std::string(token.text.substr(1)));
  return Term::symbol(std::string(token.text));
}

Term RuleParser::elements(std::size_t& at) {
  at_ = at;
  Term set = Term::of(Term::Kind::kSet);
  const std::size_t end = std::min<std::size_t>(peek().partner, tokens_.size() - 1);
  ++at_;
  skip_newlines();
  while (at_ < end && !peek().is("}")) {
    set.parts.push_back(element());
    // To the next one, whatever was left.
    while (at_ < end && !peek().is(",") && !peek().is("}")) {
      if ((peek().is("{") || peek().is("(")) && peek().partner > at_) at_ = peek().partner;
      ++at_;
    }
    accept(",");
    skip_newlines();
  }
  at_ = std::max(at_, end) + 1;
  at = at_;
  return set;
}

Term RuleParser::element() {
  Term term = Term::of(Term::Kind::kElement);
  auto key = value(false);
  term.parts.push_back(key ? std::move(*key) : Term::unknown("element"));
  const auto ends = [this] { return peek().is(",") || peek().is("}") || peek().kind == Token::Kind::kEnd; };
  while (!ends()) {
    skip_newlines();
    if (accept(":")) {
      skip_newlines();
      if (auto to = verdict_value()) {
        Term data = Term::of(Term::Kind::kVerdict);
        data.verdict = std::move(*to);
        term.parts.push_back(std::move(data));
      } else if (auto data_value = value(false)) {
        term.parts.push_back(std::move(*data_value));
      } else {
        return term;
      }
      continue;
    }
    if (peek().is("comment") && peek(1).kind == Token::Kind::kString) {
      term.text = peek(1).text;
      at_ += 2;
    } else if (peek().is("timeout") || peek().is("expires")) {
      at_ += 2;
    } else if (accept("counter")) {
      if (peek().is("packets")) at_ += 4;
    } else if (peek().is("last")) {
      at_ += 3;
    } else if (!ends()) {
      // A limit, a quota, or what is not known: it may keep the element from being found.
      const bool to_data = peek().is("limit") || peek().is("quota") || peek().is("ct");
      term.conditional = true;
      ++at_;
      if (!to_data) continue;
      while (!ends() && !peek().is(":") && !peek().is("comment") && !peek().is("timeout")) ++at_;
    }
  }
  return term;
}

std::optional<Term> RuleParser::typeof_expression(std::size_t& at) {
  at_ = at;
  auto term = load_concat();
  at = at_;
  return term;
}

}  // namespace kubenatd::rules::walk::nft
