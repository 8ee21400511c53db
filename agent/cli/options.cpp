#include "agent/cli/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>
#include <map>

#include "agent/config/duration.h"

namespace kubenatd::agent::cli {
namespace {

constexpr std::chrono::nanoseconds kShortestTrace = std::chrono::milliseconds(100);
constexpr std::chrono::nanoseconds kLongestTrace = std::chrono::hours(1);
constexpr std::size_t kMostTracedPackets = 500;

constexpr const char* kAbout =
    "kubenatd programs a node's Service forwarding: it turns Services and EndpointSlices into the KUBE-* chains that\n"
    "kube-proxy would make, by netlink, and keeps them so.";

constexpr const char* kExamples =
    "Examples:\n"
    "  kubenatd render --manifests manifests/demo            what would be in the kernel, as iptables-save text\n"
    "  kubenatd run --manifests manifests/demo --once        put it there and exit\n"
    "  kubenatd run --manifests manifests/demo               put it there, follow changes, heal what others change\n"
    "  kubenatd run --config /var/lib/kube-proxy/config.conf as kube-proxy in a cluster, with its configuration\n"
    "  kubenatd diff --manifests manifests/demo              what differs between desired and live, rule by rule\n"
    "  kubenatd explain 10.96.0.10:53/udp --manifests DIR    what happens to a packet, rule by rule, and why\n"
    "  kubenatd trace 10.96.0.10:53/udp --manifests DIR      what real packets of it meet, beside what explain says\n"
    "  kubenatd cleanup                                      remove all of it, and nothing else\n"
    "\n"
    "Look at the chains with iptables -t nat -L KUBE-SERVICES -n, or iptables-save.\n"
    "Exit codes: 0 done; 1 something could not be applied (diff: there are differences, explain: there is a\n"
    "problem, trace: a packet went another way than predicted); 2 wrong usage; 3 diff, explain or trace could not\n"
    "read the kernel or their input (trace: or saw nothing).";

const std::map<std::string, rules::Family> kFamilyNames{{"ipv4", rules::Family::kIpv4}, {"ipv6", rules::Family::kIpv6}};

/// The three of kube-proxy's flags that a command has which only looks.
void add_config_options(CLI::App& command, Options& options) {
  command
      .add_option("--config", options.flags.config,
                  "KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), and KubenatdConfiguration beside it")
      ->type_name("FILE");
  command
      .add_option("--hostname-override", options.flags.hostname_override,
                  "Name of this node, instead of the configuration's or the host's")
      ->type_name("NAME");
  command
      .add_option_function<std::string>(
          "--proxy-mode", [&options](const std::string& mode) { options.flags.given["proxy-mode"] = {mode}; },
          "The mode, where no --config says it")
      ->type_name("iptables|nftables");
  for (const auto& [name, type, about] :
       {std::array{"kubeconfig", "FILE", "How to reach the API server, without --config"},
        std::array{"master", "URL", "Address of the API server, instead of the kubeconfig's"}}) {
    command
        .add_option_function<std::string>(
            std::string("--") + name,
            [&options, key = std::string(name)](const std::string& value) { options.flags.given[key] = {value}; },
            about)
        ->type_name(type);
  }
}

void add_family_option(CLI::App& command, Options& options) {
  command.add_option("--family", options.family, "Only this address family")
      ->transform(CLI::CheckedTransformer(kFamilyNames, CLI::ignore_case).description(""))
      ->type_name("ipv4|ipv6");
}

void add_verbosity(CLI::App& command, Options& options) {
  command.add_flag("-v,--verbose", options.flags.verbosity, "Say more");
}

void add_question(CLI::App& command, ExplainOptions& explain) {
  command
      .add_option("question", explain.question,
                  "ADDRESS:PORT[/tcp|udp|sctp], node:PORT[/...], or http(s)://HOST[:PORT][/PATH]")
      ->required()
      ->type_name("DESTINATION");
}

void add_node_address_and_output(CLI::App& command, ExplainOptions& explain) {
  command
      .add_option("--node-address", explain.node_addresses,
                  "An address of the node, when neither a Node object nor this machine tells it")
      ->allow_extra_args(false)
      ->type_name("ADDRESS");
  command
      .add_option_function<std::string>(
          "-o,--output", [&explain](const std::string& value) { explain.json = value == "json"; },
          "text for people, json for programs")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json");
}

void add_trace_options(CLI::App& command, Options& options) {
  add_question(command, options.explain);
  command
      .add_option("--from", options.explain.from,
                  "Only packets from there: an address, or \"node\". Default: from everywhere, with --connect the node")
      ->type_name("ADDRESS");
  command
      .add_option_function<std::string>(
          "--for",
          [&options](const std::string& text) {
            const auto duration = config::parse_duration(text);
            if (!duration || *duration < kShortestTrace || *duration > kLongestTrace)
              throw CLI::ValidationError("--for", "it is a duration of 100ms to 1h, as in 10s or 1m30s");
            options.trace.duration = *duration;
          },
          "How long to watch. Default: 10s")
      ->type_name("DURATION");
  command.add_option("--packets", options.trace.packets, "End after so many packets; answers do not count. Default: 5")
      ->check(CLI::Range(std::size_t{1}, kMostTracedPackets).description(""))
      ->type_name("N");
  command.add_flag("--connect", options.trace.connect,
                   "Make one connection from this node and close it at once; UDP: send one empty datagram");
  add_node_address_and_output(command, options.explain);
}

void add_explain_options(CLI::App& command, ExplainOptions& explain) {
  add_question(command, explain);
  command
      .add_option(
          "--from", explain.from,
          "Who asks: an address, or \"node\". Default: a ClusterIP or localhost is asked by the node, anything\n"
          "else by a client outside")
      ->type_name("ADDRESS");
  auto* desired = command.add_flag_callback(
      "--desired", [&explain] { explain.source = ExplainOptions::Source::kDesired; },
      "Walk the rules that are wanted; needs no rights");
  auto* live = command.add_flag_callback(
      "--live", [&explain] { explain.source = ExplainOptions::Source::kLive; },
      "Walk the kernel's rules and compare them with what is wanted. The default where the rights are there");
  auto* saved =
      command
          .add_option(
              "--from-save", explain.saved,
              "Walk the rules in this output of iptables-save or nft [-j] list ruleset; may be given more than\n"
              "once (ip6tables-save). Objects are optional then")
          ->allow_extra_args(false)
          ->type_name("FILE");
  desired->excludes(live)->excludes(saved);
  live->excludes(saved);
  command
      .add_option("--in-interface", explain.in_interface,
                  "Where the packet comes in. Default: the interface by which the node would send to who asks, where\n"
                  "the node can be asked; else it is not known")
      ->type_name("NAME");
  add_node_address_and_output(command, explain);
}

}  // namespace

std::variant<Options, int> parse_command_line(int argc, const char* const* argv) {
  Options options;
  try {
    CLI::App app{kAbout, "kubenatd"};
    app.footer(kExamples);
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("kubenatd ") + KUBENATD_VERSION);

    CLI::App& run = *app.add_subcommand("run", "Program the chains and keep them so; needs CAP_NET_ADMIN");
    run.footer(
        "SIGHUP reads the configuration and all objects again, also files that do not seem to have changed, and logs\n"
        "what had changed. SIGTERM ends it; the rules stay.");
    config::register_settings(run, config::Command::kRun, options.flags);
    config::register_kube_proxy_flags(run, options.flags);

    CLI::App& render = *app.add_subcommand(
        "render",
        "Print the desired state as iptables-save or nft would; needs no rights and does not touch the kernel");
    config::register_settings(render, config::Command::kRender, options.flags);
    add_config_options(render, options);
    add_family_option(render, options);
    add_verbosity(render, options);

    CLI::App& diff = *app.add_subcommand(
        "diff", "Compare desired and live chains rule by rule: '-' is live and not wanted, '+' wanted and not live");
    config::register_settings(diff, config::Command::kDiff, options.flags);
    add_config_options(diff, options);
    add_family_option(diff, options);
    add_verbosity(diff, options);

    CLI::App& explain = *app.add_subcommand(
        "explain", "Say what happens to a packet: rule by rule, to which endpoint, what is wrong, what a client sees");
    add_explain_options(explain, options.explain);
    config::register_settings(explain, config::Command::kExplain, options.flags);
    add_config_options(explain, options);
    add_verbosity(explain, options);

    CLI::App& trace = *app.add_subcommand("trace",
                                          "Watch real packets of a flow: which rules each one met, foreign ones too, "
                                          "beside what explain says of it; needs\n"
                                          "CAP_NET_ADMIN. Exit code 0: packets came, as predicted; 1: one went another "
                                          "way; 3: none came, or nothing could\n"
                                          "be compared");
    add_trace_options(trace, options);
    config::register_settings(trace, config::Command::kExplain, options.flags);
    add_config_options(trace, options);
    add_verbosity(trace, options);

    CLI::App& check = *app.add_subcommand(
        "check", "Say what is understood of a configuration and of the flags of run; exit 1 when it is refused");
    config::register_settings(check, config::Command::kCheck, options.flags);
    config::register_kube_proxy_flags(check, options.flags);

    CLI::App& cleanup = *app.add_subcommand(
        "cleanup",
        "Remove every chain, jump and table that kubenatd, or kube-proxy in iptables mode, has made, and nothing else");
    add_verbosity(cleanup, options);

    CLI::App& version = *app.add_subcommand("version", "Print the version");

    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
      app.exit(error, std::cout, std::cerr);
      return asked ? kExitOk : kExitUsage;
    }
    if (run.parsed()) options.command = Options::Command::kRun;
    if (render.parsed()) options.command = Options::Command::kRender;
    if (diff.parsed()) options.command = Options::Command::kDiff;
    if (explain.parsed()) options.command = Options::Command::kExplain;
    if (trace.parsed()) options.command = Options::Command::kTrace;
    if (check.parsed()) options.command = Options::Command::kCheck;
    if (cleanup.parsed()) options.command = Options::Command::kCleanup;
    if (version.parsed()) options.command = Options::Command::kVersion;
    return options;
  } catch (const std::exception& error) {
    std::cerr << "kubenatd: " << error.what() << '\n';
    return kExitUsage;
  }
}

}  // namespace kubenatd::agent::cli
