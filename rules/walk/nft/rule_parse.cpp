#include "rules/walk/nft/rule_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "rules/walk/nft/value_read.h"
#include "rules/walk/nft/vocabulary.h"

/// Statements of nft's text.
namespace kubenatd::rules::walk::nft {
namespace {

/// After so many parts of a rule that were not understood, all the rest of it is not.
constexpr int kMaxFailures = 16;

/// Words that begin a statement, and stand nowhere else.
constexpr std::array<std::string_view, 27> kBeginnings{
    "accept",   "drop",  "return", "continue", "jump", "goto",       "queue",    "counter", "log",
    "limit",    "quota", "reject", "dnat",     "snat", "masquerade", "redirect", "tproxy",  "notrack",
    "synproxy", "dup",   "fwd",    "meta",     "ct",   "comment",    "xt",       "update",  "add"};

std::uint64_t number_in(std::string_view text) {
  return read_number(text).value_or(0);
}

}  // namespace

const Token& RuleParser::peek(std::size_t ahead) const {
  if (at_ + ahead == cut_at_) return cut_;
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

bool RuleParser::at_end() const {
  const Token& token = peek();
  return token.kind == Token::Kind::kNewline || token.kind == Token::Kind::kEnd || token.is(";") || token.is("}");
}

bool RuleParser::accept(std::string_view word) {
  if (!peek().is(word)) return false;
  ++at_;
  return true;
}

void RuleParser::skip_newlines() {
  while (peek().kind == Token::Kind::kNewline || peek().kind == Token::Kind::kComment) ++at_;
}

std::string RuleParser::text_between(std::size_t first, std::size_t last) const {
  if (first >= last) return {};
  std::string text;
  bool blank = false;
  for (const char c : text_.substr(tokens_[first].from, tokens_[last - 1].to - tokens_[first].from)) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!is_space && blank) text += ' ';
    if (!is_space) text += c;
    blank = is_space;
  }
  return text;
}

std::string RuleParser::quoted_or_word() {
  const Token& token = peek();
  if (token.kind != Token::Kind::kString && token.kind != Token::Kind::kWord) return {};
  ++at_;
  return std::string(token.text);
}

RuleParser::Rule RuleParser::rule(std::size_t& at) {
  at_ = at;
  cut_at_ = kNowhere;
  Rule rule;
  int failures = 0;
  while (!at_end()) {
    const Token& token = peek();
    if (token.kind == Token::Kind::kComment) {
      if (token.text.starts_with("xt_")) {
        const bool is_match = token.text.size() > 3 && token.text[3] >= 'a' && token.text[3] <= 'z';
        Clause clause = Clause::of(is_match ? Clause::Kind::kUnjudged : Clause::Kind::kNotKnown);
        clause.text = token.text;
        rule.clauses.push_back(std::move(clause));
      } else if (const std::size_t handle = token.text.find("handle "); handle != std::string_view::npos) {
        rule.handle = number_in(token.text.substr(handle + 7));
      }
      ++at_;
      continue;
    }
    if (token.is("comment") && peek(1).kind == Token::Kind::kString) {
      rule.comment = peek(1).text;
      at_ += 2;
      continue;
    }
    const std::size_t start = at_;
    std::optional<Clause> clause;
    if (failures < kMaxFailures) clause = statement();
    if (!clause || at_ == start) {
      ++failures;
      at_ = start;
      recover();
      clause = Clause::of(Clause::Kind::kNotKnown);
    }
    if (clause->text.empty()) clause->text = text_between(start, at_);
    if (clause->kind == Clause::Kind::kCounter && clause->terms.size() == 2)
      rule.counters = Counters{number_in(clause->terms[0].text), number_in(clause->terms[1].text)};
    rule.clauses.push_back(std::move(*clause));
  }
  if (peek().is(";")) ++at_;
  at = at_;
  return rule;
}

void RuleParser::recover() {
  do {
    const Token& token = peek();
    if ((token.is("{") || token.is("(")) && token.partner != 0) at_ = std::max<std::size_t>(at_, token.partner);
    if (peek().kind == Token::Kind::kEnd) return;
    ++at_;
    if (peek().kind == Token::Kind::kComment) return;
  } while (!at_end() &&
           !(peek().kind == Token::Kind::kWord && std::ranges::find(kBeginnings, peek().text) != kBeginnings.end()));
}

