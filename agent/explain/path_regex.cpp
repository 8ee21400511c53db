#include "agent/explain/path_regex.h"

#include <bitset>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace kubenatd::agent::explain {
namespace {

using Characters = std::bitset<256>;

constexpr std::size_t kLongestPattern = 1024;
constexpr std::size_t kLongestText = 8192;
constexpr std::size_t kMostSteps = 4000;
constexpr int kDeepest = 40;
constexpr int kMostRepeats = 255;
constexpr int kEndless = -1;

struct Node {
  enum class Kind : std::uint8_t { kCharacters, kSequence, kEither, kRepeat, kStart, kEnd };
  Kind kind = Kind::kSequence;
  Characters characters;
  std::vector<Node> parts;
  int least = 0, most = 0;
};

bool is_letter(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void add_letter(Characters& set, unsigned char c) {
  constexpr unsigned char kCase = 0x20;
  set.set(c);
  if (is_letter(c)) set.set(c ^ kCase);
}

void add_range(Characters& set, unsigned char first, unsigned char last) {
  for (int c = first; c <= last; ++c) add_letter(set, static_cast<unsigned char>(c));
}

/// \d, \w, \s and their opposites; none for another letter.
std::optional<Characters> shorthand(char letter) {
  Characters set;
  switch (letter) {
    case 'd':
    case 'D': add_range(set, '0', '9'); break;
    case 'w':
    case 'W':
      add_range(set, '0', '9');
      add_range(set, 'a', 'z');
      set.set('_');
      break;
    case 's':
    case 'S':
      for (const char c : std::string_view(" \t\n\r\f\v")) set.set(static_cast<unsigned char>(c));
      break;
    default: return std::nullopt;
  }
  if (letter == 'D' || letter == 'W' || letter == 'S') set.flip();
  return set;
}

/// Reads a pattern; `failed` when there is something that is not known.
class Parser {
 public:
  explicit Parser(std::string_view pattern) : rest_(pattern) {}

  std::optional<Node> parse() {
    Node node = either(0);
    if (failed_ || !rest_.empty()) return std::nullopt;
    return node;
  }

 private:
  [[nodiscard]] bool at(char c) const { return !rest_.empty() && rest_.front() == c; }
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  bool skip(std::string_view start) {
    if (!rest_.starts_with(start)) return false;
    rest_.remove_prefix(start.size());
    return true;
  }

  Node either(int depth) {
    Node node;
    node.kind = Node::Kind::kEither;
    do node.parts.push_back(sequence(depth));
    while (!failed_ && skip("|"));
    if (node.parts.size() > 1) return node;
    Node only = std::move(node.parts.front());
    return only;
  }

  Node sequence(int depth) {
    Node node;
    if (depth > kDeepest) failed_ = true;
    while (!failed_ && !rest_.empty() && !at('|') && !at(')')) node.parts.push_back(repeated(atom(depth)));
    return node;
  }

  Node atom(int depth) {
    Node node;
    node.kind = Node::Kind::kCharacters;
    const char c = take();
    switch (c) {
      case '^': node.kind = Node::Kind::kStart; return node;
      case '$': node.kind = Node::Kind::kEnd; return node;
      case '.':
        node.characters.set();
        node.characters.reset('\n');
        return node;
      case '(': return group(depth);
      case '[': return bracket();
      case '\\': return escape();
      case '*':
      case '+':
      case '?': failed_ = true; return node;
      default: add_letter(node.characters, static_cast<unsigned char>(c)); return node;
    }
  }

  Node group(int depth) {
    if (at('?')) {
      const bool is_named = (rest_.starts_with("?<") && !rest_.starts_with("?<=") && !rest_.starts_with("?<!")) ||
                            rest_.starts_with("?P<");
      const auto end = rest_.find('>');
      if (is_named && end != std::string_view::npos) {
        rest_.remove_prefix(end + 1);
      } else if (!skip("?:")) {
        failed_ = true;
        return {};
      }
    } else if (at('*')) {
      failed_ = true;
      return {};
    }
    Node node = either(depth + 1);
    if (!skip(")")) failed_ = true;
    return node;
  }

  Node escape() {
    Node node;
    node.kind = Node::Kind::kCharacters;
    if (rest_.empty()) {
      failed_ = true;
      return node;
    }
    const char c = take();
    if (const auto set = shorthand(c)) {
      node.characters = *set;
    } else if (is_letter(static_cast<unsigned char>(c)) || (c >= '0' && c <= '9')) {
      failed_ = true;  // \b, \1, \x2f, ...
    } else {
      node.characters.set(static_cast<unsigned char>(c));
    }
    return node;
  }

  Node bracket() {
    Node node;
    node.kind = Node::Kind::kCharacters;
    const bool negate = skip("^");
    bool first = true;
    while (!failed_ && (first || !at(']'))) {
      first = false;
      if (rest_.empty() || rest_.starts_with("[:") || rest_.starts_with("[.") || rest_.starts_with("[=")) {
        failed_ = true;
        break;
      }
      char from = take();
      if (from == '\\') {
        if (rest_.empty()) break;
        from = take();
        if (const auto set = shorthand(from)) {
          node.characters |= *set;
          continue;
        }
        if (is_letter(static_cast<unsigned char>(from)) || (from >= '0' && from <= '9')) failed_ = true;
      }
      char to = from;
      if (at('-') && rest_.size() > 1 && rest_[1] != ']') {
        take();
        to = take();
        if (to == '\\' || to == '[') failed_ = true;
      }
      if (static_cast<unsigned char>(to) < static_cast<unsigned char>(from)) failed_ = true;
      add_range(node.characters, static_cast<unsigned char>(from), static_cast<unsigned char>(to));
    }
    if (!skip("]")) failed_ = true;
    if (negate) node.characters.flip();
    return node;
  }

  int number() {
    int value = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && value <= kMostRepeats)
      value = value * 10 + (take() - '0');
    if (value > kMostRepeats) failed_ = true;
    return value;
  }

  Node repeated(Node what) {
    int least = 0;
    int most = kEndless;
    if (rest_.size() > 1 && rest_[0] == '{' && rest_[1] >= '0' && rest_[1] <= '9') {
      take();
      least = most = number();
      if (skip(",")) most = at('}') ? kEndless : number();
      if (!skip("}") || (most != kEndless && most < least)) failed_ = true;
    } else if (skip("+")) {
      least = 1;
    } else if (skip("?")) {
      most = 1;
    } else if (!skip("*")) {
      return what;
    }
    (void)skip("?");  // lazy: fits all the same
    // A possessive one does not give back what it took; another one behind it is no pattern.
    if (at('+') || at('*') || at('?')) failed_ = true;
    Node node;
    node.kind = Node::Kind::kRepeat;
    node.least = least;
    node.most = most;
    node.parts.push_back(std::move(what));
    return node;
  }

  std::string_view rest_;
  bool failed_ = false;
};

/// The pattern as steps, all of whose ways are followed at once (Thompson).
class Machine {
 public:
  /// False when it would be too large.
  bool build(const Node& node) {
    emit(node);
    steps_.push_back({.kind = Step::Kind::kFound, .characters = {}, .next = 0, .other = 0});
    return !too_large_;
  }

