#include "test/kernel/netlink/live_ruleset.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <utility>

#include "netlink/core/nf_tables.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/walk_text.h"

namespace kubenatd::test {

void load_rules(const std::string& text) {
  must_run({"nft", "-f", "-"}, text);
}

rules::walk::Ruleset read_rules(std::size_t at_once) {
  auto opened = netlink::NfTables::open();
  REQUIRE(opened);
  auto ruleset = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*opened)), at_once);
  if (!ruleset) FAIL(ruleset.error().to_string());
  return std::move(*ruleset);
}

std::string element_text(const rules::walk::SetElement& element) {
  std::string text = walk_text(element.first);
  if (element.last != element.first) text += "-" + walk_text(element.last);
  if (element.data.size != 0) text += " : " + walk_text(element.data);
  if (element.verdict) text += " : " + walk_text(rules::walk::Statement(*element.verdict));
  if (!element.comment.empty()) text += " \"" + element.comment + "\"";
  if (element.conditional) text += " conditional";
  return text;
}

std::vector<std::string> elements_of(const rules::walk::WalkSet& set) {
  std::vector<std::string> texts;
  for (const rules::walk::SetElement& element : set.elements) texts.push_back(element_text(element));
  if (set.catch_all) texts.push_back("*" + element_text(*set.catch_all));
  std::ranges::sort(texts);
  return texts;
}

}  // namespace kubenatd::test