std::optional<ToVerdict> RuleParser::verdict_value() {
  static constexpr std::array<std::pair<std::string_view, Verdict>, 6> kWords{{{"accept", Verdict::kAccept},
                                                                               {"drop", Verdict::kDrop},
                                                                               {"return", Verdict::kReturn},
                                                                               {"continue", Verdict::kContinue},
                                                                               {"jump", Verdict::kJump},
                                                                               {"goto", Verdict::kGoto}}};
  if (peek().kind != Token::Kind::kWord) return std::nullopt;
  for (const auto& [word, verdict] : kWords) {
    if (peek().text != word) continue;
    ++at_;
    ToVerdict to{verdict, {}};
    if (verdict == Verdict::kJump || verdict == Verdict::kGoto) {
      to.chain = quoted_or_word();
      if (to.chain.empty()) return std::nullopt;
    }
    return to;
  }
  if (!accept("queue")) return std::nullopt;
  bool bypass = false;
  while (peek().kind == Token::Kind::kWord || peek().is(",")) {
    if (peek().is("bypass")) bypass = true;
    const bool known = peek().is("bypass") || peek().is("fanout") || peek().is("flags") || peek().is("num") ||
                       peek().is("to") || peek().is(",") || (peek().text.front() >= '0' && peek().text.front() <= '9');
    if (!known) break;
    ++at_;
  }
  return ToVerdict{bypass ? Verdict::kQueueBypass : Verdict::kQueue, {}};
}

std::optional<Clause> RuleParser::verdict() {
  const bool queue = peek().is("queue");
  auto to = verdict_value();
  if (!to) return std::nullopt;
  // "queue to symhash mod 2": the number of the queue does not matter.
  if (queue && is_load_start() && !operand()) return std::nullopt;
  Clause clause = Clause::of(Clause::Kind::kVerdict);
  clause.verdict = std::move(*to);
  return clause;
}

std::optional<Clause> RuleParser::statement() {
  const Token& token = peek();
  if (token.kind == Token::Kind::kMark) return expression_statement();
  if (token.kind != Token::Kind::kWord) return std::nullopt;
  const std::string_view word = token.text;
  if (word == "accept" || word == "drop" || word == "return" || word == "continue" || word == "jump" ||
      word == "goto" || word == "queue")
    return verdict();
  if (word == "counter") return counter();
  if (word == "log") return log();
  if (word == "limit" || word == "quota") return limit_or_quota();
  if (word == "ct") {
    if (auto clause = connection_object()) return clause;
    return expression_statement();
  }
  if (word == "dnat" || word == "snat" || word == "masquerade" || word == "redirect") return nat();
  if (word == "reject") return reject();
  if (word == "tproxy") return tproxy();
  if (word == "notrack") {
    ++at_;
    return Clause::of(Clause::Kind::kNoTrack);
  }
  if (word == "synproxy") return synproxy();
  if (word == "dup" || word == "fwd") return duplicate();
  if (word == "add" || word == "update" || word == "delete") return update();
  if (word == "xt") return xt();
  if (word == "flow") {
    at_ += 2;
    if (quoted_or_word().empty()) return std::nullopt;
    return Clause::of(Clause::Kind::kNever);
  }
  if (word == "last") {
    ++at_;
    if (accept("used")) ++at_;
    return Clause::of(Clause::Kind::kNoEffect);
  }
  if (word == "reset") {
    ++at_;
    if (!primary()) return std::nullopt;
    return Clause::of(Clause::Kind::kNoEffect);
  }
  return expression_statement();
}

std::optional<Clause> RuleParser::object(Clause::Kind kind, std::string_view name) {
  if (!is_load_start()) {
    const std::string object = quoted_or_word();
    if (object.empty()) return std::nullopt;
    Clause clause = Clause::of(kind);
    clause.text = fmt::format("{} \"{}\"", name, object);
    return clause;
  }
  Clause clause = Clause::of(Clause::Kind::kObjectMap);
  auto key = load_concat();
  if (!key || !accept("map")) return std::nullopt;
  auto map = value_one();
  if (!map) return std::nullopt;
  clause.terms.push_back(std::move(*key));
  clause.terms.push_back(std::move(*map));
  clause.name = name;
  return clause;
}

std::optional<Clause> RuleParser::counter() {
  ++at_;
  if (accept("name")) return object(Clause::Kind::kNoEffect, "counter name");
  Clause clause = Clause::of(Clause::Kind::kCounter);
  if (peek().is("packets") && peek(2).is("bytes")) {
    clause.terms.push_back(Term::symbol(std::string(peek(1).text)));
    clause.terms.push_back(Term::symbol(std::string(peek(3).text)));
    at_ += 4;
  }
  return clause;
}

std::optional<Clause> RuleParser::log() {
  ++at_;
  while (peek().is("prefix") || peek().is("level") || peek().is("flags") || peek().is("group") ||
         peek().is("snaplen") || peek().is("queue-threshold")) {
    const bool flags = peek().is("flags");
    ++at_;
    if (quoted_or_word().empty() && tokens_[at_ - 1].is("prefix")) return std::nullopt;
    while (flags && (peek().is(",") || peek().is("tcp") || peek().is("ip") || peek().is("sequence") ||
                     peek().is("options") || peek().is("skuid") || peek().is("ether"))) {
      // "flags tcp sequence,options": but "tcp dport" is the next statement.
      const bool is_name = peek().is("tcp") || peek().is("ip");
      if (is_name && !tokens_[at_ - 1].is(",")) break;
      ++at_;
    }
  }
  return Clause::of(Clause::Kind::kNoEffect);
}

