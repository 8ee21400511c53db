#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/commands.h"
#include "agent/cli/options.h"
#include "agent/cli/output.h"
#include "rules/words.h"

/// What completes command lines in shells, made from the table of commands and flags.
namespace kubenatd::agent::cli {
namespace {

constexpr std::size_t kLongestHelp = 70;

/// What a flag's value may be.
struct Value {
  enum class Kind : std::uint8_t { kNone, kAny, kFile, kFolder, kWords };
  Kind kind = Kind::kAny;
  std::vector<std::string_view> words;
};

struct KnownWords {
  std::string_view flag;
  std::array<std::string_view, 4> words;
};
/// Of flags whose type says only that there is a text.
constexpr std::array kKnownWords{
    KnownWords{"proxy-mode", {"iptables", "nftables"}},
    KnownWords{"logging-format", {"text", "json"}},
    KnownWords{"detect-local-mode", {"ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"}},
};

Value value_of(const config::Flag& flag) {
  using Kind = Value::Kind;
  if (flag.alone) return {.kind = Kind::kNone, .words = {}};
  if (flag.type == "DIR") return {.kind = Kind::kFolder, .words = {}};
  if (flag.type == "FILE" || flag.name == "kubeconfig") return {.kind = Kind::kFile, .words = {}};
  Value value{.kind = Kind::kWords, .words = {}};
  if (const auto* known = std::ranges::find(kKnownWords, flag.name, &KnownWords::flag); known != kKnownWords.end()) {
    std::ranges::copy_if(known->words, std::back_inserter(value.words), [](auto word) { return !word.empty(); });
  } else if (flag.type.find('|') != std::string::npos) {
    for (const std::string_view word : rules::split(flag.type, '|')) value.words.push_back(word);
  } else {
    value.kind = Kind::kAny;
  }
  return value;
}

std::string joined(const std::vector<std::string_view>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

std::string_view first_line(std::string_view about) {
  return about.substr(0, about.find('\n'));
}

/// In single quotes, as bash, zsh and fish read it. fish has escapes in there, too.
std::string in_single_quotes(std::string_view text, bool has_escapes) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += has_escapes ? "\\'" : "'\\''";
    } else if (c == '\\' && has_escapes) {
      quoted += "\\\\";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

constexpr std::string_view kShells = "bash zsh fish";

/// Words for the argument of a command.
std::string_view argument_words(const CommandPage& command) {
  return command.argument == "SHELL" ? kShells : std::string_view();
}

std::string commands_of(const ProgramPage& program) {
  std::string words;
  for (const CommandPage& command : program.commands) words += (words.empty() ? "" : " ") + std::string(command.word);
  return words;
}

std::string bash(const ProgramPage& program) {
  std::string flags;
  std::string values;
  for (const CommandPage& command : program.commands) {
    std::string names;
    for (const config::Flag& flag : command.flags) {
      names += " --" + flag.name;
      const Value value = value_of(flag);
      const std::string pattern = fmt::format("    {}:--{}", command.word, flag.name) +
                                  (flag.shorthand == '\0' ? "" : fmt::format("|{}:-{}", command.word, flag.shorthand));
      switch (value.kind) {
        case Value::Kind::kNone: break;
        case Value::Kind::kAny: values += pattern + ") return ;;\n"; break;
        case Value::Kind::kFile:
          values += pattern + ") compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
          break;
        case Value::Kind::kFolder:
          values += pattern + ") compopt -o filenames; COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n";
          break;
        case Value::Kind::kWords:
          values +=
              fmt::format("{}) COMPREPLY=($(compgen -W '{}' -- \"$word\")); return ;;\n", pattern, joined(value.words));
          break;
      }
    }
    flags += fmt::format("    {}) flags='{}' words='{}' ;;\n", command.word, names.substr(1), argument_words(command));
  }
  return fmt::format(R"(# bash completion of kubenatd, as `kubenatd completion bash` prints it.
_kubenatd() {{
  local word=$2 before=$3 command=${{COMP_WORDS[1]}} flags= words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$word"))
    return
  fi
  # bash takes --flag=VALUE apart.
  if [[ $word == = ]]; then
    word= before=${{COMP_WORDS[COMP_CWORD-1]}}
  elif [[ $before == = ]]; then
    before=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  case $command:$before in
{}  esac
  case $command in
{}  esac
  if [[ $word == -* || -z $words ]]; then words=$flags; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _kubenatd kubenatd
)",
                     commands_of(program), values, flags);
}

/// Help inside [...] of a specification of _arguments.
std::string zsh_help(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == '\\' || c == ':') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string zsh(const ProgramPage& program) {
  std::string commands;
  std::string cases;
  for (const CommandPage& command : program.commands) {
    commands +=
        fmt::format("    {}\n", in_single_quotes(fmt::format("{}:{}", command.word, first_line(command.about)), false));
    cases += fmt::format("    {})\n      _arguments -s -S \\\n", command.word);
    for (const config::Flag& flag : command.flags) {
      const Value value = value_of(flag);
      std::string action;
      switch (value.kind) {
        case Value::Kind::kNone: break;
        case Value::Kind::kAny: action = ":" + zsh_help(flag.type) + ":"; break;
        case Value::Kind::kFile: action = ":file:_files"; break;
        case Value::Kind::kFolder: action = ":folder:_files -/"; break;
        case Value::Kind::kWords: action = fmt::format(":value:({})", joined(value.words)); break;
      }
      const std::string help = fmt::format("[{}]{}", zsh_help(short_help(flag.help, kLongestHelp)), action);
      const char* equals = value.kind == Value::Kind::kNone ? "" : "=";
      cases +=
          fmt::format("        {} \\\n", in_single_quotes(fmt::format("*--{}{}{}", flag.name, equals, help), false));
      if (flag.shorthand != '\0')
        cases += fmt::format("        {} \\\n", in_single_quotes(fmt::format("*-{}{}", flag.shorthand, help), false));
    }
    const std::string_view words = argument_words(command);
    if (!words.empty()) {
      cases += fmt::format("        '1:{}:({})'\n      ;;\n", command.argument, words);
    } else if (!command.argument.empty()) {
      cases += fmt::format("        '1:{}:'\n      ;;\n", command.argument);
    } else {
      cases += "        && return\n      ;;\n";
    }
  }
  return fmt::format(R"(#compdef kubenatd
# zsh completion of kubenatd, as `kubenatd completion zsh` prints it.
_kubenatd() {{
  local -a commands
  commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
if [[ $funcstack[1] == _kubenatd ]]; then
  _kubenatd "$@"
else
  compdef _kubenatd kubenatd
fi
)",
                     commands, cases);
}

std::string fish(const ProgramPage& program) {
  std::string text =
      "# fish completion of kubenatd, as `kubenatd completion fish` prints it.\n"
      "complete -c kubenatd -f\n";
  for (const CommandPage& command : program.commands)
    text += fmt::format("complete -c kubenatd -n __fish_use_subcommand -a {} -d {}\n", command.word,
                        in_single_quotes(first_line(command.about), true));
  for (const CommandPage& command : program.commands) {
    const std::string start = fmt::format("complete -c kubenatd -n '__fish_seen_subcommand_from {}'", command.word);
    if (const std::string_view words = argument_words(command); !words.empty())
      text += fmt::format("{} -a '{}'\n", start, words);
    for (const config::Flag& flag : command.flags) {
      const Value value = value_of(flag);
      text += fmt::format("{} -l {}", start, flag.name);
      if (flag.shorthand != '\0') text += fmt::format(" -s {}", flag.shorthand);
      switch (value.kind) {
        case Value::Kind::kNone: break;
        case Value::Kind::kAny: text += " -x"; break;
        case Value::Kind::kFile: text += " -r -F"; break;
        case Value::Kind::kFolder: text += " -x -a '(__fish_complete_directories)'"; break;
        case Value::Kind::kWords: text += fmt::format(" -x -a '{}'", joined(value.words)); break;
      }
      text += fmt::format(" -d {}\n", in_single_quotes(short_help(flag.help, kLongestHelp), true));
    }
  }
  return text;
}

}  // namespace

int completion(const Options& options) {
  const ProgramPage program = program_page();
  std::string text;
  if (options.page == "bash") text = bash(program);
  if (options.page == "zsh") text = zsh(program);
  if (options.page == "fish") text = fish(program);
  if (text.empty()) {
    std::fputs("kubenatd completion: the shell is bash, zsh or fish\n", stderr);
    return kExitUsage;
  }
  std::fputs(text.c_str(), stdout);
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
