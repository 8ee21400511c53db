#include "rules/walk/nft/ruleset_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "rules/walk/nft/assemble.h"
#include "rules/walk/nft/lexer.h"
#include "rules/walk/nft/rule_parse.h"
#include "rules/walk/nft/value_read.h"

namespace kubenatd::rules::walk::nft {
namespace {

using Kind = Token::Kind;

constexpr std::string_view kObject = "nft ruleset";
constexpr std::string_view kOperation = "read";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

/// Blocks: tables, and what is in them. Rules are RuleParser's.
class BlockParser {
 public:
  explicit BlockParser(std::string_view text) : tokens_(tokens_of(text)), rules_(text, tokens_) {}

  Status tables(std::vector<TableSource>& into) {
    for (;;) {
      skip_lines();
      if (peek().kind == Kind::kEnd) return {};
      if (is_table_start()) {
        into.emplace_back();
        if (Status read = table(into.back()); !read) return read;
      } else if (is_beside()) {
        skip_rest_of_line();
      } else {
        return failed(fmt::format("\"{}\" is nothing that nft list ruleset prints", text_here()));
      }
    }
  }

 private:
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool accept(std::string_view word) {
    if (!peek().is(word)) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] std::string text_here() const {
    std::string text;
    for (std::size_t i = 0; i < 4 && peek(i).kind != Kind::kNewline && peek(i).kind != Kind::kEnd; ++i) {
      if (!text.empty() && !peek(i).glued) text += ' ';
      text += peek(i).text.substr(0, 40);
    }
    return text;
  }
  [[nodiscard]] Status failed(std::string cause) const {
    return fail(fmt::format("{}, line {}", kObject, peek().line), std::string(kOperation), std::move(cause));
  }
  void skip_lines() {
    while (peek().kind == Kind::kNewline || peek().kind == Kind::kComment || peek().is(";")) ++at_;
  }
  void skip_rest_of_line() {
    while (peek().kind != Kind::kNewline && peek().kind != Kind::kEnd) ++at_;
  }
  [[nodiscard]] bool is_table_start() const {
    return peek().is("table") && peek(1).kind == Kind::kWord && peek(2).kind == Kind::kWord && peek(3).is("{") &&
           family_named(peek(1).text);
  }
  /// What stands around the rules where people copy them: prompts, the command itself, code fences.
  [[nodiscard]] bool is_beside() const {
    if (peek().text.starts_with("```") || peek().text.starts_with("~~~")) return true;
    bool command = false;
    for (std::size_t i = 0; peek(i).kind != Kind::kNewline && peek(i).kind != Kind::kEnd; ++i) {
      const Token& token = peek(i);
      if (token.is("{") || token.is("}")) return false;
      command = command || token.is("nft") || token.text.ends_with("/nft") || token.is("kubectl");
      // "root@node:~# ", "$ "
      if (token.kind == Kind::kComment && i != 0) return true;
      if (token.text.ends_with('$') || token.text.ends_with('%')) return true;
    }
    return command || (peek().is("flush") && peek(1).is("ruleset"));
  }

  /// "{" and, behind it on the line, the handle.
  bool open(std::uint64_t& handle) {
    if (!accept("{")) return false;
    if (peek().kind == Kind::kComment) handle_in(peek().text, handle);
    return true;
  }
  static void handle_in(std::string_view comment, std::uint64_t& handle) {
    const std::size_t at = comment.find("handle ");
    if (at == std::string_view::npos) return;
    comment.remove_prefix(at + 7);
    // Of a table that is owned, "progname NAME" stands behind it.
    handle = read_number(comment.substr(0, comment.find(' '))).value_or(0);
  }
  /// At "{": to behind its "}".
  bool skip_block() {
    if (!peek().is("{")) return false;
    const std::size_t end = peek().partner;
    if (end == 0 || tokens_[end].kind == Kind::kEnd) return false;
    at_ = end + 1;
    return true;
  }
  std::string name() {
    if (peek().kind != Kind::kWord && peek().kind != Kind::kString) return {};
    return std::string(tokens_[at_++].text);
  }