  bool run(std::string_view text) {
    std::vector<std::size_t> now;
    std::vector<std::size_t> then;
    mark_.assign(steps_.size(), 0);
    generation_ = 1;
    add(0, 0, text.size(), now);
    for (std::size_t i = 0;; ++i) {
      if (found_) return true;
      if (i == text.size() || now.empty()) return false;
      then.clear();
      ++generation_;
      for (const std::size_t at : now)
        if (steps_[at].characters[static_cast<unsigned char>(text[i])]) add(at + 1, i + 1, text.size(), then);
      std::swap(now, then);
    }
  }

 private:
  struct Step {
    enum class Kind : std::uint8_t { kCharacters, kSplit, kGo, kStart, kEnd, kFound };
    Kind kind = Kind::kCharacters;
    Characters characters;
    std::size_t next = 0, other = 0;
  };

  std::size_t push(Step::Kind kind, const Characters& characters = {}) {
    if (steps_.size() >= kMostSteps) too_large_ = true;
    if (!too_large_) steps_.push_back({.kind = kind, .characters = characters, .next = 0, .other = 0});
    return steps_.size() - 1;
  }

  void emit(const Node& node) {
    if (too_large_) return;
    switch (node.kind) {
      case Node::Kind::kCharacters: push(Step::Kind::kCharacters, node.characters); return;
      case Node::Kind::kStart: push(Step::Kind::kStart); return;
      case Node::Kind::kEnd: push(Step::Kind::kEnd); return;
      case Node::Kind::kSequence:
        for (const Node& part : node.parts) emit(part);
        return;
      case Node::Kind::kEither: emit_either(node); return;
      case Node::Kind::kRepeat: emit_repeat(node); return;
    }
  }
  void emit_either(const Node& node) {
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < node.parts.size() && !too_large_; ++i) {
      const bool is_last = i + 1 == node.parts.size();
      const std::size_t split = is_last ? 0 : push(Step::Kind::kSplit);
      if (!is_last) steps_[split].next = split + 1;
      emit(node.parts[i]);
      if (is_last) break;
      ends.push_back(push(Step::Kind::kGo));
      steps_[split].other = steps_.size();
    }
    for (const std::size_t end : ends) steps_[end].next = steps_.size();
  }
  void emit_repeat(const Node& node) {
    for (int i = 0; i < node.least && !too_large_; ++i) emit(node.parts.front());
    std::vector<std::size_t> splits;
    const int optional = node.most == kEndless ? 1 : node.most - node.least;
    for (int i = 0; i < optional && !too_large_; ++i) {
      splits.push_back(push(Step::Kind::kSplit));
      steps_[splits.back()].next = splits.back() + 1;
      emit(node.parts.front());
    }
    if (node.most == kEndless) steps_[push(Step::Kind::kGo)].next = splits.empty() ? 0 : splits.front();
    for (const std::size_t split : splits) steps_[split].other = steps_.size();
  }

