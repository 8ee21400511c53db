#include <cstdio>
#include <exception>
#include <string>
#include <variant>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/options.h"

namespace {

using kubenatd::agent::cli::Options;

int dispatch(const Options& options) {
  using Command = Options::Command;
  kubenatd::agent::base::configure_logging(kubenatd::agent::base::text_log_form(), options.flags.verbosity);
  for (const std::string& remark : options.remarks)
    kubenatd::agent::base::log_warning("command line", {{"remark", remark}});
  switch (options.command) {
    case Command::kRun: return kubenatd::agent::cli::run(options);
    case Command::kRender: return kubenatd::agent::cli::render(options);
    case Command::kDiff: return kubenatd::agent::cli::diff(options);
    case Command::kExplain: return kubenatd::agent::cli::explain(options);
    case Command::kTrace: return kubenatd::agent::cli::trace(options);
    case Command::kStatus: return kubenatd::agent::cli::status(options);
    case Command::kServices: return kubenatd::agent::cli::services(options);
    case Command::kReport: return kubenatd::agent::cli::report(options);
    case Command::kCheck: return kubenatd::agent::cli::check(options);
    case Command::kCleanup: return kubenatd::agent::cli::cleanup(options);
    case Command::kVersion: return kubenatd::agent::cli::version(options);
    case Command::kCompletion: return kubenatd::agent::cli::completion(options);
    case Command::kManual: return kubenatd::agent::cli::manual(options);
  }
  return kubenatd::agent::cli::kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto parsed = kubenatd::agent::cli::parse_command_line(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    return dispatch(std::get<Options>(parsed));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kubenatd: %s\n", error.what());  // memory, at the worst
    return kubenatd::agent::cli::kExitFailed;
  }
}
