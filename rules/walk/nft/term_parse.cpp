#include <algorithm>
#include <array>

#include "rules/walk/nft/parse_limits.h"
#include "rules/walk/nft/rule_parse.h"
#include "rules/walk/nft/value_read.h"
#include "rules/walk/nft/vocabulary.h"

/// What nft's text looks at.
namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::array<std::string_view, 9> kExtensionHeaders{"hbh", "frag", "dst", "mh", "srh",
                                                            "rt",  "rt0",  "rt2", "rt4"};
/// Keys of meta that nft writes without "meta".
constexpr std::array<std::string_view, 16> kBareMeta{
    "mark",     "iif",   "iifname", "iiftype", "iifgroup", "oif",     "oifname", "oiftype",
    "oifgroup", "skuid", "skgid",   "nftrace", "cgroup",   "pkttype", "cpu",     "rtclassid"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_operator(const Token& token, int level) {
  if (token.kind != Token::Kind::kMark) return false;
  switch (level) {
    case 0: return token.text == "|";
    case 1: return token.text == "^";
    case 2: return token.text == "&";
    default: return token.text == "<<" || token.text == ">>";
  }
}

}  // namespace

bool RuleParser::is_load_start() const {
  const Token& token = peek();
  if (token.is("(")) return true;
  if (token.kind != Token::Kind::kWord) return false;
  const std::string_view word = token.text;
  const Token& next = peek(1);
  if (word == "@ll" || word == "@nh" || word == "@th" || word == "@ih") return next.is(",");
  if (is_one_of(kBareMeta, word)) return true;
  if (next.kind != Token::Kind::kWord) return false;
  if (const HeaderInfo* header = header_named(word)) {
    if (next.is("option") || next.is("chunk")) return true;
    return field_named(header->header, next.text) != nullptr ||
           (header->header == Header::kArp && (next.is("saddr") || next.is("daddr")));
  }
  if (word == "meta") return key_named(meta_keys(), next.text) != nullptr;
  if (word == "ct")
    return next.is("original") || next.is("reply") || next.is("ip") || next.is("ip6") ||
           key_named(ct_keys(), next.text) != nullptr;
  if (is_one_of(kExtensionHeaders, word)) return true;
  return word == "fib" || word == "socket" || word == "numgen" || word == "jhash" || word == "symhash" ||
         word == "exthdr" || word == "ipsec" || word == "osf" || word == "tunnel";
}

std::optional<Term> RuleParser::load_concat() {
  auto first = binary(0);
  if (!first || !peek().is(".")) return first;
  Term all = Term::of(Term::Kind::kConcat);
  all.parts.push_back(std::move(*first));
  while (accept(".")) {
    auto next = binary(0);
    if (!next || all.parts.size() >= kMaxParts) return std::nullopt;
    all.parts.push_back(std::move(*next));
  }
  return all;
}

std::optional<Term> RuleParser::binary(int level) {
  if (level > 3) return primary();
  auto left = binary(level + 1);
  for (std::size_t count = 0; left && is_operator(peek(), level); ++count) {
    if (count >= kMaxParts) return std::nullopt;
    Term both = Term::of(Term::Kind::kBinary, std::string(peek().text));
    ++at_;
    // Behind an operator stands a constant as well.
    std::optional<Term> right = is_load_start() ? binary(level + 1) : value_one();
    if (!right) return std::nullopt;
    both.parts.push_back(std::move(*left));
    both.parts.push_back(std::move(*right));
    left = std::move(both);
  }
  return left;
}

std::optional<Term> RuleParser::primary() {
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return std::nullopt;
  if (accept("(")) {
    // "(fin | syn)" are constants, "(meta mark & 0xff)" is not.
    auto inner = is_load_start() ? load_concat() : value_binary();
    if (!inner || !accept(")")) return std::nullopt;
    return inner;
  }
  const Token& token = peek();
  if (token.kind != Token::Kind::kWord) return std::nullopt;
  const std::string_view word = token.text;
  if (word.starts_with('@')) return raw_payload();
  if (header_named(word) != nullptr) return payload();
  if (word == "meta") {
    ++at_;
    Term term = Term::of(Term::Kind::kMeta);
    term.name = quoted_or_word();
    if (term.name.empty()) return std::nullopt;
    return term;
  }
  if (word == "ct") return connection();
  if (word == "fib") return fib();
  if (word == "numgen" || word == "jhash" || word == "symhash") return draw();
  if (is_one_of(kBareMeta, word)) {
    ++at_;
    Term term = Term::of(Term::Kind::kMeta);
    term.name = word;
    return term;
  }
  return others();
}

std::optional<Term> RuleParser::payload() {
  Term term = Term::of(Term::Kind::kPayload, std::string(peek().text));
  ++at_;
  if ((term.text == "tcp" || term.text == "ip") && peek().is("option")) {
    ++at_;
    return option(term.text + " option");
  }
  if (term.text == "sctp" && accept("chunk")) return option("sctp chunk");
  if (peek().kind != Token::Kind::kWord) return std::nullopt;
  term.name = quoted_or_word();
  if (term.text == "arp" && (term.name == "saddr" || term.name == "daddr")) {
    term.name += ' ';
    term.name += quoted_or_word();
  }
  return term;
}

std::optional<Term> RuleParser::raw_payload() {
  // "@th,16,16"
  Term term = Term::of(Term::Kind::kRawPayload, std::string(peek().text.substr(1)));
  ++at_;
  if (!accept(",")) return std::nullopt;
  const auto offset = read_number(quoted_or_word());
  if (!offset || !accept(",")) return std::nullopt;
  const auto size = read_number(quoted_or_word());
  if (!size) return std::nullopt;
  term.number = *offset;
  term.second = *size;
  return term;
}

