#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "rules/walk/xt/option.h"
#include "rules/walk/xt/save_lines.h"
#include "rules/walk/xt/words.h"

/// Of which family the tables of a saved text are.
namespace kubenatd::rules::walk::xt {
namespace {

/// The address in "10.0.0.1/24", "[fd00::1]:80", "10.0.0.1-10.0.0.9:80".
std::optional<Family> family_of_address(std::string_view word) {
  if (word.starts_with('[')) word = word.substr(1, word.find(']') - 1);
  word = word.substr(0, word.find_first_of("/-,"));
  if (const auto colon = word.find(':'); colon != word.npos && word.find(':', colon + 1) == word.npos)
    word = word.substr(0, colon);
  if (word.contains(':')) return read_address(word, Family::kIpv6) ? std::optional(Family::kIpv6) : std::nullopt;
  if (std::ranges::count(word, '.') != 3) return std::nullopt;
  return read_address(word, Family::kIpv4) ? std::optional(Family::kIpv4) : std::nullopt;
}

/// What else only one family has: its ICMP, its matches.
std::optional<Family> family_of_word(std::string_view option, std::string_view value) {
  const bool names_match = option == "-m" || option == "--match";
  const bool names_protocol = option == "-p" || option == "--protocol";
  if (names_protocol && (value == "ipv6-icmp" || value == "icmpv6" || value == "58")) return Family::kIpv6;
  if (names_protocol && (value == "icmp" || value == "1")) return Family::kIpv4;
  if (names_match && (value == "icmp6" || value == "hl" || value == "rt" || value == "frag" || value == "ipv6header"))
    return Family::kIpv6;
  if (names_match && (value == "icmp" || value == "ttl")) return Family::kIpv4;
  if (option == "--reject-with" && value.starts_with("icmp6-")) return Family::kIpv6;
  if (option == "--reject-with" && value.starts_with("icmp-")) return Family::kIpv4;
  return std::nullopt;
}

/// By one rule, without the texts in it that people choose: "profile::web" in a comment says nothing.
std::optional<Family> family_of_rule(std::string_view line) {
  constexpr std::string_view kTexts[] = {"--comment",
                                         "--log-prefix",
                                         "--nflog-prefix",
                                         "--string",
                                         "--hex-string",
                                         "--name",
                                         "--label",
                                         "--helper",
                                         "--match-set",
                                         "--add-set",
                                         "--del-set",
                                         "--map-set",
                                         "--set",
                                         "--mac-source",
                                         "--nfacct-name",
                                         "-j",
                                         "-g",
                                         "-A",
                                         "-i",
                                         "-o"};
  const std::vector<Word> words = split_words(line);
  for (std::size_t at = 0; at + 1 < words.size(); ++at) {
    if (words[at].quoted || !words[at].text.starts_with('-')) continue;
    if (std::ranges::find(kTexts, words[at].text) != std::end(kTexts)) {
      // A value may look like an option; "--set" of -m recent has none.
      if (words[at].text != "--set") ++at;
      continue;
    }
    const std::string_view value =
        words[at + 1].is("!") && at + 2 < words.size() ? words[at + 2].text : words[at + 1].text;
    if (const auto family = family_of_address(value)) return family;
    if (const auto family = family_of_word(words[at].text, value)) return family;
  }
  return std::nullopt;
}

std::optional<Family> family_of_rules(const SavedTable& table) {
  for (const SavedLine& line : table.lines)
    if (!line.text.starts_with(':'))
      if (const auto family = family_of_rule(line.text)) return family;
  return std::nullopt;
}

/// Tables without a heading that names the family, as one run of the program prints them: each table at most once.
struct Run {
  std::vector<SavedTable*> tables;
  std::optional<Family> family;

  [[nodiscard]] bool takes(const SavedTable& table, std::optional<Family> told) const {
    const bool fits = !family || !told || *family == *told;
    return fits && std::ranges::none_of(tables, [&](const SavedTable* other) { return other->name == table.name; }) &&
           (tables.empty() || (tables[0]->heading.both_families == table.heading.both_families &&
                               tables[0]->heading.backend == table.heading.backend));
  }
};

class Teller {
 public:
  explicit Teller(std::vector<std::string>& remarks) : remarks_(remarks) {}

  Status tell(std::vector<SavedTable>& tables) {
    for (SavedTable& table : tables) {
      const bool firm = table.heading.family && table.own_heading && !table.heading.typed;
      const auto told = firm ? table.heading.family : family_of_rules(table);
      if (!table.heading.family) {
        if (auto ended = add(table, told); !ended) return ended;
        continue;
      }
      if (auto ended = end_run(); !ended) return ended;
      table.family = told.value_or(*table.heading.family);
      seen_.emplace(table.family, table.heading.backend, std::string(table.name));
    }
    return end_run();
  }

 private:
  Status add(SavedTable& table, std::optional<Family> told) {
    if (!run_.takes(table, told))
      if (auto ended = end_run(); !ended) return ended;
    run_.tables.push_back(&table);
    if (told) run_.family = told;
    return {};
  }

  [[nodiscard]] bool is_seen(Family family) const {
    return std::ranges::any_of(run_.tables, [&](const SavedTable* table) {
      return seen_.contains({family, table->heading.backend, std::string(table->name)});
    });
  }

  Status end_run() {
    if (run_.tables.empty()) return {};
    const SavedTable& first = *run_.tables.front();
    Family family = run_.family.value_or(Family::kIpv4);
    const bool has_rules = std::ranges::any_of(run_.tables, [](const SavedTable* table) {
      return std::ranges::any_of(table->lines, [](const SavedLine& line) { return !line.text.starts_with(':'); });
    });
    if (!run_.family && is_seen(Family::kIpv4)) {
      // One program that prints both families, one behind the other.
      if (!first.heading.both_families || is_seen(Family::kIpv6))
        return not_readable(first.number,
                            fmt::format("table {} is there for the second time, and nothing says of which "
                                        "family it is: give the headings of iptables-save, too",
                                        first.name));
      family = Family::kIpv6;
    }
    if (!run_.family && has_rules)
      remarks_.push_back(
          fmt::format("nothing in the text says of which family the rules from line {} on are: taken as {}",
                      first.number, name_of(family)));
    for (SavedTable* table : run_.tables) {
      table->family = family;
      seen_.emplace(family, table->heading.backend, std::string(table->name));
    }
    run_ = {};
    return {};
  }

  Run run_;
  std::set<std::tuple<Family, Backend, std::string>> seen_;
  std::vector<std::string>& remarks_;
};

}  // namespace

Status tell_families(std::vector<SavedTable>& tables, std::vector<std::string>& remarks) {
  return Teller(remarks).tell(tables);
}

}  // namespace kubenatd::rules::walk::xt