std::string RuleParser::condition(std::size_t& at) {
  at_ = at;
  std::string text = [this]() -> std::string {
    if (accept("limit")) {
      if (!accept("rate")) return {};
      Limit limit;
      limit.over = accept("over");
      if (!limit.over) accept("until");
      // "10/second", "10 mbytes/second"
      std::string rate = quoted_or_word();
      std::size_t slash = rate.find('/');
      if (slash == std::string::npos) {
        limit.rate = number_in(rate);
        rate = quoted_or_word();
        slash = rate.find('/');
        if (slash == std::string::npos) return {};
        limit.unit = rate.substr(0, slash);
      } else {
        limit.rate = number_in(std::string_view(rate).substr(0, slash));
      }
      limit.per = rate.substr(slash + 1);
      limit.burst = limit.unit.empty() || limit.unit == "packets" ? 5 : 0;
      if (accept("burst")) {
        limit.burst = number_in(quoted_or_word());
        limit.burst_unit = quoted_or_word();
      }
      return text_of(limit);
    }
    if (accept("quota")) {
      const bool over = accept("over");
      if (!over) accept("until");
      const std::uint64_t count = number_in(quoted_or_word());
      const std::string unit = quoted_or_word();
      if (accept("used")) at_ += 2;
      return text_of(Quota{count, unit, over});
    }
    if (peek().is("ct") && peek(1).is("count")) {
      at_ += 2;
      const bool over = accept("over");
      return fmt::format("ct count {}{}", over ? "over " : "", quoted_or_word());
    }
    return {};
  }();
  if (!text.empty()) at = at_;
  return text;
}

std::optional<Clause> RuleParser::limit_or_quota() {
  const bool limit = peek().is("limit");
  if (peek(1).is("name")) {
    at_ += 2;
    return object(Clause::Kind::kUnjudged, limit ? "limit name" : "quota name");
  }
  std::size_t at = at_;
  Clause clause = Clause::of(Clause::Kind::kUnjudged);
  clause.text = condition(at);
  if (clause.text.empty()) return std::nullopt;
  return clause;
}

std::optional<Clause> RuleParser::connection_object() {
  if (peek(1).is("count")) {
    std::size_t at = at_;
    Clause clause = Clause::of(Clause::Kind::kUnjudged);
    clause.text = condition(at);
    if (clause.text.empty()) return std::nullopt;
    return clause;
  }
  const bool named = peek(1).is("helper") || peek(1).is("timeout") || peek(1).is("expectation");
  if (!named || !peek(2).is("set")) return std::nullopt;
  const std::string name = fmt::format("ct {} set", peek(1).text);
  // It ends the rule for a connection that has a helper or is no longer new.
  const bool decides = peek(1).is("expectation");
  at_ += 3;
  return object(decides ? Clause::Kind::kUnjudged : Clause::Kind::kNoEffect, name);
}

std::optional<Clause> RuleParser::expression_statement() {
  auto left = load_concat();
  if (!left) return std::nullopt;
  if (accept("vmap")) {
    auto map = value_one();
    if (!map) return std::nullopt;
    Clause clause = Clause::of(Clause::Kind::kVerdictMap);
    clause.terms.push_back(std::move(*left));
    clause.terms.push_back(std::move(*map));
    return clause;
  }
  if (accept("set")) {
    auto right = operand();
    if (!right) return std::nullopt;
    Clause clause = Clause::of(Clause::Kind::kChange);
    clause.terms.push_back(std::move(*left));
    clause.terms.push_back(std::move(*right));
    return clause;
  }
  Clause clause = Clause::of(Clause::Kind::kMatch);
  for (const std::string_view operation : {"==", "!=", "<=", ">=", "<", ">", "!"}) {
    if (!accept(operation)) continue;
    clause.operation = operation;
    break;
  }
  auto right = value(true);
  if (!right) return std::nullopt;
  if (accept("/")) {
    // "tcp flags syn / fin,syn": of the bits behind it, those in front and no others.
    auto mask = value(true);
    if (!mask) return std::nullopt;
    Term bits = Term::of(Term::Kind::kBinary, "&");
    bits.parts.push_back(std::move(*left));
    bits.parts.push_back(std::move(*mask));
    left = std::move(bits);
    if (clause.operation.empty()) clause.operation = "==";
  }
  clause.terms.push_back(std::move(*left));
  clause.terms.push_back(std::move(*right));
  return clause;
}

}  // namespace kubenatd::rules::walk::nft
