#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "test/conformance/compare.h"
#include "test/conformance/states.h"
#include "test/support/releases.h"

/// iptables of every release takes kubenatd's rules for its own: it lists them as kube-proxy's rules are listed, finds
/// and deletes them, and kubenatd finds its rules in what it saved and restored.
namespace kubenatd::test {
namespace {

std::vector<std::string> plus(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string program(bool ipv6, const std::string& suffix) {
  return (ipv6 ? "ip6tables" : "iptables") + suffix;
}

/// Its lines without the blanks that iptables 1.8.7 ends them with, without comment lines and counters.
std::vector<std::string> saved(const Applied& applied, const Release& release, bool ipv6) {
  std::vector<std::string> lines;
  for (auto line : lines_of(must_run_in(applied.bare.node, release.iptables(program(ipv6, "-save"))))) {
    while (line.ends_with(' ')) line.pop_back();
    if (line.starts_with(':')) line.resize(std::min(line.size(), line.find(" [")));
    if (!line.empty() && !line.starts_with('#')) lines.push_back(line);
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

/// The save with its rules as commands of another kind, in order or, to delete, from the last to the first.
std::string commands(const std::vector<std::string>& save, const std::string& command) {
  std::string text;
  std::vector<std::string> rules;
  for (const auto& line : save) {
    if (line.starts_with("-A ")) {
      rules.push_back(command + line.substr(2));
    } else if (line.starts_with('*')) {
      text += line + "\n";
    } else if (line == "COMMIT") {
      if (command == "-D") std::ranges::reverse(rules);
      text += joined(rules) + "COMMIT\n";
      rules.clear();
    }
  }
  return text;
}

std::size_t count_rules(const std::vector<std::string>& save) {
  return static_cast<std::size_t>(
      std::ranges::count_if(save, [](const std::string& line) { return line.starts_with("-A "); }));
}

/// Each rule of the save by a command of its own.
std::vector<std::string> refused_commands(const Applied& applied, const Release& release, bool ipv6,
                                          const std::vector<std::string>& save, const std::string& command) {
  std::vector<std::string> refused;
  std::string table;
  for (const auto& line : save) {
    if (line.starts_with('*')) table = line.substr(1);
    if (!line.starts_with("-A ")) continue;
    const auto words = plus(release.iptables(program(ipv6, "")), {"-t", table, command});
    const auto result = run_in(applied.bare.node, plus(words, words_of(line.substr(3))));
    if (!result.ok()) refused.push_back(line + ": " + result.describe());
  }
  return refused;
}

/// Whether kubenatd finds its rules in the kernel: it neither reports nor writes anything.
void check_nothing_to_write(const Applied& applied, const std::string& what) {
  const auto diff = run_in(applied.bare.node, applied.arguments("diff"));
  if (!diff.ok()) report(applied.state, what + ", diff", {diff.describe()});
  const auto generation = nf_tables_generation(applied.bare.node);
  const auto again = applied.run_once();
  if (!again.ok()) report(applied.state, what + ", run --once", {again.describe()});
  if (nf_tables_generation(applied.bare.node) != generation)
    report(applied.state, what, {"run --once wrote something"});
}

/// One state with one release. `one_by_one`: with a command for each rule too, which takes its time.
void check_release(const std::filesystem::path& state, const Release& release, bool one_by_one) {
  const Applied applied(state);
  const auto result = applied.run_once();
  if (!result.ok()) return report(state, "run --once", {result.describe()});
  for (const bool ipv6 : {false, true}) {
    const std::string what = release.name + " " + program(ipv6, "");
    const auto save = saved(applied, release, ipv6);
    report(state, what + "-save", differences(read_file(state / program(ipv6, "-save")), joined(save)));
    report(state, what + "-save", differences(applied.rendered(ipv6 ? "ipv6" : "ipv4"), joined(save)));
    if (count_rules(save) == 0) report(state, what + "-save", {"no rule"});
    const auto restore = [&](const std::string& text, const std::vector<std::string>& options) {
      return run_in(applied.bare.node, plus(release.iptables(program(ipv6, "-restore")), options), text);
    };

    const auto checked = restore(commands(save, "-C"), {"--noflush"});
    if (!checked.ok()) report(state, what + " -C", {checked.describe()});
    const auto other = restore("*nat\n-C KUBE-MARK-MASQ -j MARK --set-xmark 0x5/0x5\nCOMMIT\n", {"--noflush"});
    if (other.ok()) report(state, what + " -C", {"finds a rule that is not there"});
    if (one_by_one) {
      report(state, what + " -C", refused_commands(applied, release, ipv6, save, "-C"));
      report(state, what + " -D", refused_commands(applied, release, ipv6, save, "-D"));
    } else {
      const auto deleted = restore(commands(save, "-D"), {"--noflush"});
      if (!deleted.ok()) report(state, what + " -D", {deleted.describe()});
    }
    if (count_rules(saved(applied, release, ipv6)) != 0) report(state, what + " -D", {"rules are left"});

    const auto restored = restore(joined(save), {});
    if (!restored.ok()) report(state, what + "-restore", {restored.describe()});
    report(state, what + "-restore", differences(joined(save), joined(saved(applied, release, ipv6))));
    report(state, what + "-restore", differences(joined(save), applied.live(ipv6)));
  }
  // From 1.8.9 on iptables has written ports and marks in another form than kubenatd.
  check_nothing_to_write(applied, release.name + ", restored");
}

void check_releases(const std::vector<Release>& releases) {
  // Every kind of rule is in these.
  constexpr std::array<std::string_view, 4> kOneByOne{"dual-stack-affinity", "host-ports",
                                                      "lb-local-ranges-external-ips", "udp-tcp-same-port"};
  for (const auto& release : releases) {
    for (const auto& state : own_states())
      check_release(state, release, std::ranges::count(kOneByOne, state.filename().string()) > 0);
    for (const auto& state : recorded_states()) check_release(state, release, false);
  }
}

TEST_CASE("iptables lists and finds and deletes and restores kubenatd's rules as its own") {
  KUBENATD_NEEDS_NAMESPACES();
  check_releases({installed_release()});
}

TEST_CASE("iptables of other releases lists and finds and deletes and restores kubenatd's rules as its own") {
  KUBENATD_NEEDS_NAMESPACES();
  check_releases(other_releases());
}

}  // namespace
}  // namespace kubenatd::test
