#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/error.h"
#include "rules/walk/ruleset.h"
#include "rules/walk/xt/heading.h"

namespace kubenatd::rules::walk::xt {

/// A line of a table: ":CHAIN POLICY [0:0]", or a rule.
struct SavedLine {
  std::string_view text;  ///< without blanks around it
  std::size_t number = 0;
};

/// One table of a saved text.
struct SavedTable {
  std::string_view name;
  std::size_t number = 0;  ///< the line "*name"
  std::vector<SavedLine> lines;
  Heading heading;
  bool own_heading = false;  ///< it stands right before the table, or lasts
  bool complete = false;     ///< COMMIT ends it
  Family family = Family::kIpv4;
  bool legacy = false;
};

struct SavedLines {
  std::vector<SavedTable> tables;
  std::vector<NotLookedAt> not_looked_at;
  /// Warnings that tables of iptables-legacy are there, by Family.
  bool warned[2] = {false, false};
};

/// "[7:420] -A INPUT ..." without the counters; other lines as they are.
[[nodiscard]] std::string_view behind_counters(std::string_view line);

/// UTF-8 without byte order mark, of UTF-8 or UTF-16 with one.
[[nodiscard]] std::string to_utf8(std::string_view text);

/// Takes the text apart. Views point into `text`. Failure: a line that is neither of iptables-save nor of what people
/// paste with it.
[[nodiscard]] Result<SavedLines> take_apart(std::string_view text);

/// Says of which family each table is, by headings and by what is in the rules. Failure: it cannot be told apart.
[[nodiscard]] Status tell_families(std::vector<SavedTable>& tables, std::vector<std::string>& remarks);

[[nodiscard]] std::unexpected<Error> not_readable(std::size_t line, std::string cause);

}  // namespace kubenatd::rules::walk::xt
