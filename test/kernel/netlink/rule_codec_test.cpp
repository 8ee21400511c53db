#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/host/counters.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "rules/text.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"
#include "test/support/process.h"
#include "test/support/releases.h"
#include "test/unit/netlink/sample_rules.h"

using namespace kubenatd;
using netlink::Batch;
using netlink::NfTables;
using netlink::iptables::RuleForm;
using rules::Family;
using rules::Table;

namespace {

constexpr const char* kChain = "KUBE-SAMPLES";

std::vector<std::string> plus(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::vector<test::SampleRule> samples_of(Family family, Table table) {
  std::vector<test::SampleRule> samples = test::sample_rules(family);
  std::erase_if(samples, [table](const auto& sample) { return sample.table != table; });
  return samples;
}

std::string restore_text(Table table, const std::vector<test::SampleRule>& samples) {
  std::string text = fmt::format("*{}\n:{} - [0:0]\n:{} - [0:0]\n", rules::name_of(table), kChain, test::kSampleTarget);
  for (const auto& sample : samples) text += fmt::format("-A {} {}\n", kChain, sample.text);
  return text + "COMMIT\n";
}

void write_samples(NfTables& tables, Family family, Table table, const std::vector<test::SampleRule>& samples,
                   RuleForm form) {
  Batch batch;
  netlink::iptables::add_table(batch, family, table);
  netlink::iptables::add_chain(batch, family, table, kChain);
  netlink::iptables::add_chain(batch, family, table, test::kSampleTarget);
  for (const auto& sample : samples)
    netlink::iptables::add_rule(batch, family, table, kChain, sample.rule, {}, false, form);
  const auto report = tables.commit(batch, std::nullopt);
  if (!report) FAIL(report.error().error.to_string());
}

std::vector<rules::Rule> read_rules(NfTables& tables, Family family, Table table, const std::string& chain) {
  std::vector<rules::Rule> read;
  const auto status = netlink::iptables::dump_rules(
      tables, family, table, chain, [&](netlink::iptables::LiveRule& live) { read.push_back(std::move(live.rule)); },
      [&] { read.clear(); });
  if (!status) FAIL(status.error().to_string());
  return read;
}

/// The rules that iptables-save prints for the chain, without "-A CHAIN ".
std::vector<std::string> saved_rules(const test::Release& release, Family family, Table table,
                                     const std::string& chain) {
  std::vector<std::string> saved;
  const std::string start = fmt::format("-A {} ", chain);
  for (std::string line : test::lines_of(test::must_run(
           plus(release.iptables(test::tool(family, "-save")), {"-t", std::string(rules::name_of(table))})))) {
    if (!line.starts_with(start)) continue;
    while (line.ends_with(' ')) line.pop_back();  // iptables 1.8.7 ends lines with a blank
    saved.push_back(line.substr(start.size()));
  }
  return saved;
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += kDigits[static_cast<std::uint8_t>(c) >> 4];
    text += kDigits[static_cast<std::uint8_t>(c) & 15];
  }
  return text;
}

/// What the release writes is the same rule, and it takes what is encoded for the rule that it would have written.
void check_samples(const test::Release& release, NfTables& tables, Family family, Table table, RuleForm form) {
  const auto samples = samples_of(family, table);
  REQUIRE(samples.size() > 5);
  const std::string version = test::must_run(plus(release.iptables(test::tool(family, "")), {"--version"}));
  test::must_run(release.iptables(test::tool(family, "-restore")), restore_text(table, samples));
  const auto expected = test::raw_rules(family, table, kChain);
  const auto theirs = read_rules(tables, family, table, kChain);
  Batch batch;
  netlink::iptables::delete_table(batch, family, table);
  REQUIRE(tables.commit(batch, std::nullopt));

  write_samples(tables, family, table, samples, form);
  const auto actual = test::raw_rules(family, table, kChain);
  const auto ours = read_rules(tables, family, table, kChain);
  const auto saved = saved_rules(release, family, table, kChain);
  REQUIRE(expected.size() == samples.size());
  REQUIRE(actual.size() == samples.size());
  REQUIRE(saved.size() == samples.size());
  REQUIRE(theirs.size() == samples.size());
  REQUIRE(ours.size() == samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    INFO(release.name << " " << rules::name_of(family) << " " << samples[i].text);
    if (version.find(form == RuleForm::kPortable ? "v1.8.7" : "v1.8.9") != std::string::npos) {
      CHECK(hex(actual[i].expressions) == hex(expected[i].expressions));
      CHECK(actual[i].expression_names == expected[i].expression_names);
    }
    CHECK_THAT(ours[i].opaque, Catch::Equals(std::string()));
    CHECK(ours[i] == samples[i].rule);
    CHECK(theirs[i] == samples[i].rule);
    CHECK(saved[i] == samples[i].text);
    CHECK(rules::to_text(samples[i].rule, family) == samples[i].text);
    for (const char* command : {"-C", "-D"}) {
      const auto words =
          plus(release.iptables(test::tool(family, "")), {"-t", std::string(rules::name_of(table)), command, kChain});
      const auto result = test::run(plus(words, test::words_of(saved[i])));
      INFO(command << " " << result.describe());
      CHECK(result.ok());
    }
  }
  CHECK(test::raw_rules(family, table, kChain).empty());
}

void check_samples(const std::vector<test::Release>& releases, RuleForm form) {
  const auto counter = netlink::host::ensure_counter(test::kSampleCounter);
  if (!counter) {
    std::printf("SKIPPED: %s\n", counter.error().to_string().c_str());
    return;
  }
  auto tables = NfTables::open();
  REQUIRE(tables);
  for (const test::Release& release : releases)
    for (const Family family : rules::kFamilies)
      for (const Table table : {Table::kNat, Table::kFilter}) check_samples(release, *tables, family, table, form);
}

}  // namespace

