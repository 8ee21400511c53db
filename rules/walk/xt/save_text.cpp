#include "rules/walk/xt/save_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "rules/walk/xt/rule_text.h"
#include "rules/walk/xt/save_lines.h"
#include "rules/walk/xt/words.h"
#include "rules/words.h"

namespace kubenatd::rules::walk::xt {
namespace {

constexpr std::size_t kShown = 60;

TableFamily family_of(Family family) {
  return family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6;
}

std::string describe(const SavedTable& table) {
  return fmt::format("table {} of {}{}", table.name, name_of(table.family), table.legacy ? " of iptables-legacy" : "");
}

/// "[packets:bytes]" at the beginning of a line.
std::optional<Counters> counters_of(std::string_view line) {
  const auto parts = split(line.substr(1, line.find(']') - 1), ':');
  if (parts.size() != 2) return std::nullopt;
  const auto number = [](std::string_view digits) {
    std::uint64_t value = 0;
    for (const char c : digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
    return value;
  };
  const auto is_number = [](std::string_view digits) {
    constexpr std::size_t kMostDigits = 19;
    return !digits.empty() && digits.size() <= kMostDigits &&
           std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!is_number(parts[0]) || !is_number(parts[1])) return std::nullopt;
  return Counters{number(parts[0]), number(parts[1])};
}

/// The first word, which the text loses.
std::string_view take_word(std::string_view& text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  const auto end = static_cast<std::size_t>(std::ranges::find_if(text, is_blank) - text.begin());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return word;
}

/// Says which tables are of iptables-legacy, where headings leave a choice: a dump that is of iptables-legacy unless
/// its heading was shortened counts as such beside one that is surely not.
void tell_legacy(std::vector<SavedTable>& tables, const Ruleset& before) {
  bool has_nft[2] = {false, false};
  for (const SavedTable& table : tables)
    if (table.heading.backend == Backend::kNft) has_nft[static_cast<std::size_t>(table.family)] = true;
  for (SavedTable& table : tables) {
    const bool beside =
        has_nft[static_cast<std::size_t>(table.family)] || before.find(family_of(table.family), table.name) != nullptr;
    table.legacy =
        table.heading.backend == Backend::kLegacy || (table.heading.backend == Backend::kLegacyByVersion && beside);
  }
}

/// Reads the lines of one table into a table of the ruleset.
class TableReader {
 public:
  TableReader(const SavedTable& saved, WalkTable& table) : saved_(saved), table_(table) {}

  [[nodiscard]] Status read() {
    // Chains are told before the rules that jump to them, so every jump is known for what it is.
    for (const SavedLine& line : saved_.lines)
      if (auto taken = take_chain(line); !taken) return taken;
    for (const SavedLine& line : saved_.lines)
      if (auto taken = take_rule(line); !taken) return taken;
    return {};
  }

 private:
  WalkChain& chain(std::string_view name) {
    const auto found = table_.chains.find(name);
    if (found != table_.chains.end()) return found->second;
    WalkChain& chain = table_.chains[std::string(name)];
    chain.name = name;
    chain.base = iptables_base(saved_.name, name);
    return chain;
  }

  static std::unexpected<Error> wrong(const SavedLine& line) {
    return not_readable(line.number,
                        fmt::format("this is not a line of iptables-save: {}", line.text.substr(0, kShown)));
  }

  /// Of a rule, which loses all up to the words behind it.
  static std::string_view take_chain_name(std::string_view& rule) {
    rule = behind_counters(rule);
    take_word(rule);  // -A
    return take_word(rule);
  }

  /// ":INPUT ACCEPT [0:0]", ":KUBE-SERVICES - [0:0]"; and a chain that only rules name.
  Status take_chain(const SavedLine& line) {
    std::string_view rest = line.text;
    if (!rest.starts_with(':')) {
      const std::string_view name = take_chain_name(rest);
      if (name.empty()) return wrong(line);
      chain(name);
      return {};
    }
    rest.remove_prefix(1);
    const std::string_view name = take_word(rest);
    const std::string_view policy = take_word(rest);
    if (name.empty() || (policy != "-" && policy != "ACCEPT" && policy != "DROP")) return wrong(line);
    WalkChain& declared = chain(name);
    if (declared.base) declared.base->policy_drop = policy == "DROP";
    return {};
  }

  Status take_rule(const SavedLine& line) {
    std::string_view text = line.text;
    if (text.starts_with(':')) return {};
    std::optional<Counters> counters;
    if (text.starts_with('[')) {
      counters = counters_of(text);
      if (!counters) return wrong(line);
    }
    WalkChain& to = chain(take_chain_name(text));
    WalkRule rule = read_rule(text, saved_.family, [&](std::string_view target) {
      const auto found = table_.chains.find(target);
      return found != table_.chains.end() && !found->second.base;
    });
    rule.counters = counters;
    to.rules.push_back(std::move(rule));
    return {};
  }

  const SavedTable& saved_;
  WalkTable& table_;
};

/// What may be missing, and could decide.
void tell_missing(const SavedLines& lines, Ruleset& into) {
  const bool any_complete = std::ranges::any_of(lines.tables, &SavedTable::complete);
  for (const SavedTable& table : lines.tables) {
    if (table.complete || (&table != &lines.tables.back() && !any_complete)) continue;
    into.not_looked_at.push_back({fmt::format("the end of {}", describe(table)), "the text ends before its COMMIT"});
  }
  for (const Family family : kFamilies) {
    if (!lines.warned[static_cast<std::size_t>(family)]) continue;
    const bool there = std::ranges::any_of(
        into.tables(), [&](const WalkTable& table) { return table.legacy && table.family == family_of(family); });
    const std::string_view program = family == Family::kIpv4 ? "iptables-legacy" : "ip6tables-legacy";
    if (!there)
      into.not_looked_at.push_back({fmt::format("tables of {}", program),
                                    fmt::format("the text says that they are there: give {}-save, too", program)});
  }
}

}  // namespace

Status read_save_text(std::string_view text, Ruleset& into, Remarks& remarks) {
  const std::string converted = to_utf8(text);
  auto lines = take_apart(converted);
  if (!lines) return std::unexpected(std::move(lines.error()));
  if (lines->tables.empty() && lines->not_looked_at.empty())
    return fail("saved rules", "read", "no table is in the text: it is not of iptables-save");
  if (auto told = tell_families(lines->tables, remarks); !told) return told;
  tell_legacy(lines->tables, into);
  std::map<std::tuple<Family, bool, std::string_view>, std::size_t> first;
  for (const SavedTable& table : lines->tables) {
    const auto [known, added] = first.emplace(std::tuple(table.family, table.legacy, table.name), table.number);
    const bool before = into.find(family_of(table.family), table.name, table.legacy) != nullptr;
    if (!added || before)
      return not_readable(
          table.number,
          fmt::format("{} is there twice{}: give one dump of it; a second one is taken when the headings say that one "
                      "of them is of iptables-legacy",
                      describe(table), added ? "" : fmt::format(" (first in line {})", known->second)));
    WalkTable& to = into.table(family_of(table.family), table.name, table.legacy);
    if (auto read = TableReader(table, to).read(); !read) return read;
  }
  into.not_looked_at.insert(into.not_looked_at.end(), lines->not_looked_at.begin(), lines->not_looked_at.end());
  tell_missing(*lines, into);
  return {};
}

}  // namespace kubenatd::rules::walk::xt
