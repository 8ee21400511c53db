#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"
#include "rules/walk/ruleset.h"

/// What the readers of one rule's parts share: options with their values, and the rule as it grows.
namespace kubenatd::rules::walk::xt {

/// How an option is written: so many words follow it. A word behind it is its value whatever it looks like.
struct OptionForm {
  std::string_view name;
  std::uint8_t values = 1;
};

struct Option {
  std::string_view name;
  std::array<std::string_view, 2> values;
  bool negate = false;

  [[nodiscard]] std::string_view value() const { return values[0]; }
};

/// A match or target with its options, each of them at most once.
struct Group {
  Family family = Family::kIpv4;
  std::string_view name;
  std::span<const Option> options;
  std::string_view text;  ///< all of it, as it stands in the rule

  [[nodiscard]] const Option* find(std::string_view option) const;
  [[nodiscard]] bool has(std::string_view option) const { return find(option) != nullptr; }
  [[nodiscard]] bool any_negated() const;
};

/// The rule that is being read.
struct Parts {
  std::vector<Statement> statements;
  std::optional<Rule> model = Rule{};  ///< none once a part cannot be expressed in it
  std::string comment;
  /// -p says so. 0: it says nothing, or "every protocol".
  std::uint8_t protocol = 0;
  bool protocol_negated = false;
  std::uint8_t needs_protocol = 0;  ///< of -m tcp and the like
};

/// Reads a match or target into `parts`. False: it was not understood; what it added is taken back by the caller.
using ReadGroup = bool (*)(const Group& group, Parts& parts);

struct Form {
  std::string_view name;
  std::span<const OptionForm> options;
  ReadGroup read;
  Part part = Part::kOther;

  [[nodiscard]] const OptionForm* option(std::string_view option_name) const;
};

/// Null: nobody here knows it.
[[nodiscard]] const Form* match_form(std::string_view name);
[[nodiscard]] const Form* target_form(std::string_view name);

// Values of options, for the readers of matches and of targets.

/// Of this family, also an IPv6 address that holds an IPv4 one.
[[nodiscard]] std::optional<Address> read_address(std::string_view text, Family family);
struct MaskedAddress {
  Address address, mask;
  std::optional<Prefix> prefix;  ///< none: the mask has holes
};
/// "ADDRESS", "ADDRESS/LENGTH", "ADDRESS/MASK".
[[nodiscard]] std::optional<MaskedAddress> read_masked_address(std::string_view text, Family family);
/// "tcp" or "6"; 0 is "all".
[[nodiscard]] std::optional<std::uint8_t> read_protocol(std::string_view text);
struct MaskedNumber {
  std::uint32_t value = 0, mask = 0xffffffff;
};
/// "VALUE" or "VALUE/MASK".
[[nodiscard]] std::optional<MaskedNumber> read_masked_number(std::string_view text);

/// Said of a part that iptables-save itself could not read; empty: it could.
[[nodiscard]] std::string_view unreadable_remark(std::string_view text);

}  // namespace kubenatd::rules::walk::xt