std::optional<Term> RuleParser::option(std::string text) {
  Term term = Term::of(Term::Kind::kOption, std::move(text));
  if (peek().kind != Token::Kind::kWord) return std::nullopt;
  std::string name = quoted_or_word();
  if (name.starts_with('@') || read_number(name)) {
    term.kind = Term::Kind::kRawOption;
    const auto type = read_number(std::string_view(name).substr(name.starts_with('@') ? 1 : 0));
    if (!type) return std::nullopt;
    term.number = *type;
    if (!name.starts_with('@')) return term;
    if (!accept(",")) return std::nullopt;
    const auto offset = read_number(quoted_or_word());
    if (!offset || !accept(",")) return std::nullopt;
    const auto size = read_number(quoted_or_word());
    if (!size) return std::nullopt;
    term.second = *offset;
    term.third = *size;
    return term;
  }
  term.name = std::move(name);
  // Behind the name stands a field, or what the presence is compared with.
  const bool is_field = std::ranges::any_of(option_fields(), [&](const OptionField& field) {
    return field.option == term.name && !field.name.empty() && peek().is(field.name);
  });
  const bool is_known =
      std::ranges::any_of(option_fields(), [&](const OptionField& field) { return field.option == term.name; });
  const bool is_presence = peek().is("exists") || peek().is("missing") || peek().is("0") || peek().is("1");
  if (is_field || (!is_known && peek().kind == Token::Kind::kWord && !is_presence))
    term.words.push_back(quoted_or_word());
  return term;
}

std::optional<Term> RuleParser::connection() {
  ++at_;
  Term term = Term::of(Term::Kind::kCt);
  if (peek().is("original") || peek().is("reply")) term.text = quoted_or_word();
  if (peek().kind != Token::Kind::kWord) return std::nullopt;
  term.name = quoted_or_word();
  if ((term.name == "ip" || term.name == "ip6") && peek().kind == Token::Kind::kWord) {
    term.name += ' ';
    term.name += quoted_or_word();
  }
  return term;
}

std::optional<Term> RuleParser::fib() {
  ++at_;
  Term term = Term::of(Term::Kind::kFib);
  do {
    if (peek().kind != Token::Kind::kWord || term.words.size() >= kMaxParts) return std::nullopt;
    term.words.push_back(quoted_or_word());
  } while (accept("."));
  if (peek().kind != Token::Kind::kWord) return std::nullopt;
  term.name = quoted_or_word();
  return term;
}

std::optional<Term> RuleParser::draw() {
  const bool numgen = peek().is("numgen");
  const bool jhash = peek().is("jhash");
  Term term = Term::of(Term::Kind::kDraw, std::string(peek().text));
  ++at_;
  if (numgen) term.text = quoted_or_word();
  if (jhash) {
    auto of = load_concat();
    if (!of) return std::nullopt;
    term.parts.push_back(std::move(*of));
  }
  if (!accept("mod")) return std::nullopt;
  const auto modulus = read_number(quoted_or_word());
  if (!modulus) return std::nullopt;
  term.number = *modulus;
  if (accept("seed")) term.name = quoted_or_word();
  if (accept("offset")) {
    const auto offset = read_number(quoted_or_word());
    if (!offset) return std::nullopt;
    term.second = *offset;
  }
  return term;
}

std::optional<Term> RuleParser::others() {
  const std::string word = quoted_or_word();
  if (word == "socket") {
    Term term = Term::of(Term::Kind::kSocket);
    term.name = quoted_or_word();
    if (term.name == "cgroupv2" && accept("level")) term.number = read_number(quoted_or_word()).value_or(0);
    return term;
  }
  const bool route = peek().is("classid") || peek().is("nexthop") || peek().is("mtu") || peek().is("ipsec") ||
                     peek().is("ip") || peek().is("ip6");
  if (word == "rt" && route) {
    Term term = Term::of(Term::Kind::kRoute);
    term.name = quoted_or_word();
    if (term.name == "ip" || term.name == "ip6") {
      term.name += ' ';
      term.name += quoted_or_word();
    }
    return term;
  }
  if (word == "exthdr") return option("exthdr");
  if (is_one_of(kExtensionHeaders, word)) {
    Term term = Term::of(Term::Kind::kOption, "exthdr");
    term.name = word;
    if (peek().kind == Token::Kind::kWord) term.words.push_back(quoted_or_word());
    return term;
  }
  Term term = Term::unknown(word);
  const auto take = [&](std::initializer_list<std::string_view> words) {
    for (const std::string_view each : words)
      if (accept(each)) {
        term.text.append(" ").append(each);
        return;
      }
  };
  if (word == "osf") {
    if (accept("ttl")) ++at_;
    take({"name", "version"});
    return term;
  }
  if (word == "ipsec") {
    take({"in", "out"});
    if (accept("spnum")) ++at_;
    take({"ip", "ip6"});
    take({"reqid", "spi", "saddr", "daddr"});
    return term;
  }
  if (word == "tunnel") {
    take({"id", "path"});
    return term;
  }
  return std::nullopt;
}

std::optional<Term> RuleParser::operand() {
  if (!is_load_start()) return value(true);
  auto key = load_concat();
  if (!key || !accept("map")) return key;
  auto set = value_one();
  if (!set) return std::nullopt;
  Term map = Term::of(Term::Kind::kMap, "map");
  map.parts.push_back(std::move(*key));
  map.parts.push_back(std::move(*set));
  return map;
}

}  // namespace kubenatd::rules::walk::nft
