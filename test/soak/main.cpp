#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "test/soak/run.h"
#include "test/support/namespace.h"
#include "test/support/places.h"
#include "test/support/process.h"

namespace {

using kubenatd::soak::RunOptions;

constexpr int kWrongUsage = 2;
constexpr int kSkipped = 77;

int usage(int status) {
  fmt::print(status == 0 ? stdout : stderr,
             "kubenatd_soak [--minutes N] [--seed S] [--mode iptables|nftables|both] [--services N] [--rate N]\n"
             "              [--changes N] [--logs DIR] [--program FILE]\n");
  return status;
}

/// Connections of the test and threads of its servers: more descriptors than a shell allows.
void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace

int main(int argc, char** argv) {
  RunOptions options;
  options.program = kubenatd::test::program();
  options.seed = 1;
  std::string mode = "both";
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "-h" || name == "--help") return usage(0);
    if (i + 1 >= argc) return usage(kWrongUsage);
    const std::string value = argv[++i];
    try {
      if (name == "--minutes") {
        options.minutes = std::stod(value);
      } else if (name == "--seed") {
        options.seed = static_cast<unsigned>(std::stoul(value));
      } else if (name == "--mode") {
        mode = value;
      } else if (name == "--services") {
        options.services = static_cast<unsigned>(std::stoul(value));
      } else if (name == "--rate") {
        options.rate = std::stoi(value);
      } else if (name == "--changes") {
        options.changes = std::stoi(value);
      } else if (name == "--program") {
        options.program = value;
      } else if (name == "--logs") {
        options.logs = value;
      } else {
        return usage(kWrongUsage);
      }
    } catch (const std::exception&) {
      return usage(kWrongUsage);
    }
  }
  std::vector<std::string> modes{mode};
  if (mode == "both") modes = {"iptables", "nftables"};
  if (mode != "both" && mode != "iptables" && mode != "nftables") return usage(kWrongUsage);
  if (options.services == 0 || options.services > 2000 || options.rate <= 0 || options.changes <= 0 ||
      options.minutes <= 0)
    return usage(kWrongUsage);
  if (const auto missing = kubenatd::test::namespaces_missing()) {
    fmt::print("SKIPPED: {}\n", *missing);
    return kSkipped;
  }
  raise_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::size_t faults = 0;
  try {
    for (const std::string& one : modes) {
      options.mode = one;
      fmt::print("soak: mode {}, seed {}\n", one, options.seed);
      std::fflush(stdout);
      faults += kubenatd::soak::soak(options);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "soak: {}\n", error.what());
    return 1;
  }
  return faults == 0 ? 0 : 1;
}
