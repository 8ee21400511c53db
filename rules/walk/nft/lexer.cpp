#include "rules/walk/nft/lexer.h"

#include <algorithm>

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::string_view kMarks = "{}(),;=!<>&|^";

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> tokens() {
    while (at_ < text_.size()) {
      if (is_blank(text_[at_])) {
        ++at_;
        blank_ = true;
      } else if (text_[at_] == '\n') {
        newline();
      } else if (text_[at_] == '#') {
        comment();
      } else if (text_[at_] == '"') {
        string();
      } else if (kMarks.find(text_[at_]) != std::string_view::npos) {
        mark();
      } else {
        word();
      }
    }
    add(Token::Kind::kNewline, at_, at_);
    add(Token::Kind::kEnd, at_, at_);
    close_all();
    return std::move(tokens_);
  }

 private:
  Token& add(Token::Kind kind, std::size_t from, std::size_t to) {
    Token token;
    token.kind = kind;
    token.text = text_.substr(from, to - from);
    token.line = line_;
    token.from = static_cast<std::uint32_t>(from);
    token.to = static_cast<std::uint32_t>(to);
    token.glued = !blank_;
    blank_ = false;
    if (kind != Token::Kind::kNewline) empty_line_ = false;
    return tokens_.emplace_back(token);
  }
  void newline() {
    Token& token = add(Token::Kind::kNewline, at_, at_);
    token.is_blank_line = empty_line_ && at_ > line_start_;
    ++at_;
    ++line_;
    line_start_ = at_;
    empty_line_ = true;
    blank_ = true;
  }
  void comment() {
    // iptables-nft's parts that nft cannot translate stand between others ("# xt_tcp counter accept").
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view rest = text_.substr(at_ + 1, end - at_ - 1);
    const std::size_t start = std::min(rest.find_first_not_of(' '), rest.size());
    if (rest.substr(start).starts_with("xt_")) {
      const std::size_t length = std::min(rest.find_first_of(" \t", start), rest.size());
      add(Token::Kind::kComment, at_ + 1 + start, at_ + 1 + length);
      at_ += 1 + length;
      return;
    }
    add(Token::Kind::kComment, at_ + 1, end);
    at_ = end;
  }
  void string() {
    const std::size_t line_end = std::min(text_.find('\n', at_), text_.size());
    const std::size_t end = std::min(text_.find('"', at_ + 1), line_end);
    Token& token = add(Token::Kind::kString, at_ + 1, end);
    token.from = static_cast<std::uint32_t>(at_);
    at_ = std::min(end + 1, end == line_end ? line_end : end + 1);
    token.to = static_cast<std::uint32_t>(at_);
  }
  void mark() {
    std::size_t length = 1;
    if (at_ + 1 < text_.size()) {
      const char next = text_[at_ + 1];
      if ((text_[at_] == '!' || text_[at_] == '=' || text_[at_] == '<' || text_[at_] == '>') && next == '=') length = 2;
      if ((text_[at_] == '<' || text_[at_] == '>') && next == text_[at_]) length = 2;
    }
    Token& token = add(Token::Kind::kMark, at_, at_ + length);
    at_ += length;
    const auto index = static_cast<std::uint32_t>(tokens_.size() - 1);
    if (token.text == "{" || token.text == "(") open_.push_back(index);
    if ((token.text == "}" || token.text == ")") && !open_.empty()) {
      tokens_[open_.back()].partner = index;
      open_.pop_back();
    }
  }
  void word() {
    std::size_t end = at_;
    while (end < text_.size() && !is_blank(text_[end]) && text_[end] != '\n' && text_[end] != '"' &&
           text_[end] != '#' && kMarks.find(text_[end]) == std::string_view::npos)
      ++end;
    add(Token::Kind::kWord, at_, end);
    at_ = end;
  }
  void close_all() {
    const auto end = static_cast<std::uint32_t>(tokens_.size() - 1);
    for (const std::uint32_t index : open_) tokens_[index].partner = end;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  bool blank_ = true;
  bool empty_line_ = true;
  std::vector<std::uint32_t> open_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view text) {
  return Lexer(text).tokens();
}

}  // namespace kubenatd::rules::walk::nft