  Status table(TableSource& table) {
    table.family = *family_named(peek(1).text);
    table.name = peek(2).text;
    at_ += 3;
    open(table.handle);
    for (;;) {
      skip_lines();
      if (accept("}")) return {};
      if (peek().kind == Kind::kEnd) return failed(fmt::format("the text ends within table {}", table.name));
      if (peek().is("chain")) {
        ++at_;
        if (Status read = chain(table); !read) return read;
      } else if (peek().is("set") || peek().is("map")) {
        const bool is_map = peek().is("map");
        ++at_;
        if (Status read = set(table, is_map); !read) return read;
      } else if (accept("flags")) {
        for (; peek().kind == Kind::kWord || peek().is(","); ++at_)
          table.dormant = table.dormant || peek().is("dormant");
      } else if (peek().is("comment")) {
        skip_rest_of_line();
      } else if (!skip_object()) {
        return failed(fmt::format("\"{}\" in table {} is not known", text_here(), table.name));
      }
    }
  }

  /// counter, quota, ct helper, flowtable, ...: rules name them, and nothing in them is looked at.
  bool skip_object() {
    for (std::size_t ahead = 1; ahead < 4; ++ahead) {
      if (!peek(ahead).is("{")) continue;
      at_ += ahead;
      return skip_block();
    }
    return false;
  }

  Status chain(TableSource& table) {
    ChainSource chain;
    chain.name = name();
    if (chain.name.empty() || !open(chain.handle)) return failed("a chain without a name");
    for (;;) {
      while (peek().kind == Kind::kNewline || peek().is(";") ||
             (peek().kind == Kind::kComment && !peek().text.starts_with("xt_"))) {
        // nft prints nothing of a rule that it cannot read, but the blanks in front of it and the handle behind it.
        const bool only_handle = peek().kind == Kind::kComment && at_ > 0 && tokens_[at_ - 1].kind == Kind::kNewline &&
                                 peek().text.starts_with(" handle ");
        if (peek().is_blank_line || only_handle) {
          RuleSource& rule = chain.rules.emplace_back();
          if (only_handle) handle_in(peek().text, rule.handle);
          rule.clauses.emplace_back().text = "a rule that nft did not print";
        }
        ++at_;
      }
      if (accept("}")) break;
      if (peek().kind == Kind::kEnd) return failed(fmt::format("the text ends within chain {}", chain.name));
      if (peek().is("type") && peek(2).is("hook")) {
        if (Status read = base(table.family, chain); !read) return read;
        continue;
      }
      if (accept("policy")) {
        if (chain.base) chain.base->policy_drop = peek().is("drop");
        ++at_;
        continue;
      }
      if ((peek().is("comment") && peek(1).kind == Kind::kString) || (peek().is("flags") && peek(1).is("offload"))) {
        at_ += 2;
        continue;
      }
      RuleParser::Rule rule = rules_.rule(at_);
      chain.rules.push_back({std::move(rule.clauses), std::move(rule.comment), rule.handle, rule.counters, true});
      if (peek().kind == Kind::kEnd) continue;
    }
    table.chains.push_back(std::move(chain));
    return {};
  }

  /// "type filter hook forward priority filter + 10;"
  Status base(TableFamily family, ChainSource& chain) {
    ++at_;
    const std::string type = name();
    ++at_;
    const std::string hook = name();
    std::vector<std::string> devices;
    if (accept("device")) devices.push_back(name());
    if (accept("devices")) {
      accept("=");
      if (accept("{"))
        while (!peek().is("}") && peek().kind != Kind::kEnd) {
          if (std::string device = name(); !device.empty()) {
            devices.push_back(std::move(device));
          } else {
            ++at_;
          }
        }
      accept("}");
    }
    std::int32_t priority = 0;
    if (!accept("priority") || !this->priority(family, priority))
      return failed(fmt::format("the priority of chain {}", chain.name));
    chain.base = base_of(type, hook, priority);
    if (!chain.base)
      return failed(fmt::format("type {} and hook {} of chain {} are not known", type, hook, chain.name));
    chain.base->devices = std::move(devices);
    return {};
  }

