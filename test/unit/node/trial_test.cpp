#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <set>
#include <string>

#include "agent/config/config.h"
#include "agent/dataplane/kernel_features.h"
#include "agent/node/show.h"
#include "agent/node/trial_findings.h"
#include "netlink/core/attributes.h"
#include "test/support/fake/kernel.h"

/// What a mode needs of the kernel, tried out on the kernel in memory.
namespace kubenatd::agent::node {
namespace {

using config::Config;
using rules::Family;
using test::FakeKernel;
using test::kForever;

struct Facts {
  Config config = config::default_config();
  config::Environment environment;
  std::optional<objects::Node> node;

  [[nodiscard]] dataplane::NodeFacts get() const {
    return {.config = config, .environment = environment, .node = node, .known_endpoints = 0, .service_cidrs = {}};
  }
};

Findings findings_on(FakeKernel& kernel, Config::Mode mode, Family family = Family::kIpv4,
                     std::string_view release = "6.18.0") {
  Facts facts;
  facts.config.mode = mode;
  return judge(try_mode(kernel, mode, std::array{family}, facts.get()).front(), release);
}

/// By name, those that are not there.
std::map<std::string, Finding> lacking(const Findings& findings) {
  std::map<std::string, Finding> found;
  for (const Finding& finding : findings)
    if (finding.state != State::kYes) found.emplace(finding.name, finding);
  return found;
}

std::set<std::string> names(const std::map<std::string, Finding>& findings) {
  std::set<std::string> found;
  for (const auto& [name, finding] : findings) found.insert(name);
  return found;
}

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("a kernel that has all of it is said yes to, in both modes and families, and nothing stays") {
  for (const auto mode : {Config::Mode::kIptables, Config::Mode::kNftables}) {
    for (const Family family : rules::kFamilies) {
      FakeKernel kernel;
      const auto generation = kernel.generation();
      const Findings findings = findings_on(kernel, mode, family);
      INFO(config::name_of(mode));
      CHECK(names(lacking(findings)).empty());
      CHECK(findings.size() > 5);
      CHECK(verdict_on(mode, findings) == State::kYes);
      CHECK(kernel.tables(family).empty());
      CHECK(kernel.generation() == generation);
    }
  }
}

TEST_CASE("every expression, match, target, set and chain that is tried out has its option and module") {
  std::set<std::string> tried;
  for (const auto mode : {Config::Mode::kIptables, Config::Mode::kNftables}) {
    for (const auto form : {Config::RuleForm::kPortable, Config::RuleForm::kNative}) {
      for (const Family family : rules::kFamilies) {
        FakeKernel kernel;
        Facts facts;
        facts.config.mode = mode;
        facts.config.rule_form = form;
        facts.environment.has_nfacct = true;
        facts.environment.fast_path = rules::nftables::FastPath::kTcpAndUdp;
        const Trial trial = try_mode(kernel, mode, std::array{family}, facts.get()).front();
        REQUIRE(trial.answers);
        for (const auto& message : *trial.answers) tried.insert(message.features.begin(), message.features.end());
      }
    }
  }
  for (const std::string& name : tried) {
    INFO(name);
    CHECK(dataplane::find_kernel_feature(name) != nullptr);
  }
  // And none stands in the table that nothing needs.
  for (const auto& feature : dataplane::kernel_features()) {
    INFO(feature.name);
    CHECK(tried.contains(std::string(feature.name)));
  }
}

TEST_CASE("both families are tried out at once, and what one lacks the other is not told to lack") {
  for (const auto mode : {Config::Mode::kIptables, Config::Mode::kNftables}) {
    FakeKernel kernel;
    kernel.refuse([](const test::FakeMessage& message) { return message.family == Family::kIpv6; }, EAFNOSUPPORT,
                  kForever);
    Facts facts;
    facts.config.mode = mode;
    const auto trials = try_mode(kernel, mode, rules::kFamilies, facts.get());
    REQUIRE(trials.size() == 2);
    for (const Trial& trial : trials) {
      REQUIRE(trial.answers);
      CHECK_FALSE(trial.answers->empty());
      for (const auto& message : *trial.answers) CHECK(message.object.family == trial.family);
    }
    CHECK(verdict_on(mode, judge(trials[0], "6.18.0")) == State::kYes);
    CHECK(verdict_on(mode, judge(trials[1], "6.18.0")) == State::kMissing);
  }
}

TEST_CASE("each expression of nftables mode that the kernel lacks is named, alone") {
  for (const char* name : {"numgen", "hash", "fib", "nat", "masq", "reject", "ct"}) {
    for (const Family family : rules::kFamilies) {
      FakeKernel kernel;
      kernel.refuse_expression(name, ENOENT, kForever);
      const Findings findings = findings_on(kernel, Config::Mode::kNftables, family);
      const auto missing = lacking(findings);
      INFO(name);
      REQUIRE(names(missing) == Names{name});
      const Finding& finding = missing.at(name);
      CHECK(finding.state == State::kMissing);
      CHECK(finding.option == dataplane::find_kernel_feature(name)->option(family));
      CHECK(finding.module == dataplane::find_kernel_feature(name)->module(family));
      CHECK(finding.remedy.find("modprobe " + finding.module) != std::string::npos);
      CHECK(verdict_on(Config::Mode::kNftables, findings) == State::kMissing);
      CHECK(verdict_on(Config::Mode::kIptables, findings) == State::kYes);
    }
  }
}

TEST_CASE("all that is missing is named at once") {
  FakeKernel kernel;
  for (const char* name : {"numgen", "hash", "fib"}) kernel.refuse_expression(name, ENOENT, kForever);
  const auto missing = lacking(findings_on(kernel, Config::Mode::kNftables, Family::kIpv4, "5.15.49-linuxkit"));
  CHECK(names(missing) == Names{"numgen", "hash", "fib"});
  for (const auto& [name, finding] : missing) {
    CHECK(finding.what.find("LinuxKit") != std::string::npos);
    CHECK(finding.remedy.find("iptables mode does without it") != std::string::npos);
  }
}

TEST_CASE("a match or target of x_tables that the kernel lacks is named, with what alone needs it") {
  for (const char* name : {"match comment", "match tcp", "match mark", "match conntrack", "match addrtype",
                           "match statistic", "target MARK", "target MASQUERADE", "target DNAT", "target REJECT"}) {
    FakeKernel kernel;
    kernel.refuse_expression(name, ENOENT, kForever);
    const auto missing = lacking(findings_on(kernel, Config::Mode::kIptables));
    INFO(name);
    REQUIRE(names(missing) == Names{name});
    CHECK(missing.at(name).state == State::kMissing);
  }
  for (const char* name : {"match sctp", "match recent", "match multiport"}) {
    FakeKernel kernel;
    kernel.refuse_expression(name, ENOENT, kForever);
    const Findings findings = findings_on(kernel, Config::Mode::kIptables);
    const auto missing = lacking(findings);
    INFO(name);
    REQUIRE(names(missing) == Names{name});
    CHECK(missing.at(name).state == State::kWarning);
    CHECK(missing.at(name).what.find(dataplane::find_kernel_feature(name)->only_for) != std::string::npos);
    CHECK(verdict_on(Config::Mode::kIptables, findings) == State::kYes);
  }
}

TEST_CASE("a kernel without any x_tables is told as one without nft_compat, with the package of RHEL 10") {
  FakeKernel kernel;
  for (const auto& feature : dataplane::kernel_features())
    if (feature.name.starts_with("match ") || feature.name.starts_with("target "))
      kernel.refuse_expression(std::string(feature.name), ENOENT, kForever);
  const auto missing =
      lacking(findings_on(kernel, Config::Mode::kIptables, Family::kIpv4, "6.12.0-55.9.1.el10_0.x86_64"));
  REQUIRE(names(missing) == Names{"nft_compat"});
  CHECK(missing.at("nft_compat").option == "CONFIG_NFT_COMPAT");
  CHECK(missing.at("nft_compat").remedy.find("kernel-modules-extra-6.12.0-55.9.1.el10_0.x86_64") != std::string::npos);
  CHECK(names(lacking(findings_on(kernel, Config::Mode::kNftables))).empty());
}

TEST_CASE("sets that a kernel before 5.6 has not got are named, and not who looks into them") {
  FakeKernel kernel;
  kernel.refuse(
      [](const test::FakeMessage& message) {
        return message.type == NFT_MSG_NEWSET && message.name == "source-ranges";
      },
      EOPNOTSUPP, kForever);
  const auto missing = lacking(findings_on(kernel, Config::Mode::kNftables));
  REQUIRE(names(missing) == Names{"set ranges"});
  CHECK(missing.at("set ranges").since == "5.6");
}

TEST_CASE("a chain of type nat that the kernel lacks is named, and not the rules in it") {
  for (const auto mode : {Config::Mode::kIptables, Config::Mode::kNftables}) {
    FakeKernel kernel;
    kernel.refuse(
        [](const test::FakeMessage& message) {
          return message.type == NFT_MSG_NEWCHAIN &&
                 netlink::find_attribute(message.attributes, NFTA_CHAIN_TYPE).text() == "nat";
        },
        ENOENT, kForever);
    const auto missing = lacking(findings_on(kernel, mode));
    CHECK(names(missing) == Names{"chain nat"});
  }
}

TEST_CASE("a family without tables is one finding") {
  for (const auto mode : {Config::Mode::kIptables, Config::Mode::kNftables}) {
    FakeKernel kernel;
    kernel.refuse([](const test::FakeMessage& message) { return message.type == NFT_MSG_NEWTABLE; }, EAFNOSUPPORT,
                  kForever);
    const Findings findings = findings_on(kernel, mode, Family::kIpv6);
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().name == "nf_tables");
    CHECK(findings.front().state == State::kMissing);
    CHECK(findings.front().option == "CONFIG_NF_TABLES_IPV6");
  }
}

TEST_CASE("a table that another program owns is named") {
  FakeKernel kernel;
  kernel.refuse(
      [](const test::FakeMessage& message) { return message.type != NFT_MSG_GETGEN && message.table == "nat"; }, EPERM,
      kForever);
  const Findings findings = findings_on(kernel, Config::Mode::kIptables);
  const auto missing = lacking(findings);
  REQUIRE(missing.contains("table-owner"));
  CHECK(missing.at("table-owner").what.find("ip nat") != std::string::npos);
  CHECK(verdict_on(Config::Mode::kIptables, findings) == State::kMissing);
}

TEST_CASE("without the rights it is said that it cannot be known") {
  FakeKernel kernel;
  kernel.withhold_rights();
  const Findings findings = findings_on(kernel, Config::Mode::kNftables);
  REQUIRE(findings.size() == 1);
  CHECK(findings.front().state == State::kUnknown);
  CHECK(findings.front().what.find("CAP_NET_ADMIN") != std::string::npos);
  CHECK(verdict_on(Config::Mode::kNftables, findings) == State::kUnknown);
}

TEST_CASE("no nf_tables at all is told for what it is, an answer that was lost is not taken for a yes") {
  FakeKernel kernel;
  kernel.fail_next_commit(EOPNOTSUPP);
  Findings findings = findings_on(kernel, Config::Mode::kNftables);
  REQUIRE(findings.size() == 1);
  CHECK(findings.front().state == State::kMissing);
  CHECK(findings.front().what.find("no nf_tables") != std::string::npos);
  CHECK(findings.front().remedy.find("gVisor") != std::string::npos);

  kernel.lose_next_answers();
  findings = findings_on(kernel, Config::Mode::kNftables);
  REQUIRE(findings.size() == 1);
  CHECK(findings.front().state == State::kUnknown);

  kernel.refuse_expression("fib", ENOMEM, kForever);
  findings = findings_on(kernel, Config::Mode::kNftables);
  CHECK(lacking(findings).at("fib").state == State::kUnknown);
  CHECK(verdict_on(Config::Mode::kNftables, findings) == State::kUnknown);
}

TEST_CASE("what no missing part explains is told in the kernel's words") {
  FakeKernel kernel;
  std::size_t rules = 0;
  kernel.refuse([&rules](const test::FakeMessage& message) { return message.type == NFT_MSG_NEWRULE && ++rules == 2; },
                E2BIG, 1);
  const Findings findings = findings_on(kernel, Config::Mode::kNftables);
  const auto missing = lacking(findings);
  REQUIRE(names(missing) == Names{"refused"});
  CHECK(missing.at("refused").what.find("Argument list too long") != std::string::npos);
}

TEST_CASE("a report is a line for each finding, and JSON with stable names") {
  FakeKernel kernel;
  kernel.refuse_expression("fib", ENOENT, kForever);
  const Report report{.kernel = "6.1.0",
                      .modes = {Config::Mode::kNftables},
                      .findings = findings_on(kernel, Config::Mode::kNftables, Family::kIpv4, "6.1.0")};
  const std::string text = to_text(report);
  CHECK(text.starts_with("kernel   6.1.0\n"));
  CHECK(text.find("\nyes      nftables ipv4 numgen\n") != std::string::npos);
  CHECK(
      text.find("\nmissing  nftables ipv4 fib: the kernel says No such file or directory; CONFIG_NFT_FIB_IPV4, module "
                "nft_fib_ipv4, Linux 4.10 and later; modprobe nft_fib_ipv4;") != std::string::npos);
  CHECK(text.ends_with("mode nftables: cannot run here\n"));
  CHECK(static_cast<std::size_t>(std::ranges::count(text, '\n')) == report.findings.size() + 2);
  const std::string json = to_json(report);
  for (const char* part : {R"("kernel": "6.1.0")", R"("mode": "nftables")", R"("state": "missing")", R"("name": "fib")",
                           R"("family": "ipv4")", R"("option": "CONFIG_NFT_FIB_IPV4")", R"("module": "nft_fib_ipv4")",
                           R"("since": "4.10")", R"("remedy": )"}) {
    INFO(part);
    CHECK(json.find(part) != std::string::npos);
  }
  CHECK(in_one_line(report, State::kMissing).find('\n') == std::string::npos);
}

}  // namespace kubenatd::agent::node
