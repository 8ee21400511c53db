#include "agent/config/flag_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/go_values.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

constexpr const char* kObject = "command line";
constexpr const char* kOperation = "read flags";
constexpr std::size_t kHelpWidth = 100;
constexpr std::size_t kHelpColumn = 36;

rules::Status mistake(std::string what) {
  return rules::fail(kObject, kOperation, std::move(what));
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// As pflag names a flag in a message about its value.
std::string both_names(const Flag& flag) {
  return flag.shorthand == '\0' ? "--" + flag.name : fmt::format("-{}, --{}", flag.shorthand, flag.name);
}

rules::Status set(const Flag& flag, const std::string& value) {
  if (const auto wrong = flag.set(value))
    return mistake(
        fmt::format(R"(invalid argument {} for "{}" flag: {})", base::in_quotes(value), both_names(flag), *wrong));
  return {};
}

/// `text` in lines that fit behind the names, the first of which stands there already.
std::string wrapped(std::string_view text) {
  std::string lines;
  std::size_t column = kHelpColumn;
  for (const std::string_view line : rules::split(text, '\n')) {
    for (const std::string_view word : rules::split(line, ' ')) {
      const bool is_first = column == kHelpColumn;
      if (!is_first && column + 1 + word.size() > kHelpWidth) {
        lines += "\n" + std::string(kHelpColumn, ' ');
        column = kHelpColumn;
      } else if (!is_first) {
        lines += ' ';
        ++column;
      }
      lines += word;
      column += word.size();
    }
  }
  return lines;
}

std::string lines_of(const Flag& flag) {
  std::string names = flag.shorthand == '\0' ? "      " : fmt::format("  -{}, ", flag.shorthand);
  names += "--" + flag.name;
  if (!flag.type.empty()) names += " " + flag.type;
  const std::string about =
      flag.fallback.empty() ? flag.help : fmt::format("{} (default {})", flag.help, flag.fallback);
  const bool fits = names.size() + 2 <= kHelpColumn;
  return fits ? fmt::format("{:<{}}{}\n", names, kHelpColumn, wrapped(about))
              : fmt::format("{}\n{}{}\n", names, std::string(kHelpColumn, ' '), wrapped(about));
}

}  // namespace

/// One pass over the words.
class FlagSet::Parser {
 public:
  Parser(const FlagSet& flags, std::span<const std::string> words) : flags_(flags), words_(words) {}

  rules::Result<ParsedWords> parse() {
    while (!words_.empty()) {
      const std::string& word = take();
      rules::Status read;
      if (word.size() < 2 || word[0] != '-') {
        parsed_.arguments.push_back(word);
      } else if (word == "--") {
        while (!words_.empty()) parsed_.arguments.push_back(take());
      } else {
        read = word[1] == '-' ? long_flag(word) : shorthands(word);
      }
      if (!read) return std::unexpected(read.error());
    }
    return std::move(parsed_);
  }

 private:
  const std::string& take() {
    const std::string& word = words_.front();
    words_ = words_.subspan(1);
    return word;
  }

  /// The next word as the value of `flag`.
  const std::string& take_value(const Flag& flag) {
    const std::string& value = take();
    if (value.starts_with("--") && value.size() > 2)
      parsed_.remarks.push_back(
          fmt::format("--{} has no \"=\", so {} is its value and not a flag", flag.name, base::in_quotes(value)));
    return value;
  }

  rules::Status long_flag(const std::string& word) {
    const std::string_view text = std::string_view(word).substr(2);
    if (text.starts_with('-') || text.starts_with('=')) return mistake("bad flag syntax: " + base::one_line(word));
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const Flag* flag = flags_.find(name);
    if (flag == nullptr) return mistake("unknown flag: --" + base::one_line(name));
    if (equals != std::string_view::npos) return set(*flag, std::string(text.substr(equals + 1)));
    if (flag->alone) return set(*flag, *flag->alone);
    if (words_.empty()) return mistake("flag needs an argument: --" + flag->name);
    return set(*flag, take_value(*flag));
  }

