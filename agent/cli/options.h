#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/config/flag_set.h"
#include "agent/config/flags.h"
#include "rules/address.h"

namespace kubenatd::agent::cli {

/// What `explain` is asked.
struct ExplainOptions {
  enum class Source : std::uint8_t { kAuto, kDesired, kLive };
  std::string question;
  std::string from;
  Source source = Source::kAuto;
  std::vector<std::filesystem::path> saved;  ///< texts of iptables-save or nft, instead of any other source of rules
  std::vector<std::string> node_addresses;
  std::string in_interface;  ///< by which the packet comes in; empty: not said
  bool json = false;
};

/// What `trace` is asked, beside its question, which is explain's.
struct TraceOptions {
  std::chrono::nanoseconds duration = std::chrono::seconds(10);
  std::size_t packets = 5;
  bool connect = false;
};

/// What `check` is asked, beside what is understood of the configuration.
struct CheckOptions {
  bool node = false;  ///< whether this node can do the mode
  bool json = false;
};

/// What `status` and `services` are asked.
struct SeenOptions {
  std::string name;  ///< of a Service: "web" or "demo/web"; empty: all
  bool json = false;
  bool wide = false;  ///< services
  bool row = false;   ///< status
  bool problems_only = false;
};

/// What the command line asks for.
struct Options {
  enum class Command : std::uint8_t {
    kRun,
    kRender,
    kDiff,
    kExplain,
    kTrace,
    kStatus,
    kServices,
    kReport,
    kCheck,
    kCleanup,
    kVersion,
    kCompletion,
    kManual
  };
  Command command = Command::kVersion;
  std::optional<rules::Family> family;  ///< render and diff: only this one
  ExplainOptions explain;               ///< of trace, too
  TraceOptions trace;
  CheckOptions check;
  SeenOptions seen;
  std::filesystem::path report_file;  ///< report: empty or "-": standard output
  bool version_json = false;          ///< version: for programs
  std::string page;                   ///< completion: the shell; manual: the command, or empty for the program
  config::FlagValues flags;           ///< kubenatd's settings, and kube-proxy's flags: every command takes all of them
  std::vector<std::string> remarks;   ///< one line each, on how the command line was read
};

/// Exit codes; part of the command line's contract.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  ///< something could not be applied; diff: live and desired differ; explain: a
                                       ///< problem was found; trace: a packet went another way than predicted; status:
                                       ///< the agent has a problem; services NAME: it knows no such Service; check:
                                       ///< the configuration is refused, or this node cannot do a mode
inline constexpr int kExitUsage = 2;   ///< the command line is wrong
inline constexpr int kExitNoAnswer = 3;  ///< diff, explain, trace, status, services, check --node: it could not be
                                         ///< found out

/// A command, as its manual page and the shells' completions tell of it.
struct CommandPage {
  std::string_view word;
  std::string_view argument;
  std::string_view about;           ///< its first line stands alone
  std::vector<config::Flag> flags;  ///< those that the help names, by group; they take no values
  bool takes_flags_of_run = false;  ///< accepts what it does not name
};

/// The program, as its manual page tells of it.
struct ProgramPage {
  std::string_view about;
  std::string_view destination;  ///< what the argument DESTINATION may be
  std::string_view exit_codes;
  std::vector<CommandPage> commands;
};

[[nodiscard]] ProgramPage program_page();

/// The first sentence of a help text, or as much of it as `limit` lets.
[[nodiscard]] std::string short_help(std::string_view help, std::size_t limit);

/// The options, or the exit code when help or the version was asked for or the usage is wrong (the text is already
/// printed). Flags are read as config::FlagSet says; the command comes first.
[[nodiscard]] std::variant<Options, int> parse_command_line(int argc, const char* const* argv);

}  // namespace kubenatd::agent::cli