TEST_CASE("Every kind of rule is one to iptables, which lists, finds and deletes it") {
  if (!test::enter_fresh_namespace()) return;
  // The native form is to the byte what iptables 1.8.9 writes, the portable one what 1.8.7 writes.
  for (const RuleForm form : {RuleForm::kPortable, RuleForm::kNative}) check_samples({test::installed_release()}, form);
}

TEST_CASE("Every kind of rule is one to iptables of other releases") {
  if (!test::enter_fresh_namespace()) return;
  check_samples(test::other_releases(), RuleForm::kPortable);
}

TEST_CASE("Rules that iptables and nft write beyond the model are opaque, and only they") {
  if (!test::enter_fresh_namespace()) return;
  test::must_run({"iptables-restore"}, R"(*filter
:A - [0:0]
-A A -p tcp -m tcp --sport 80 -j DROP
-A A -p tcp -m tcp --dport 80:90 -j DROP
-A A -p tcp -m tcp ! --dport 80 -j DROP
-A A -p tcp -m tcp --dport 80 --tcp-flags SYN SYN -j DROP
-A A -p gre -j DROP
-A A ! -p tcp -j DROP
-A A -f -j DROP
-A A -m limit --limit 1/sec -j ACCEPT
-A A -m conntrack --ctorigdstport 80 -j ACCEPT
-A A -m addrtype --dst-type MULTICAST -j ACCEPT
-A A -m recent --update --name x -j ACCEPT
-A A -m recent --set --name x --rdest -j ACCEPT
-A A -p tcp -m multiport --sports 80,81 -j ACCEPT
-A A -p tcp -m multiport --dports 80:81 -j ACCEPT
-A A -m statistic --mode nth --every 3 --packet 0 -j ACCEPT
-A A -j REJECT --reject-with icmp-host-prohibited
-A A -j LOG
COMMIT
)");
  test::must_run({"nft", "add rule ip filter A tcp dport { 1, 2 } accept comment \"x\""});
  test::must_run({"nft", "add rule ip filter A meta mark set 1"});
  test::must_run({"nft", "add rule ip filter A ct state new accept"});
  test::must_run({"nft", "add rule ip filter A counter accept comment \"mine\""});
  test::must_run({"iptables", "-A", "A", "-j", "DROP"});
  auto tables = NfTables::open();
  REQUIRE(tables);
  const auto read = read_rules(*tables, Family::kIpv4, Table::kFilter, "A");
  REQUIRE(read.size() == 22);
  for (std::size_t i = 0; i + 1 < read.size(); ++i) {
    INFO(i);
    CHECK_FALSE(read[i].opaque.empty());
  }
  CHECK(read.back().target == rules::Target(rules::Verdict::kDrop));
  CHECK_THAT(read.back().opaque, Catch::Equals(std::string()));
  CHECK_THAT(read[7].opaque, Catch::Contains("limit"));
}
