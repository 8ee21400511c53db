#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "agent/cli/commands.h"
#include "agent/cli/examples.h"
#include "agent/cli/options.h"
#include "agent/cli/output.h"
#include "rules/words.h"

/// The manual pages, in the macros of man(7), made from the table of commands and flags.
namespace kubenatd::agent::cli {
namespace {

/// Text that roff prints as it is: "-" as it can be typed.
std::string literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

/// Lines of running text; one that begins as a request does not become one.
std::string paragraph(std::string_view text) {
  std::string lines;
  for (const std::string_view line : rules::split(text, '\n')) {
    if (line.empty()) continue;
    if (line.front() == '.' || line.front() == '\'') lines += "\\&";
    lines += literal(line) + "\n";
  }
  return lines;
}

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return result;
}

/// The page's head. There is no date: a page is as old as the version that its foot names.
std::string head(std::string_view name, std::string_view about) {
  return fmt::format(".TH {} 8 \"\" \"kubenatd {}\" \"System Manager's Manual\"\n.SH NAME\n{} \\- {}\n", upper(name),
                     KUBENATD_VERSION, literal(name), literal(about));
}

/// As the names of whatis go: not a sentence.
std::string as_name(std::string_view about) {
  std::string line(about.substr(0, about.find_first_of("\n:;")));
  if (!line.empty()) line.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(line.front())));
  return line;
}

std::string examples(std::string_view word) {
  std::string text;
  for (const Example& example : examples_of(word))
    text += fmt::format(".TP\n.B {}\n{}", literal(example.line), paragraph(example.about));
  return text;
}

std::string see_also(const ProgramPage& program, std::string_view self) {
  std::string text = ".SH SEE ALSO\n";
  std::string last;
  const auto add = [&](std::string_view name) {
    if (name == self) return;
    if (!last.empty()) text += last + " ,\n";
    last = fmt::format(".BR {} (8)", literal(name));
  };
  add("kubenatd");
  for (const CommandPage& command : program.commands) add(fmt::format("kubenatd-{}", command.word));
  return text + last + "\n";
}

std::string flags_of(const CommandPage& command) {
  std::string text = ".SH OPTIONS\n";
  std::string_view group;
  for (const config::Flag& flag : command.flags) {
    if (flag.group != group) text += fmt::format(".SS {}\n", literal(flag.group));
    group = flag.group;
    text += ".TP\n.BR " + (flag.shorthand == '\0' ? "" : fmt::format("\\-{} \", \" ", flag.shorthand)) +
            fmt::format("\\-\\-{}", literal(flag.name));
    if (!flag.type.empty()) text += fmt::format(" \" \\fI{}\\fP\"", literal(flag.type));
    text += "\n" + paragraph(flag.help);
    if (!flag.fallback.empty()) text += fmt::format("Default: {}.\n", literal(flag.fallback));
  }
  return text;
}

std::string page_of(const ProgramPage& program, const CommandPage& command) {
  const std::string name = fmt::format("kubenatd-{}", command.word);
  std::string text = head(name, as_name(command.about));
  text += fmt::format(".SH SYNOPSIS\n.B kubenatd {}\n", command.word);
  if (!command.argument.empty()) text += fmt::format(".I {}\n", command.argument);
  text += ".RI [ FLAGS ]\n.SH DESCRIPTION\n" + paragraph(command.about.substr(0, command.about.find('\n')));
  text += ".PP\n";
  if (const std::size_t more = command.about.find('\n'); more != std::string_view::npos)
    text += paragraph(command.about.substr(more + 1));
  else
    text.resize(text.size() - std::string_view(".PP\n").size());
  if (command.argument == "DESTINATION") text += ".PP\n" + paragraph(program.destination);
  text += flags_of(command);
  if (command.takes_flags_of_run)
    text += ".PP\nThe other flags of\n.BR kubenatd\\-run (8)\nare accepted and mean nothing here.\n";
  text += ".SH EXIT STATUS\n" + paragraph(program.exit_codes);
  if (const std::string lines = examples(command.word); !lines.empty()) text += ".SH EXAMPLES\n" + lines;
  return text + see_also(program, name);
}

std::string page_of(const ProgramPage& program) {
  std::string text = head("kubenatd", "program a Kubernetes node's Service forwarding");
  text += ".SH SYNOPSIS\n.B kubenatd\n.I COMMAND\n.RI [ FLAGS ]\n.SH DESCRIPTION\n" + paragraph(program.about);
  text += ".SH COMMANDS\n";
  for (const CommandPage& command : program.commands)
    text += fmt::format(".TP\n.BR kubenatd\\-{} (8)\n{}", command.word,
                        paragraph(command.about.substr(0, command.about.find('\n'))));
  text +=
      ".SH SIGNALS\n"
      ".TP\n.B SIGHUP\n" +
      paragraph("kubenatd run reads its configuration and all objects again.") + ".TP\n.BR SIGTERM \", \" SIGINT\n" +
      paragraph("It ends. The rules stay.") + ".SH FILES\n.TP\n.I /etc/kubenatd/config.conf\n" +
      paragraph("The configuration of the service kubenatd.service, a KubeProxyConfiguration.") +
      ".SH ENVIRONMENT\n"
      ".TP\n.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC \", \" WATCHDOG_PID\n" +
      paragraph("Of systemd, which kubenatd run tells when it is ready, reloads, lives and stops.") +
      ".TP\n.BR KUBERNETES_SERVICE_HOST \", \" KUBERNETES_SERVICE_PORT\n" +
      paragraph("In a pod: where the API server is.") + ".TP\n.B NO_COLOR\n" + paragraph("No colours in the log.") +
      ".SH EXIT STATUS\n" + paragraph(program.exit_codes) + ".SH EXAMPLES\n";
  for (const CommandPage& command : program.commands) {
    const auto lines = examples_of(command.word);
    if (!lines.empty())
      text += fmt::format(".TP\n.B {}\n{}", literal(lines.front().line), paragraph(lines.front().about));
  }
  return text + see_also(program, "kubenatd");
}

}  // namespace

int manual(const Options& options) {
  const ProgramPage program = program_page();
  const auto found = std::ranges::find(program.commands, std::string_view(options.page), &CommandPage::word);
  if (!options.page.empty() && found == program.commands.end()) {
    std::fprintf(stderr, "kubenatd manual: %s is not a command\n", options.page.c_str());
    return kExitUsage;
  }
  const std::string text = options.page.empty() ? page_of(program) : page_of(program, *found);
  std::fputs(text.c_str(), stdout);
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
