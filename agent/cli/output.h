#pragma once

namespace kubenatd::agent::cli {

/// Writes what is left of standard output. False when anything could not be written, which is logged: whoever reads
/// the output would take half of it for all.
[[nodiscard]] bool finish_output();

}  // namespace kubenatd::agent::cli
