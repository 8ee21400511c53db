#include "agent/explain/nft_json.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "rules/walk/nft/rule_print.h"
#include "rules/walk/nft/ruleset_text.h"

namespace kubenatd::agent::explain {
namespace {

using namespace rules::walk;

std::string document(const std::string& expressions, const std::string& more = "") {
  return fmt::format(
      R"({{"nftables": [{{"metainfo": {{"version": "1.0.6", "json_schema_version": 1}}}},
      {{"table": {{"family": "inet", "name": "t", "handle": 3}}}}, {}
      {{"chain": {{"family": "inet", "table": "t", "name": "c", "handle": 1, "type": "nat", "hook": "prerouting",
        "prio": -100, "policy": "drop"}}}},
      {{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": 9, "comment": "hello", "expr": [{}]}}}}]}})",
      more, expressions);
}

struct Case {
  const char* json;
  const char* text;
};

const Case kCases[] = {
    {R"({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, {"accept": null})",
     "tcp dport 80 accept"},
    {R"({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"jump": {"target": "d"}})",
     "ct state established,related jump d"},
    {R"({"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": {"set": ["established", "related"]}}})",
     "ct state { established, related }"},
    {R"({"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}})",
     "ip saddr != 10.0.0.0/8"},
    {R"({"match": {"op": "!=", "left": {"&": [{"meta": {"key": "mark"}}, 16384]}, "right": 0}})",
     "meta mark & 0x00004000 != 0x00000000"},
    {R"({"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn"]]}, "right": "syn"}})",
     "tcp flags & (fin | syn) == syn"},
    {R"({"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": {"range": [1, 10]}}})", "meta mark 0x1-0xa"},
    {R"({"match": {"op": "==", "left": {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, "right": false}})",
     "fib saddr . iif oif missing"},
    {R"({"match": {"op": "==", "left": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]}, "right": {"set": [{"concat": ["10.0.0.1", {"range": [80, 90]}]}]}}})",
     "ip saddr . tcp dport { 10.0.0.1 . 80-90 }"},
    {R"({"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[80, {"accept": null}], [{"range": [81, 90]}, {"goto": {"target": "d"}}]]}}})",
     "tcp dport vmap { 80 : accept, 81-90 : goto d }"},
    {R"({"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16384]}}})",
     "meta mark set meta mark | 0x4000"},
    {R"({"dnat": {"family": "ip", "addr": "10.0.0.1", "port": {"range": [80, 90]}, "flags": ["random", "persistent"]}})",
     "dnat ip to 10.0.0.1:80-90 random,persistent"},
    {R"({"dnat": {"family": "ip", "addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, "10.0.0.1"], [1, "10.0.0.2"]]}}}}})",
     "dnat ip to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }"},
    {R"({"masquerade": {"flags": "fully-random"}})", "masquerade fully-random"},
    {R"({"redirect": {"port": 8080}})", "redirect to :8080"},
    {R"({"reject": {"type": "icmpx", "expr": "admin-prohibited"}})", "reject with icmpx admin-prohibited"},
    {R"({"counter": {"packets": 1, "bytes": 2}}, {"limit": {"rate": 10, "burst": 5, "per": "second"}}, {"drop": null})",
     "counter packets 1 bytes 2 limit rate 10/second drop"},
    {R"({"xt": {"type": "target", "name": "TPROXY"}})", "xt target \"TPROXY\""},
};

}  // namespace

TEST_CASE("nft JSON: rules are those of the text") {
  for (const Case& example : kCases) {
    INFO(example.text);
    Ruleset json;
    const std::string text = document(example.json);
    const rules::Status read = read_nft_json(text, json);
    REQUIRE(read);
    Ruleset plain;
    REQUIRE(
        nft::read_ruleset_text(fmt::format("table inet t {{\n\tchain c {{\n\t\t{}\n\t}}\n}}\n", example.text), plain));
    const WalkRule& one = json.tables().front().chain("c")->rules.front();
    const WalkRule& other = plain.tables().front().chain("c")->rules.front();
    CHECK(nft::to_text(one.statements, json.tables().front()) ==
          nft::to_text(other.statements, plain.tables().front()));
    REQUIRE(one.statements.size() == other.statements.size());
    for (std::size_t i = 0; i < one.statements.size(); ++i) CHECK(same(one.statements[i], other.statements[i]));
    CHECK(one.comment == "hello");
    CHECK(one.handle == 9);
  }
}

