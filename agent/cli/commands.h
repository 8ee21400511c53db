#pragma once

#include "agent/cli/options.h"

/// The commands. Each returns the exit code.
namespace kubenatd::agent::cli {

[[nodiscard]] int run(const Options& options);
[[nodiscard]] int render(const Options& options);
[[nodiscard]] int diff(const Options& options);
[[nodiscard]] int explain(const Options& options);
[[nodiscard]] int trace(const Options& options);
[[nodiscard]] int status(const Options& options);
[[nodiscard]] int report(const Options& options);
[[nodiscard]] int services(const Options& options);
[[nodiscard]] int check(const Options& options);
/// check --node
[[nodiscard]] int check_node(const Options& options);
[[nodiscard]] int cleanup(const Options& options);
[[nodiscard]] int version(const Options& options);
[[nodiscard]] int completion(const Options& options);
[[nodiscard]] int manual(const Options& options);

}  // namespace kubenatd::agent::cli
