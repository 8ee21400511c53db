#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "test/support/lab.h"
#include "test/support/process.h"

/// States: objects, a configuration and the iptables-save texts that they must lead to.
namespace kubenatd::test {

/// The folders of the project's own states.
[[nodiscard]] std::vector<std::filesystem::path> own_states();

/// States that were recorded from kube-proxy; they are not part of this project.
[[nodiscard]] std::vector<std::filesystem::path> recorded_states();
[[nodiscard]] std::filesystem::path recorded_folder();

/// One state on a node of its own.
struct Applied {
  explicit Applied(std::filesystem::path folder);

  [[nodiscard]] std::vector<std::string> arguments(const std::string& verb) const;
  [[nodiscard]] ProcessResult run_once() const;
  [[nodiscard]] std::string rendered(const std::string& family) const;
  [[nodiscard]] std::string live(bool ipv6) const;

  std::filesystem::path state;
  std::filesystem::path config;  ///< the state's own
  BareNode bare;
};

/// Fails the test case with the state's name and all that was found; does nothing when that is nothing.
void report(const std::filesystem::path& state, const std::string& what, const std::vector<std::string>& found);

}  // namespace kubenatd::test