TEST_CASE("nft JSON: chains and sets are read") {
  const std::string sets = R"({"set": {"family": "inet", "name": "s", "table": "t", "type": ["ipv4_addr", "mark"],
    "flags": ["interval"], "elem": [{"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": [1, 5]}]},
    {"elem": {"val": {"concat": ["1.1.1.1", 7]}, "comment": "x", "timeout": 5}}]}},
    {"map": {"family": "inet", "name": "m", "table": "t", "type": "inet_service", "map": "verdict",
    "elem": [[80, {"accept": null}], ["*", {"drop": null}]]}},
    {"map": {"family": "inet", "name": "e", "table": "t", "type": "ipv4_addr", "map": "ipv4_addr . inet_service",
    "elem": [["1.1.1.1", {"concat": ["10.0.0.1", 80]}]]}},
    {"counter": {"family": "inet", "name": "k", "table": "t"}},)";
  Ruleset ruleset;
  REQUIRE(read_nft_json(document(R"({"accept": null})", sets), ruleset));
  const WalkTable& table = ruleset.tables().front();
  CHECK(table.handle == 3);
  REQUIRE(table.chain("c")->base);
  CHECK(table.chain("c")->base->priority == -100);
  CHECK(table.chain("c")->base->policy_drop);
  const WalkSet* set = table.set("s");
  REQUIRE(set != nullptr);
  REQUIRE(set->elements.size() == 2);
  CHECK(nft::to_text(set->elements[0], *set) == "10.0.0.0/8 . 0x00000001-0x00000005");
  CHECK(nft::to_text(set->elements[1], *set) == "1.1.1.1 . 0x00000007 comment \"x\"");
  CHECK(table.set("m")->catch_all->verdict == ToVerdict{Verdict::kDrop, {}});
  CHECK(nft::to_text(table.set("e")->elements.front(), *table.set("e")) == "1.1.1.1 : 10.0.0.1 . 80");
}

TEST_CASE("nft JSON: what is not understood cannot be judged") {
  Ruleset ruleset;
  REQUIRE(read_nft_json(
      document(R"({"frob": {"x": 1}}, {"match": {"op": "==", "left": {"frob": 1}, "right": 2}}, {"drop": null})"),
      ruleset));
  const auto& statements = ruleset.tables().front().chain("c")->rules.front().statements;
  REQUIRE(statements.size() == 3);
  CHECK(std::holds_alternative<Unjudged>(statements[0]));
  CHECK(std::holds_alternative<Unjudged>(statements[1]));
  CHECK(std::get<ToVerdict>(statements[2]).verdict == Verdict::kDrop);
}

TEST_CASE("nft JSON: what is no ruleset is refused") {
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string(R"({"nftables": {}})"), std::string(R"({"nftables": []})"),
        std::string(R"({"nftables": [{"table": {"family": "x", "name": "t"}}]})"),
        std::string(R"({"nftables": [{"add": {"table": {"family": "ip", "name": "t"}}}]})"),
        std::string(
            R"({"nftables": [{"table": {"family": "ip", "name": "t"}}, {"table": {"family": "ip", "name": "t"}}]})")}) {
    INFO(text);
    Ruleset ruleset;
    CHECK_FALSE(read_nft_json(text, ruleset));
  }
}

TEST_CASE("nft JSON: any value in any place ends") {
  std::mt19937 random(11);
  static constexpr const char* kValues[] = {"null", "true", "-1",   "1e9",   "18446744073709551615",
                                            "[]",   "{}",   "\"\"", "\"@\"", "[[[[[]]]]]"};
  for (const Case& example : kCases) {
    const std::string text = document(example.json);
    for (int round = 0; round < 30; ++round) {
      std::string changed = text;
      // A number or a word becomes something else.
      const std::size_t at = changed.find_first_of("0123456789\"", random() % changed.size());
      if (at == std::string::npos) continue;
      std::size_t end = at + 1;
      if (changed[at] == '"') {
        end = changed.find('"', end);
        end = end == std::string::npos ? changed.size() : end + 1;
      }
      changed.replace(at, end - at, kValues[random() % std::size(kValues)]);
      Ruleset ruleset;
      if (read_nft_json(changed, ruleset))
        for (const WalkTable& table : ruleset.tables())
          for (const auto& [name, chain] : table.chains)
            for (const WalkRule& rule : chain.rules) CHECK(nft::to_text(rule.statements, table).size() < 100'000);
    }
  }
  std::string deep = R"({"match": {"op": "==", "right": 1, "left": )";
  for (int i = 0; i < 5000; ++i) deep += R"({"&": [)";
  for (int i = 0; i < 5000; ++i) deep += "1]}";
  Ruleset ruleset;
  (void)read_nft_json(document(deep + "}}"), ruleset);
}

}  // namespace kubenatd::agent::explain