  bool priority(TableFamily family, std::int32_t& priority) {
    const auto number = [](std::string_view text) -> std::optional<std::int32_t> {
      const bool negative = text.starts_with('-');
      const auto value = read_number(text.substr(negative ? 1 : 0));
      if (!value || *value > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
      return negative ? -static_cast<std::int32_t>(*value) : static_cast<std::int32_t>(*value);
    };
    const std::string word = name();
    if (const auto value = number(word)) {
      priority = *value;
      return true;
    }
    const auto from = priority_named(word, family);
    if (!from) return false;
    priority = *from;
    if (!peek().is("+") && !peek().is("-")) return true;
    const bool minus = peek().is("-");
    ++at_;
    const auto distance = number(name());
    if (!distance) return false;
    const std::int64_t all = std::int64_t{*from} + (minus ? -1 : 1) * std::int64_t{*distance};
    if (all < std::numeric_limits<std::int32_t>::min() || all > std::numeric_limits<std::int32_t>::max()) return false;
    priority = static_cast<std::int32_t>(all);
    return true;
  }

  Status set(TableSource& table, bool is_map) {
    SetDefinition set;
    set.is_map = is_map;
    set.name = name();
    std::uint64_t handle = 0;
    if (set.name.empty() || !open(handle)) return failed("a set without a name");
    for (;;) {
      skip_lines();
      if (accept("}")) break;
      if (peek().kind == Kind::kEnd) return failed(fmt::format("the text ends within set {}", set.name));
      if (accept("type")) {
        types(set.key_types);
        if (accept(":")) types(set.data_types);
      } else if (accept("typeof")) {
        type_of(set);
      } else if (accept("flags")) {
        for (; peek().kind == Kind::kWord || peek().is(","); ++at_)
          if (!peek().is(",")) set.flags.emplace_back(peek().text);
      } else if (accept("elements")) {
        accept("=");
        if (!peek().is("{") || tokens_[peek().partner].kind == Kind::kEnd)
          return failed(fmt::format("the elements of set {}", set.name));
        set.elements = std::move(rules_.elements(at_).parts);
      } else if (const std::size_t before = at_; !rules_.condition(at_).empty() && at_ != before) {
        set.conditional = true;
      } else {
        // size, timeout, gc-interval, policy, auto-merge, counter, comment: nothing that matters here.
        skip_rest_of_line();
      }
    }
    table.sets.push_back(std::move(set));
    return {};
  }

  void types(std::vector<std::string>& into) {
    accept("interval");
    do into.push_back(name());
    while (accept("."));
  }

  void type_of(SetDefinition& set) {
    set.key_of = rules_.typeof_expression(at_);
    if (!set.key_of) set.key_of = Term::unknown("typeof");
    // What was not understood stands in front of ":".
    while (!peek().is(":") && peek().kind != Kind::kNewline && peek().kind != Kind::kEnd && !peek().is(";")) {
      set.key_of = Term::unknown("typeof");
      ++at_;
    }
    if (!accept(":")) return;
    accept("interval");
    if (peek().is("verdict")) {
      set.data_types.push_back(name());
      return;
    }
    set.data_of = rules_.typeof_expression(at_);
    if (!set.data_of) set.data_of = Term::unknown("typeof");
    skip_rest_of_line();
  }

  std::vector<Token> tokens_;
  RuleParser rules_;
  std::size_t at_ = 0;
};

}  // namespace

bool looks_like_ruleset(std::string_view text) {
  text = without_mark(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::vector<Token> line = tokens_of(text.substr(0, end));
    if (line.size() > 4 && line[0].is("table") && family_named(line[1].text) && line[2].kind == Kind::kWord &&
        line[3].is("{"))
      return true;
    // A table of iptables-save: what follows is its own.
    if (text.starts_with('*')) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

Status read_ruleset_text(std::string_view text, Ruleset& into) {
  text = without_mark(text);
  if (text.size() > std::numeric_limits<std::uint32_t>::max() / 2)
    return fail(std::string(kObject), std::string(kOperation), "the text is too long");
  std::vector<TableSource> tables;
  if (Status read = BlockParser(text).tables(tables); !read) return read;
  if (tables.empty()) return fail(std::string(kObject), std::string(kOperation), "no table in it");
  return add_tables(std::move(tables), into);
}

}  // namespace kubenatd::rules::walk::nft
