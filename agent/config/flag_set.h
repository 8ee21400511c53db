#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/error.h"

namespace kubenatd::agent::config {

/// One flag of a command, declared once: the parser and the help read it from here.
struct Flag {
  std::string name;                  ///< without dashes, words separated by "-"
  char shorthand = '\0';             ///< the "v" of -v
  std::string type;                  ///< what stands for the value in the help; empty: the flag is given alone
  std::string help;                  ///< may hold line ends
  std::string fallback;              ///< the default, as the help tells it; empty: there is none
  std::string group;                 ///< the heading that it stands under in the help
  bool is_hidden = false;            ///< accepted, and not in the help
  std::optional<std::string> alone;  ///< the value when none is joined by "="; such a flag takes no other word
  /// Takes a value; returns what is wrong with it.
  std::function<std::optional<std::string>(const std::string& value)> set;
  /// When there is one: called for the shorthand without a number, which leaves the next word alone then: -v, -vv.
  std::function<void()> count = {};
};

/// What was on a command line beside flags.
struct ParsedWords {
  std::vector<std::string> arguments;
  std::vector<std::string> remarks;  ///< one line each: what was read in a way that was hardly meant
};

/// A command's flags, read as spf13/pflag v1.0.9 reads those of kube-proxy: `--x=` is an empty value, `--x` takes the
/// next word whatever it is, a bool takes none, "_" in a name is "-", shorthands stand in groups and take the rest of
/// their word (-v3, -v=3), everything behind "--" is an argument.
///
/// Threading: none. Failure: the first mistake ends parse(), as with pflag; flags before it have been set. Cost: one
/// look-up a word.
class FlagSet {
 public:
  /// The name must be new.
  void add(Flag flag);

  [[nodiscard]] rules::Result<ParsedWords> parse(std::span<const std::string> words) const;

  /// Those that the help names: by group, in the order in which the groups came, sorted by name.
  [[nodiscard]] std::vector<const Flag*> visible() const;

  /// What there is to say of visible().
  [[nodiscard]] std::string help() const;

  [[nodiscard]] const Flag* find(std::string_view name) const;
  /// Each flag, by name.
  void for_each(const std::function<void(const Flag&)>& visit) const {
    for (const auto& [name, flag] : flags_) visit(flag);
  }

 private:
  class Parser;

  std::map<std::string, Flag, std::less<>> flags_;
  std::map<char, const Flag*> shorthands_;
  std::vector<std::string> groups_;
};

/// What the help says of these flags, which come by group.
[[nodiscard]] std::string help_of(std::span<const Flag* const> flags);
/// A flag that is set or not.
[[nodiscard]] Flag bool_flag(std::string name, std::string help, bool& value);
/// A flag with any text.
[[nodiscard]] Flag text_flag(std::string name, std::string type, std::string help, std::string& value);

}  // namespace kubenatd::agent::config