  /// -abc, -v3, -v=3, -v 3.
  rules::Status shorthands(const std::string& word) {
    std::string_view rest = std::string_view(word).substr(1);
    while (!rest.empty()) {
      const auto found = flags_.shorthands_.find(rest.front());
      if (found == flags_.shorthands_.end())
        return mistake(
            fmt::format("unknown shorthand flag: '{}' in {}", base::one_line(rest.substr(0, 1)), base::one_line(word)));
      const Flag& flag = *found->second;
      rest.remove_prefix(1);
      rules::Status read;
      // "-v=" alone is the value "=", as with pflag.
      if (rest.size() > 1 && rest.front() == '=') {
        read = set(flag, std::string(rest.substr(1)));
        rest = {};
      } else if (flag.alone) {
        read = set(flag, *flag.alone);
      } else if (counts_one(flag, rest)) {
        flag.count();
      } else if (!rest.empty()) {
        read = set(flag, std::string(rest));
        rest = {};
      } else if (words_.empty()) {
        return mistake(fmt::format("flag needs an argument: '{}' in {}", flag.shorthand, base::one_line(word)));
      } else {
        read = set(flag, take_value(flag));
      }
      if (!read) return read;
    }
    return {};
  }

  /// Whether there is no number behind the shorthand of a flag that can do without.
  [[nodiscard]] bool counts_one(const Flag& flag, std::string_view rest) const {
    if (!flag.count) return false;
    if (rest.empty()) return words_.empty() || !(words_.front().empty() || is_number(words_.front()));
    return rest.front() == flag.shorthand;
  }

  const FlagSet& flags_;
  std::span<const std::string> words_;
  ParsedWords parsed_;
};

void FlagSet::add(Flag flag) {
  if (std::ranges::find(groups_, flag.group) == groups_.end()) groups_.push_back(flag.group);
  const auto [place, is_new] = flags_.try_emplace(flag.name);
  if (!is_new) return;
  place->second = std::move(flag);
  if (place->second.shorthand != '\0') shorthands_[place->second.shorthand] = &place->second;
}

const Flag* FlagSet::find(std::string_view name) const {
  std::string normal(name);
  std::ranges::replace(normal, '_', '-');
  const auto found = flags_.find(normal);
  return found == flags_.end() ? nullptr : &found->second;
}

rules::Result<ParsedWords> FlagSet::parse(std::span<const std::string> words) const {
  return Parser(*this, words).parse();
}

std::vector<const Flag*> FlagSet::visible() const {
  std::vector<const Flag*> found;
  for (const std::string& group : groups_)
    for (const auto& [name, flag] : flags_)
      if (flag.group == group && !flag.is_hidden) found.push_back(&flag);
  return found;
}

std::string FlagSet::help() const {
  return help_of(visible());
}

std::string help_of(std::span<const Flag* const> flags) {
  std::string text;
  std::string_view group;
  for (const Flag* flag : flags) {
    if (flag->group != group) text += fmt::format("\n{}:\n", flag->group);
    group = flag->group;
    text += lines_of(*flag);
  }
  return text;
}

Flag bool_flag(std::string name, std::string help, bool& value) {
  return {.name = std::move(name),
          .type = "",
          .help = std::move(help),
          .fallback = value ? "true" : "false",
          .group = "Flags",
          .alone = "true",
          .set = [&value](const std::string& text) -> std::optional<std::string> {
            const auto read = parse_go_bool(text);
            if (!read) return "it is not true or false";
            value = *read;
            return std::nullopt;
          }};
}

Flag text_flag(std::string name, std::string type, std::string help, std::string& value) {
  return {.name = std::move(name),
          .type = std::move(type),
          .help = std::move(help),
          .fallback = "",
          .group = "Flags",
          .alone = std::nullopt,
          .set = [&value](const std::string& text) -> std::optional<std::string> {
            value = text;
            return std::nullopt;
          }};
}

}  // namespace kubenatd::agent::config
