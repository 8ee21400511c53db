#include "test/conformance/states.h"
#include "test/support/places.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

namespace kubenatd::test {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> states_in(const fs::path& folder) {
  std::vector<fs::path> states;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (fs::exists(entry.path() / "objects.yaml")) states.push_back(entry.path());
  }
  std::ranges::sort(states);
  return states;
}

}  // namespace

std::vector<fs::path> own_states() {
  return states_in(fs::path(project_file("test/conformance/states")));
}

fs::path recorded_folder() {
  if (const char* named = std::getenv("KUBENATD_CONFORMANCE")) return named;
  return fs::path(project_file("../shared/conformance"));
}

std::vector<fs::path> recorded_states() {
  return states_in(recorded_folder() / "kube-proxy");
}

Applied::Applied(fs::path folder) : state(std::move(folder)), config(state / "config.yaml") {}

std::vector<std::string> Applied::arguments(const std::string& verb) const {
  return {program(), verb, "--manifests", state.string(), "--config", config.string(), "--hostname-override", "node-1"};
}

ProcessResult Applied::run_once() const {
  auto all = arguments("run");
  all.emplace_back("--once");
  return run_in(bare.node, all);
}

std::string Applied::rendered(const std::string& family) const {
  auto all = arguments("render");
  all.insert(all.end(), {"--family", family});
  const auto result = run_in(bare.node, all);
  return result.ok() ? result.out : result.describe();
}

std::string Applied::live(bool ipv6) const {
  return must_run_in(bare.node, {ipv6 ? "ip6tables-save" : "iptables-save"});
}

void report(const fs::path& state, const std::string& what, const std::vector<std::string>& found) {
  if (found.empty()) return;
  std::string text = state.filename().string() + " " + what + ":";
  for (const auto& line : found) text += "\n  " + line;
  FAIL_CHECK(text);
}

}  // namespace kubenatd::test