  /// The steps that wait for a character, from `start` on without one.
  void add(std::size_t start, std::size_t position, std::size_t length, std::vector<std::size_t>& to) {
    std::vector<std::size_t> open{start};
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      if (mark_[at] == generation_) continue;
      mark_[at] = generation_;
      const Step& step = steps_[at];
      switch (step.kind) {
        case Step::Kind::kCharacters: to.push_back(at); break;
        case Step::Kind::kFound: found_ = true; break;
        case Step::Kind::kGo: open.push_back(step.next); break;
        case Step::Kind::kSplit:
          open.push_back(step.other);
          open.push_back(step.next);
          break;
        case Step::Kind::kStart:
          if (position == 0) open.push_back(at + 1);
          break;
        case Step::Kind::kEnd:
          if (position == length) open.push_back(at + 1);
          break;
      }
    }
  }

  std::vector<Step> steps_;
  std::vector<std::uint32_t> mark_;
  std::uint32_t generation_ = 0;
  bool too_large_ = false;
  bool found_ = false;
};

}  // namespace

RegexAnswer fits_at_start(std::string_view pattern, std::string_view text) {
  if (pattern.size() > kLongestPattern || text.size() > kLongestText) return RegexAnswer::kUnknown;
  const auto node = Parser(pattern).parse();
  Machine machine;
  if (!node || !machine.build(*node)) return RegexAnswer::kUnknown;
  return machine.run(text) ? RegexAnswer::kFits : RegexAnswer::kDiffers;
}

}  // namespace kubenatd::agent::explain
