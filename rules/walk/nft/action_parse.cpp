#include <algorithm>
#include <array>

#include "rules/walk/nft/rule_parse.h"
#include "rules/walk/nft/value_read.h"
#include "rules/walk/nft/vocabulary.h"

/// What nft's text does with a packet: translations, refusals, copies, elements.
namespace kubenatd::rules::walk::nft {

std::optional<Clause> RuleParser::reject() {
  ++at_;
  Clause clause = Clause::of(Clause::Kind::kReject);
  if (!accept("with")) return clause;
  if (accept("tcp")) {
    if (!accept("reset")) return std::nullopt;
    clause.name = "tcp reset";
    return clause;
  }
  clause.name = quoted_or_word();
  accept("type");
  std::string code = quoted_or_word();
  if (code.empty()) return std::nullopt;
  clause.terms.push_back(Term::symbol(std::move(code)));
  return clause;
}

void RuleParser::nat_flags(Clause& clause) {
  while (peek().is("random") || peek().is("fully-random") || peek().is("persistent")) {
    clause.flags.emplace_back(peek().text);
    ++at_;
    if (!accept(",")) return;
  }
}

/// ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, :PORT, with ranges, maps and what is looked at in place of both.
bool RuleParser::endpoint(Clause& clause) {
  if (at_end() || peek().kind == Token::Kind::kComment) return true;
  const auto port = [&](std::string_view text) {
    if (read_number(text.substr(0, text.find('-')))) {
      clause.port.push_back(Term::symbol(std::string(text)));
      ++at_;
      return true;
    }
    // ":tcp dport map { ... }": the first word of an expression hangs on the colon.
    cut_ = peek();
    cut_.text = text;
    cut_at_ = at_;
    auto term = operand();
    if (!term) return false;
    clause.port.push_back(std::move(*term));
    return true;
  };
  const Token& token = peek();
  if (token.kind == Token::Kind::kWord && token.text.starts_with(':') && token.text.size() > 1 && token.text[1] != ':')
    return port(token.text.substr(1));
  if (is_load_start() || token.kind == Token::Kind::kMark) {
    auto address = operand();
    if (!address) return false;
    clause.address.push_back(std::move(*address));
    if (peek().kind == Token::Kind::kWord && peek().text.starts_with(':') && peek().text.size() > 1)
      return port(peek().text.substr(1));
    return true;
  }
  if (token.kind != Token::Kind::kWord) return false;
  std::string_view text = token.text;
  std::string address;
  if (text.starts_with('[')) {
    // "[a]-[b]:80"
    const std::size_t end = text.rfind(']');
    if (end == std::string_view::npos) return false;
    for (const char c : text.substr(0, end))
      if (c != '[' && c != ']') address += c;
    text.remove_prefix(end + 1);
  } else {
    // A single colon is one of a port: addresses of IPv6 stand in brackets then.
    const std::size_t colon = text.find(':');
    const bool with_port = colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos;
    address = text.substr(0, with_port ? colon : text.size());
    text.remove_prefix(address.size());
  }
  clause.address.push_back(Term::symbol(std::move(address)));
  if (text.empty()) {
    ++at_;
    return true;
  }
  return text.starts_with(':') && text.size() > 1 && port(text.substr(1));
}

std::optional<Clause> RuleParser::nat() {
  Clause clause = Clause::of(Clause::Kind::kNat);
  clause.name = peek().text;
  ++at_;
  if (peek().is("ip") || peek().is("ip6")) {
    clause.family = peek().text;
    ++at_;
  }
  if (accept("prefix")) clause.flags.emplace_back("prefix");
  if (accept("interval")) clause.flags.emplace_back("interval");
  // nft before 1.0.3: "dnat ip addr . port to"
  if (peek().is("addr") && peek(1).is(".") && peek(2).is("port")) at_ += 3;
  if (accept("to") && !endpoint(clause)) return std::nullopt;
  nat_flags(clause);
  return clause;
}

std::optional<Clause> RuleParser::tproxy() {
  Clause clause = Clause::of(Clause::Kind::kTproxy);
  ++at_;
  if (peek().is("ip") || peek().is("ip6")) {
    clause.family = peek().text;
    ++at_;
  }
  if (!accept("to") || !endpoint(clause)) return std::nullopt;
  return clause;
}

std::optional<Clause> RuleParser::duplicate() {
  Clause clause = Clause::of(peek().is("fwd") ? Clause::Kind::kStolen : Clause::Kind::kNoEffect);
  ++at_;
  if (!accept("ip")) accept("ip6");
  if (!accept("to") || !operand()) return std::nullopt;
  if (accept("device") && !operand()) return std::nullopt;
  return clause;
}

std::optional<Clause> RuleParser::synproxy() {
  ++at_;
  if (accept("name")) {
    auto clause = object(Clause::Kind::kSynproxy, "synproxy name");
    if (clause && clause->kind == Clause::Kind::kObjectMap) return std::nullopt;
    return clause;
  }
  while (peek().is("mss") || peek().is("wscale") || peek().is("timestamp") || peek().is("sack-perm"))
    at_ += peek().is("mss") || peek().is("wscale") ? 2 : 1;
  return Clause::of(Clause::Kind::kSynproxy);
}

std::optional<Clause> RuleParser::update() {
  Clause clause = Clause::of(Clause::Kind::kUpdate);
  clause.operation = peek().text;
  ++at_;
  if (peek().kind != Token::Kind::kWord || !peek().text.starts_with('@') || peek().text.size() < 2) return std::nullopt;
  clause.name = peek().text.substr(1);
  ++at_;
  if (!peek().is("{")) return std::nullopt;
  const std::size_t end = peek().partner;
  ++at_;
  skip_newlines();
  auto key = load_concat();
  if (!key || end == 0 || at_ > end) return std::nullopt;
  clause.terms.push_back(std::move(*key));
  while (at_ < end) {
    std::size_t at = at_;
    const std::string limit = condition(at);
    if (!limit.empty()) {
      clause.detail.append(clause.detail.empty() ? "" : " ").append(limit);
    } else {
      // Timeouts, comments, counters and the data say nothing of who fits.
      at_ = at + 1;
    }
  }
  at_ = end + 1;
  return clause;
}

std::optional<Clause> RuleParser::xt() {
  ++at_;
  const bool target = accept("target");
  if (!target && !accept("match") && !accept("watcher")) return std::nullopt;
  const std::string name = quoted_or_word();
  if (name.empty()) return std::nullopt;
  return Clause::of(target ? Clause::Kind::kNotKnown : Clause::Kind::kUnjudged);
}

}  // namespace kubenatd::rules::walk::nft
