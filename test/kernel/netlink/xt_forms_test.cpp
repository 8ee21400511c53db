#include "test/kernel/netlink/xt_forms.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "netlink/core/attributes.h"
#include "netlink/core/nf_tables.h"
#include "netlink/host/counters.h"
#include "netlink/walk/xt_reader.h"
#include "rules/walk/xt/rule_text.h"
#include "test/support/netns.h"
#include "test/support/process.h"

using namespace kubenatd;
using netlink::Attribute;
using netlink::AttributeReader;
using rules::Family;

namespace {

/// Words as a shell splits them: blanks, and double quotes with backslashes.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool quoted = false, open = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
      if (!open) words.emplace_back();
      open = true;
    } else if (c == ' ' && !quoted) {
      open = false;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back() += c == '\\' && quoted ? text[++i] : c;
    }
  }
  return words;
}

/// Why iptables or the kernel here cannot make a rule; empty: it can, and the rule is wrong.
std::string lack(const std::string& error) {
  if (error.find("Couldn't load") != std::string::npos) return "iptables has no such extension";
  if (error.find("No such file or directory") != std::string::npos) return "the kernel has no such match or target";
  if (error.find("RULE_APPEND failed (Not supported)") != std::string::npos) return "the kernel does not support it";
  if (error.find("cannot open connlabel") != std::string::npos || error.find("connlabel.conf") != std::string::npos)
    return "no names of labels are configured";
  return {};
}

/// All parts of x_tables in a rule, read and put together.
struct Parts {
  std::string text;
  std::vector<rules::walk::Statement> statements;
};

Parts read_parts(std::string_view expressions, Family family) {
  Parts parts;
  AttributeReader list(expressions);
  Attribute element;
  while (list.next(element)) {
    const auto name = netlink::find_attribute(element.payload, NFTA_EXPR_NAME).text();
    const std::string_view data = netlink::find_attribute(element.payload, NFTA_EXPR_DATA).payload;
    const bool is_match = name == "match";
    if (!is_match && name != "target") continue;
    static_assert(int{NFTA_MATCH_NAME} == int{NFTA_TARGET_NAME} && int{NFTA_MATCH_INFO} == int{NFTA_TARGET_INFO});
    const auto kind = netlink::find_attribute(data, NFTA_MATCH_NAME).text();
    const std::uint32_t revision = netlink::find_attribute(data, NFTA_MATCH_REV).be32();
    const std::string_view info = netlink::find_attribute(data, NFTA_MATCH_INFO).payload;
    netlink::walk::XtPart part = is_match ? netlink::walk::read_xt_match(kind, revision, info, family)
                                          : netlink::walk::read_xt_target(kind, revision, info, family);
    parts.text += " " + part.text;
    std::ranges::move(part.statements, std::back_inserter(parts.statements));
  }
  return parts;
}

bool is_judged(const rules::walk::Statement& statement) {
  return !std::holds_alternative<rules::walk::Unjudged>(statement) &&
         !std::holds_alternative<rules::walk::OtherTarget>(statement);
}

/// Sets of ipset are named by their index, which counts from 0 in a fresh namespace.
constexpr const char* kSets[] = {"four", "ports", "six"};

void make_sets() {
  REQUIRE(test::run({"ipset", "create", "four", "hash:ip", "counters", "timeout", "0", "skbinfo"}).ok());
  REQUIRE(test::run({"ipset", "create", "ports", "hash:ip,port"}).ok());
  REQUIRE(test::run({"ipset", "create", "six", "hash:ip", "family", "inet6"}).ok());
}

std::string with_set_names(std::string text) {
  for (std::size_t i = 0; i < std::size(kSets); ++i)
    for (std::size_t at; (at = text.find(fmt::format("#{} ", i))) != std::string::npos;) text.replace(at, 2, kSets[i]);
  return text;
}

/// A value of the packet becomes one that is not known.
bool is_unread(const rules::walk::Statement& statement) {
  const auto* set = std::get_if<rules::walk::SetMeta>(&statement);
  return set != nullptr && std::holds_alternative<rules::walk::Unread>(set->value->what);
}

