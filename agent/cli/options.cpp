#include "agent/cli/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <iostream>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "agent/base/printable.h"
#include "agent/cli/examples.h"
#include "agent/config/duration.h"
#include "agent/config/flag_set.h"
#include "agent/config/go_values.h"

namespace kubenatd::agent::cli {
namespace {

using config::Flag;
using config::FlagSet;
using Command = Options::Command;

constexpr std::chrono::nanoseconds kShortestTrace = std::chrono::milliseconds(100);
constexpr std::chrono::nanoseconds kLongestTrace = std::chrono::hours(1);
constexpr std::size_t kMostTracedPackets = 500;
constexpr const char* kGroup = "Flags";

constexpr const char* kAbout =
    "kubenatd programs a node's Service forwarding: it turns Services and EndpointSlices into the KUBE-* chains that\n"
    "kube-proxy would make, by netlink, and keeps them so.\n";

constexpr const char* kExamples =
    "Examples:\n"
    "  kubenatd render --manifests manifests/demo            what would be in the kernel, as iptables-save text\n"
    "  kubenatd run --manifests manifests/demo --once        put it there and exit\n"
    "  kubenatd run --manifests manifests/demo               put it there, follow changes, heal what others change\n"
    "  kubenatd run --config /var/lib/kube-proxy/config.conf as kube-proxy in a cluster, with its configuration\n"
    "  kubenatd diff --manifests manifests/demo              what differs between desired and live, rule by rule\n"
    "  kubenatd explain 10.96.0.10:53/udp --manifests DIR    what happens to a packet, rule by rule, and why\n"
    "  kubenatd trace 10.96.0.10:53/udp --manifests DIR      what real packets of it meet, beside what explain says\n"
    "  kubenatd status                                       how the agent that runs here is\n"
    "  kubenatd services demo/web                            what it knows of a Service\n"
    "  kubenatd check --node --proxy-mode nftables           whether this node can do that mode\n"
    "  kubenatd cleanup                                      remove all of it, and nothing else\n"
    "\n"
    "Look at the chains with iptables -t nat -L KUBE-SERVICES -n, or iptables-save.\n";

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 something could not be applied (diff: there are differences, explain: there is a\n"
    "problem, trace: a packet went another way than predicted, status: the agent has a problem, services NAME: there\n"
    "is no such Service, check: the configuration is refused or the node cannot do a mode); 2 wrong usage; 3 diff,\n"
    "explain, trace or check --node could not read the kernel or their input (trace: or saw nothing), or no agent\n"
    "answers status or services.\n";

/// A command and what the help says of it.
struct CommandWord {
  std::string_view word;
  Command command;
  config::Command flags;  ///< whose meaning its flags have
  std::string_view argument;
  std::string_view about;  ///< its first line is in the list of commands
};

constexpr std::array kCommands{
    CommandWord{
        "run", Command::kRun, config::Command::kRun, "",
        "Program the chains and keep them so; needs CAP_NET_ADMIN\n"
        "SIGHUP reads the configuration and all objects again, also files that do not seem to have changed, and\n"
        "logs what had changed. SIGTERM ends it; the rules stay."},
    CommandWord{"render", Command::kRender, config::Command::kRender, "",
                "Print the desired state as iptables-save or nft would; needs no rights and does not touch the kernel"},
    CommandWord{"diff", Command::kDiff, config::Command::kDiff, "",
                "Compare desired and live chains rule by rule: '-' is live and not wanted, '+' wanted and not live"},
    CommandWord{"explain", Command::kExplain, config::Command::kExplain, "DESTINATION",
                "Say what happens to a packet: rule by rule, to which endpoint, what is wrong, what a client sees"},
    CommandWord{"trace", Command::kTrace, config::Command::kExplain, "DESTINATION",
                "Watch real packets of a flow, beside what explain says of it; needs CAP_NET_ADMIN\n"
                "Each packet is told with the rules that it met, foreign ones too. Exit code 0: packets came, as\n"
                "predicted; 1: one went another way; 3: none came, or nothing could be compared"},
    CommandWord{"status", Command::kStatus, config::Command::kAsk, "",
                "Say how the agent that runs on this node is, problems first; it is asked at its metrics address\n"
                "Exit code 0: no problem; 1: there is one; 3: no agent answers"},
    CommandWord{"services", Command::kServices, config::Command::kAsk, "[NAME]",
                "List the Services as the running agent sees them: addresses, ready endpoints, problems, drift\n"
                "NAME is web or demo/web, and shows its frontends and endpoints, too. Exit code 1: there is no such\n"
                "Service; 3: no agent answers"},
    CommandWord{
        "report", Command::kReport, config::Command::kDiff, "",
        "Write one text with all that a report of a fault needs, without tokens, keys and certificates\n"
        "What cannot be had is said in its place. Names and addresses of Services, pods and nodes are in it: read\n"
        "it before you give it away."},
    CommandWord{"check", Command::kCheck, config::Command::kCheck, "",
                "Say what is understood of a configuration and of the flags of run, or what this node can do\n"
                "Exit code 1: the configuration is refused. With --node 1: a mode cannot run here; 3: it could not be\n"
                "found out, mostly for want of CAP_NET_ADMIN"},
    CommandWord{
        "cleanup", Command::kCleanup, config::Command::kCleanup, "",
        "Remove every chain, jump and table that kubenatd or kube-proxy in iptables mode has made, and no other"},
    CommandWord{"version", Command::kVersion, config::Command::kCleanup, "",
                "Print the version, with --output json also the commit, its date and the libraries"},
    CommandWord{"completion", Command::kCompletion, config::Command::kCleanup, "SHELL",
                "Print what completes command lines in bash, zsh or fish\n"
                "The packages install it. For one shell: source <(kubenatd completion bash)"},
    // What the manual pages of a package are made from.
    CommandWord{"manual", Command::kManual, config::Command::kCleanup, "[COMMAND]",
                "Print the manual page of kubenatd or of a command, for man -l -"},
};

constexpr std::string_view kDestinationArgument = "DESTINATION";

/// Not in the list of commands.
constexpr bool is_hidden(const CommandWord& command) {
  return command.command == Command::kManual;
}

/// Takes the settings of a running agent.
constexpr bool takes_settings(const CommandWord& command) {
  return command.command != Command::kVersion && command.command != Command::kCompletion &&
         command.command != Command::kManual;
}

constexpr const char* kDestination =
    "DESTINATION is ADDRESS:PORT[/tcp|udp|sctp], node:PORT[/...], or http(s)://HOST[:PORT][/PATH].\n";

using Wrong = std::optional<std::string>;

/// A flag of the commands that look, which `read` takes.
Flag flag(std::string name, std::string type, std::string help, std::function<Wrong(const std::string&)> read) {
  return {.name = std::move(name),
          .type = std::move(type),
          .help = std::move(help),
          .fallback = "",
          .group = kGroup,
          .alone = std::nullopt,
          .set = std::move(read)};
}

void add_family_flag(FlagSet& flags, Options& options) {
  flags.add(flag("family", "ipv4|ipv6", "Only this address family", [&options](const std::string& text) -> Wrong {
    const std::optional<bool> is_ipv6 = text == "ipv6" || text == "IPv6"   ? std::optional(true)
                                        : text == "ipv4" || text == "IPv4" ? std::optional(false)
                                                                           : std::nullopt;
    if (!is_ipv6) return "it is not ipv4 or ipv6";
    options.family = *is_ipv6 ? rules::Family::kIpv6 : rules::Family::kIpv4;
    return std::nullopt;
  }));
}

Flag output_flag(bool& json) {
  Flag output =
      flag("output", "text|json", "text for people, json for programs", [&json](const std::string& text) -> Wrong {
        if (text != "text" && text != "json") return "it is not text or json";
        json = text == "json";
        return std::nullopt;
      });
  output.shorthand = 'o';
  output.fallback = "text";
  return output;
}

void add_node_address_and_output(FlagSet& flags, ExplainOptions& explain) {
  flags.add(flag("node-address", "ADDRESS",
                 "An address of the node, when neither a Node object nor this machine tells it. Commas, or given more "
                 "than once",
                 [&explain](const std::string& text) -> Wrong {
                   auto parts = config::parse_csv_record(text);
                   if (!parts) return parts.error();
                   std::ranges::move(*parts, std::back_inserter(explain.node_addresses));
                   return std::nullopt;
                 }));
  flags.add(output_flag(explain.json));
}

void add_check_flags(FlagSet& flags, CheckOptions& check) {
  flags.add(config::bool_flag("node",
                              "Say whether this node can do the mode of --proxy-mode or of --config, or else both: the "
                              "kernel is tried out, and nothing of it stays. Needs CAP_NET_ADMIN",
                              check.node));
  flags.add(output_flag(check.json));
}

void add_seen_flags(FlagSet& flags, SeenOptions& seen, Command command) {
  const bool is_status = command == Command::kStatus;
  Flag output = flag("output", is_status ? "text|row|json" : "text|wide|json",
                     is_status ? "text for people, row for a table of nodes, json for programs"
                               : "text for people, wide with more columns, json for programs",
                     [&seen, is_status](const std::string& text) -> Wrong {
                       const std::string third = is_status ? "row" : "wide";
                       if (text != "text" && text != "json" && text != third)
                         return fmt::format("it is not text, {} or json", third);
                       seen.json = text == "json";
                       seen.row = text == "row";
                       seen.wide = text == "wide";
                       return std::nullopt;
                     });
  output.shorthand = 'o';
  output.fallback = "text";
  flags.add(std::move(output));
  if (!is_status) flags.add(config::bool_flag("problems", "Only Services that have a problem", seen.problems_only));
}

void add_trace_flags(FlagSet& flags, Options& options) {
  flags.add(config::text_flag("from", "ADDRESS",
                              "Only packets from there: an address, or \"node\". Default: from everywhere, with "
                              "--connect the node",
                              options.explain.from));
  Flag duration = flag("for", "DURATION", "How long to watch", [&options](const std::string& text) -> Wrong {
    const auto read = config::parse_duration(text);
    if (!read || *read < kShortestTrace || *read > kLongestTrace)
      return "it is not a duration of 100ms to 1h, as in 10s or 1m30s";
    options.trace.duration = *read;
    return std::nullopt;
  });
  duration.fallback = config::to_text(options.trace.duration);
  flags.add(std::move(duration));
  Flag packets = flag("packets", "N", "End after so many packets; answers do not count",
                      [&options](const std::string& text) -> Wrong {
                        const auto read = config::parse_go_int(text, 32);
                        if (!read || *read < 1 || std::cmp_greater(*read, kMostTracedPackets))
                          return fmt::format("it is not a number of 1 to {}", kMostTracedPackets);
                        options.trace.packets = static_cast<std::size_t>(*read);
                        return std::nullopt;
                      });
  packets.fallback = std::to_string(options.trace.packets);
  flags.add(std::move(packets));
  flags.add(config::bool_flag("connect",
                              "Make one connection from this node and close it at once; UDP: send one empty datagram",
                              options.trace.connect));
  add_node_address_and_output(flags, options.explain);
}

/// The flags of explain that choose the rules to walk, as they were given.
struct SourceFlags {
  bool desired = false;
  bool live = false;

  /// Sets the source; what is wrong with the choice.
  [[nodiscard]] Wrong choose(ExplainOptions& explain) const {
    if (static_cast<int>(desired) + static_cast<int>(live) + static_cast<int>(!explain.saved.empty()) > 1)
      return "--desired, --live and --from-save exclude each other";
    if (desired) explain.source = ExplainOptions::Source::kDesired;
    if (live) explain.source = ExplainOptions::Source::kLive;
    return std::nullopt;
  }
};

void add_explain_flags(FlagSet& flags, ExplainOptions& explain, SourceFlags& source) {
  flags.add(config::text_flag("from", "ADDRESS",
                              "Who asks: an address, or \"node\". Default: a ClusterIP or localhost is asked by the "
                              "node, anything else by a client outside",
                              explain.from));
  flags.add(config::bool_flag("desired", "Walk the rules that are wanted; needs no rights", source.desired));
  flags.add(config::bool_flag("live",
                              "Walk the kernel's rules and compare them with what is wanted. The default where the "
                              "rights are there",
                              source.live));
  flags.add(flag("from-save", "FILE",
                 "Walk the rules in this output of iptables-save or nft [-j] list ruleset; may be given more than once "
                 "(ip6tables-save). Objects are optional then",
                 [&explain](const std::string& text) -> Wrong {
                   explain.saved.emplace_back(text);
                   return std::nullopt;
                 }));
  flags.add(config::text_flag("in-interface", "NAME",
                              "Where the packet comes in. Default: the interface by which the node would send to who "
                              "asks, where the node can be asked; else it is not known",
                              explain.in_interface));
  add_node_address_and_output(flags, explain);
}

/// As kube-proxy has it: --version, --version=raw; --version=v1.2.3 only sets what is told elsewhere.
Flag version_flag(bool& asked) {
  Flag version = flag("version", "", "Print the version and exit", [&asked](const std::string& text) -> Wrong {
    if (text.starts_with('v')) return std::nullopt;
    const std::optional<bool> truth = text == "raw" ? true : config::parse_go_bool(text);
    if (!truth) return "it is not true or false";
    asked = *truth;
    return std::nullopt;
  });
  version.alone = "true";
  version.is_hidden = true;
  return version;
}

int usage_mistake(std::string_view command, std::string_view what) {
  const std::string program = command.empty() ? "kubenatd" : fmt::format("kubenatd {}", command);
  std::cerr << program << ": " << what << "\n" << program << " --help tells more.\n";
  return kExitUsage;
}

std::string top_help() {
  std::string text = fmt::format("{}\nUsage: kubenatd COMMAND [FLAGS]\n\nCommands:\n", kAbout);
  for (const CommandWord& command : kCommands)
    if (!is_hidden(command))
      text += fmt::format("  {:<10} {}\n", command.word, command.about.substr(0, command.about.find('\n')));
  text += "\nkubenatd COMMAND --help tells the flags of a command; kubenatd --version the version.\n\n";
  return text + kExamples + kExitCodes;
}

/// The flags that a first look needs; the others are told by --help=all.
constexpr std::array<std::string_view, 12> kMainFlags{"manifests", "config",     "kubeconfig", "hostname-override",
                                                      "once",      "proxy-mode", "v",          "cluster-cidr",
                                                      "node",      "host-ports", "family",     "help"};
/// Lines that a screen shows.
constexpr std::ptrdiff_t kScreen = 40;
constexpr std::size_t kLongestShortHelp = 130;

std::string help_of(const CommandWord& command, const FlagSet& flags, bool all) {
  std::string head = fmt::format("{}\n\nUsage: kubenatd {}{}{} [FLAGS]\n", command.about, command.word,
                                 command.argument.empty() ? "" : " ", command.argument);
  if (command.argument == kDestinationArgument) head += kDestination;
  std::string tail;
  if (takes_settings(command)) {
    tail +=
        "\n--flag=VALUE or --flag VALUE; --flag= is an empty value; true or false only behind \"=\"; _ in a name is "
        "-.\n";
    if (command.flags != config::Command::kRun && command.flags != config::Command::kCheck)
      tail +=
          "The other flags of run are accepted, as in the command line of a running agent, and mean nothing here.\n";
  }
  if (const auto examples = examples_of(command.word); !examples.empty()) {
    tail += "\nExamples:\n";
    for (const Example& example : examples) tail += fmt::format("  {:<58} {}\n", example.line, example.about);
  }
  std::string whole = head + flags.help() + tail;
  if (all || std::ranges::count(whole, '\n') <= kScreen) return whole;
  std::vector<Flag> shown;
  const std::vector<const Flag*> known = flags.visible();
  for (const Flag* flag : known) {
    if (flag->group != kGroup && std::ranges::find(kMainFlags, flag->name) == kMainFlags.end()) continue;
    shown.push_back(*flag);
    shown.back().help = short_help(flag->help, kLongestShortHelp);
    if (shown.back().help.size() < flag->help.size()) shown.back().fallback.clear();
  }
  std::vector<const Flag*> lines;
  for (const Flag& flag : shown) lines.push_back(&flag);
  return head + config::help_of(lines) +
         fmt::format("\nkubenatd {} --help=all tells all of these and {} more flags, as does man kubenatd-{}.\n",
                     command.word, known.size() - shown.size(), command.word) +
         tail.substr(tail.find("\nExamples:"));
}

/// "a" "b", as many as a line shows well.
std::string quoted(std::span<const std::string> words) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (const std::string& word : words.first(std::min(words.size(), kMost)))
    text += (text.empty() ? "" : ", ") + base::in_quotes(word);
  return words.size() > kMost ? text + ", ..." : text;
}

/// Takes the words that are no flags; what is wrong with them.
Wrong take_arguments(const CommandWord& command, std::vector<std::string> words, Options& options) {
  std::erase(words, "");  // as kube-proxy, and a shell's empty variable
  if (!command.argument.empty() && !words.empty()) {
    std::string& place = command.command == Command::kServices ? options.seen.name
                         : takes_settings(command)             ? options.explain.question
                                                               : options.page;
    place = words.front();
    words.erase(words.begin());
  } else if (command.argument == kDestinationArgument || command.command == Command::kCompletion) {
    return fmt::format("{} is missing", command.argument);
  }
  if (words.empty()) return std::nullopt;
  const bool is_bool = std::ranges::any_of(words, [](const auto& word) { return word == "true" || word == "false"; });
  return fmt::format("{} {}, got {}{}", command.word,
                     command.argument.empty() ? "takes no arguments" : fmt::format("takes one {}", command.argument),
                     quoted(words), is_bool ? "; a flag takes true or false only behind \"=\"" : "");
}

/// Flags of run that would do something else, and do nothing here.
void remark_meaningless(const CommandWord& command, Options& options) {
  if (command.command == Command::kRun || command.command == Command::kCheck) return;
  std::string names;
  const auto name = [&](bool given, std::string_view flag) {
    if (given) names += (names.empty() ? "" : ", ") + std::string(flag);
  };
  name(options.flags.cleanup, "--cleanup");
  name(options.flags.init_only, "--init-only");
  name(options.flags.write_config_to.has_value(), "--write-config-to");
  if (!names.empty() && command.command != Command::kCleanup)
    options.remarks.push_back(fmt::format("{} does not do what is asked for by {}", command.word, names));
}

/// What a command line asks for beside its options.
struct Asked {
  bool help = false;
  bool all_help = false;
  bool version = false;
  SourceFlags source;
};

Flag help_flag(Asked& asked) {
  Flag help = flag("help", "", "Print this; --help=all: with all flags", [&asked](const std::string& text) -> Wrong {
    asked.all_help = text == "all";
    const auto truth = asked.all_help ? std::optional(true) : config::parse_go_bool(text);
    if (!truth) return "it is not true, false or all";
    asked.help = *truth;
    return std::nullopt;
  });
  help.alone = "true";
  help.shorthand = 'h';
  return help;
}

/// All flags of a command. They keep references to `options` and `asked`.
FlagSet flags_of(const CommandWord& command, Options& options, Asked& asked) {
  FlagSet flags;
  flags.add(help_flag(asked));
  if (command.command == Command::kRender || command.command == Command::kDiff) add_family_flag(flags, options);
  if (command.command == Command::kExplain) add_explain_flags(flags, options.explain, asked.source);
  if (command.command == Command::kTrace) add_trace_flags(flags, options);
  if (command.command == Command::kStatus || command.command == Command::kServices)
    add_seen_flags(flags, options.seen, command.command);
  if (command.command == Command::kCheck) add_check_flags(flags, options.check);
  if (command.command == Command::kReport)
    flags.add(
        flag("output", "FILE", "Where to; default: standard output", [&options](const std::string& text) -> Wrong {
          options.report_file = text;
          return std::nullopt;
        }));
  if (command.command == Command::kVersion) flags.add(output_flag(options.version_json));
  if (takes_settings(command)) {
    flags.add(version_flag(asked.version));
    config::register_settings(flags, command.flags, options.flags);
    config::register_kube_proxy_flags(flags, command.flags, options.flags);
  }
  return flags;
}

std::variant<Options, int> parse_command(const CommandWord& command, std::span<const std::string> words) {
  // The flags hold references into it.
  std::variant<Options, int> result;
  auto& options = std::get<Options>(result);
  options.command = command.command;
  Asked asked;
  const FlagSet flags = flags_of(command, options, asked);

  auto parsed = flags.parse(words);
  if (!parsed) return usage_mistake(command.word, parsed.error().cause);
  if (asked.help) {
    std::cout << help_of(command, flags, asked.all_help) << std::flush;
    return kExitOk;
  }
  if (asked.version) options.command = Command::kVersion;
  if (const Wrong wrong = asked.source.choose(options.explain)) return usage_mistake(command.word, *wrong);
  if (options.check.json && !options.check.node) return usage_mistake(command.word, "--output json goes with --node");
  if (options.command != Command::kVersion || command.command == Command::kVersion)
    if (const Wrong wrong = take_arguments(command, std::move(parsed->arguments), options))
      return usage_mistake(command.word, *wrong);
  options.remarks = std::move(parsed->remarks);
  remark_meaningless(command, options);
  return result;
}

}  // namespace

std::string short_help(std::string_view help, std::size_t limit) {
  std::string text(help.substr(0, std::min(help.find(". "), help.find("; "))));
  text = text.substr(0, std::min(text.find(".\n"), text.find(";\n")));
  std::ranges::replace(text, '\n', ' ');
  if (text.size() > limit) text.resize(text.rfind(' ', limit));
  return text;
}

ProgramPage program_page() {
  ProgramPage page{.about = kAbout, .destination = kDestination, .exit_codes = kExitCodes, .commands = {}};
  for (const CommandWord& command : kCommands) {
    if (is_hidden(command)) continue;
    Options options;
    Asked asked;
    const FlagSet flags = flags_of(command, options, asked);
    CommandPage& added = page.commands.emplace_back(
        CommandPage{.word = command.word,
                    .argument = command.argument,
                    .about = command.about,
                    .flags = {},
                    .takes_flags_of_run = takes_settings(command) && command.flags != config::Command::kRun &&
                                          command.flags != config::Command::kCheck});
    for (const Flag* flag : flags.visible()) {
      added.flags.push_back(*flag);
      added.flags.back().set = {};  // refers to the options, which end here
      added.flags.back().count = {};
    }
  }
  return page;
}

std::variant<Options, int> parse_command_line(int argc, const char* const* argv) {
  try {
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    if (words.empty()) {
      std::cerr << top_help();
      return kExitUsage;
    }
    const std::string& first = words.front();
    if (first == "--help" || first == "-h") {
      std::cout << top_help() << std::flush;
      return kExitOk;
    }
    const auto* const command = first == "--version" ? std::ranges::find(kCommands, "version", &CommandWord::word)
                                                     : std::ranges::find(kCommands, first, &CommandWord::word);
    if (command != kCommands.end()) return parse_command(*command, std::span(words).subspan(1));
    if (first.starts_with('-')) return usage_mistake("", "a command comes first, before " + base::in_quotes(first));
    return usage_mistake("", base::in_quotes(first) + " is not a command");
  } catch (const std::exception& error) {
    std::cerr << "kubenatd: " << error.what() << '\n';
    return kExitUsage;
  }
}

}  // namespace kubenatd::agent::cli
