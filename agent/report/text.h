#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/secrets.h"
#include "rules/error.h"

/// The text of a report. Pure.
namespace kubenatd::agent::report {

struct Section {
  std::string title;
  rules::Result<std::string> text;  ///< or why it could not be had
  std::size_t most = 64U << 10;     ///< bytes of it that are shown, from the start
  bool from_end = false;            ///< the last ones instead
};

/// Each section under its title, every line of it indented and fit for a terminal, so that nothing in it can look like
/// another section; cut between lines; without the secrets.
[[nodiscard]] std::string to_text(const std::vector<Section>& sections, const base::Secrets& secrets);

}  // namespace kubenatd::agent::report
