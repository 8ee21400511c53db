#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "rules/address.h"

/// Whether this node can do a mode, before it matters.
namespace kubenatd::agent::node {

enum class State : std::uint8_t {
  kYes,
  kWarning,  ///< the mode runs, but not all that a user may expect
  kMissing,  ///< the mode cannot run, or not with all Services that it should serve
  kUnknown,  ///< it could not be found out
};
[[nodiscard]] std::string_view name_of(State state);

/// One thing that was looked at.
struct Finding {
  std::string name;  ///< stable: for programs, and to look it up in the README
  State state = State::kYes;
  std::optional<config::Config::Mode> mode = std::nullopt;  ///< none: of both
  std::optional<rules::Family> family = std::nullopt;       ///< none: of both
  std::string what = {};                                    ///< what was found, in words
  std::string remedy = {};                                  ///< what to do
  // Of a part of the kernel that was tried out.
  std::string option = {};  ///< CONFIG_*
  std::string module = {};
  std::string since = {};  ///< the first version of Linux that has what is used here
};

using Findings = std::vector<Finding>;

/// Whether the mode can run: what is missing or unknown of it, or of both modes, decides.
[[nodiscard]] State verdict_on(config::Config::Mode mode, const Findings& findings);

/// "nftables ipv4 fib" and, where there is something to say, what, the kernel's option, and what to do: one line.
[[nodiscard]] std::string describe(const Finding& finding);

}  // namespace kubenatd::agent::node