/// The reader of text comes to the same statements; it may leave a part unjudged that the bytes tell. What iptables
/// wrote in nf_tables' own expressions stands in front.
void compare_with_text(const std::string& line, const Parts& parts, Family family) {
  const std::string rule = line.substr(line.find(' ', 3) + 1);
  const auto text = rules::walk::xt::read_rule(rule, family, [](std::string_view) { return false; }).statements;
  if (!std::ranges::all_of(text, is_judged)) return;
  INFO("read    " << rule);
  if (text.size() < parts.statements.size()) {
    FAIL_CHECK("the text has fewer statements");
    return;
  }
  const std::size_t before = text.size() - parts.statements.size();
  for (std::size_t i = 0; i < parts.statements.size(); ++i) {
    const auto& bytes = parts.statements[i];
    const auto& words = text[before + i];
    // Sets of ipset are named by their index in the bytes.
    if (std::holds_alternative<rules::walk::InIpset>(bytes)) {
      CHECK(std::holds_alternative<rules::walk::InIpset>(words));
    } else if (!rules::walk::same(bytes, words) && !is_unread(words)) {
      FAIL_CHECK("statement " << i << " of the bytes is another one");
    }
  }
}

}  // namespace

TEST_CASE("xt forms: what the kernel keeps of every match and target is what iptables-save prints", "[kernel]") {
  if (!test::enter_fresh_namespace()) return;
  make_sets();
  for (const char* const name : {"localhost_nps_accepted_pkts", "counted"})
    REQUIRE(netlink::host::ensure_counter(name).has_value());
  const Family family = GENERATE(Family::kIpv4, Family::kIpv6);
  const std::string prefix = family == Family::kIpv4 ? "" : "6";
  const char digit = family == Family::kIpv4 ? '4' : '6';

  // Rules that this machine can make, by chain, in their order.
  std::map<std::pair<std::string, std::string>, std::vector<const test::XtForm*>> made;
  std::size_t count = 0;
  for (const test::XtForm& form : test::xt_forms()) {
    if (form.families.find(digit) == std::string_view::npos) continue;
    std::vector<std::string> command{"ip" + prefix + "tables", "-w", "-t",
                                     std::string(form.table),  "-A", std::string(form.chain)};
    std::ranges::move(words_of(form.rule), std::back_inserter(command));
    if (const auto result = test::run(command); !result.ok()) {
      const std::string why = lack(result.err);
      if (why.empty()) {
        UNSCOPED_INFO(result.describe());
        FAIL_CHECK("IPv" << digit << ": refused: " << form.rule);
      } else {
        std::printf("not made here: IPv%c: %s: %s\n", digit, std::string(form.rule).c_str(), why.c_str());
      }
      continue;
    }
    made[{std::string(form.table), std::string(form.chain)}].push_back(&form);
    ++count;
  }
  CHECK(count > 120);

  auto kernel = netlink::NfTables::open();
  REQUIRE(kernel);
  for (const std::string table : {"raw", "mangle", "nat", "filter"}) {
    std::map<std::string, std::vector<std::string>> printed, dumped;
    for (const std::string& line : test::lines_of(test::run({"ip" + prefix + "tables-save", "-t", table}).out)) {
      if (!line.starts_with("-A ")) continue;
      const auto end = line.find(' ', 3);
      // iptables 1.8.7 ends lines with a blank.
      printed[line.substr(3, end - 3)].push_back(line.substr(0, line.find_last_not_of(' ') + 1));
    }
    const auto status = kernel->dump_foreign_rules(
        family, table,
        [&](const netlink::NfTables::ForeignRule& rule) {
          dumped[std::string(rule.chain)].emplace_back(rule.expressions);
        },
        [&] { dumped.clear(); });
    REQUIRE(status);
    for (const auto& [place, forms] : made) {
      if (place.first != table) continue;
      const auto& lines = printed[place.second];
      const auto& rules = dumped[place.second];
      REQUIRE(lines.size() == forms.size());
      REQUIRE(rules.size() == forms.size());
      for (std::size_t i = 0; i < forms.size(); ++i) {
        INFO("given   " << forms[i]->rule);
        const Parts parts = read_parts(rules[i], family);
        const std::string text = with_set_names(parts.text);
        // What iptables writes in nf_tables' own expressions is not for this reader; all else of the line is.
        if (text.empty()) {
          std::printf("not of x_tables here: IPv%c: %s\n", digit, std::string(forms[i]->rule).c_str());
          continue;
        }
        CHECK_THAT(lines[i], Catch::Matchers::EndsWith(text));
        compare_with_text(lines[i], parts, family);
        if (std::ranges::all_of(parts.statements, is_judged) != forms[i]->judged)
          FAIL_CHECK((forms[i]->judged ? "is not judged" : "is judged"));
      }
    }
  }
}
