#include "agent/config/settings.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/config/config_json.h"
#include "agent/config/flags.h"
#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kOwnHeader = "---\napiVersion: kubenatd.io/v1alpha1\nkind: KubenatdConfiguration\n";

LoadedConfig with_own(const std::string& fields) {
  return accepted("mode: iptables\n" + std::string(kOwnHeader) + fields);
}
std::string refused_own(const std::string& fields) {
  return refused("mode: iptables\n" + std::string(kOwnHeader) + fields);
}

/// The flags of a command, or the text of the usage mistake.
struct Parsed {
  FlagValues values;
  std::string mistake;
};
Parsed parsed(Command command, const std::vector<std::string>& words) {
  Parsed result;
  FlagSet flags;
  register_settings(flags, command, result.values);
  if (const auto read = flags.parse(words); !read) result.mistake = read.error().cause;
  return result;
}

Config over(Config config, const std::vector<std::string>& arguments) {
  const Parsed flags = parsed(Command::kRun, arguments);
  CHECK(flags.mistake.empty());
  const auto applied = apply(flags.values, config);
  if (!applied) FAIL(applied.error().to_string());
  return config;
}

std::string help_of(Command command) {
  FlagValues values;
  FlagSet flags;
  register_settings(flags, command, values);
  return flags.help();
}

}  // namespace

TEST_CASE("settings: each has a flag, a field and a help of its own") {
  std::set<std::string_view> flags, fields, helps;
  for (const Setting& setting : settings()) {
    CAPTURE(setting.flag);
    CHECK(flags.insert(setting.flag).second);
    CHECK((setting.field.empty() || fields.insert(setting.field).second));
    CHECK(helps.insert(setting.help).second);
    CHECK(setting.applies_to(Command::kRun));
    CHECK(setting.applies_to(Command::kCheck));
  }
}

TEST_CASE("settings: a text that a setting tells is one that it takes") {
  Settings values;
  values.dispatch = Settings::Dispatch::kTree;
  values.tree_threshold = 7;
  values.rule_form = Settings::RuleForm::kNative;
  values.host_ports = Settings::HostPorts::kOff;
  values.own_table = Settings::OwnTable::kOff;
  values.page = Settings::Page::kOn;
  values.page_trace = Settings::Page::kOn;
  values.audit_period = 90s;
  values.counted_services = kMostCountedServices;
  values.once = true;
  values.service_cidrs = {*rules::Prefix::parse("10.96.0.0/12")};
  values.fast_path = {{"veth*"}};
  values.reserved_ports = {{rules::Protocol::kUdp, 51820}};
  values.external_ip_ranges = {*rules::Prefix::parse("203.0.113.0/24")};
  values.load_balancer_ip_ranges = {*rules::Prefix::parse("198.51.100.0/24")};
  values.manifests = {"/srv/objects"};
  const Settings defaults;
  Settings read;
  for (const Setting& setting : settings()) {
    CAPTURE(setting.flag);
    CHECK(setting.text(values) != setting.text(defaults));
    const std::vector<std::string> texts{setting.text(values)};
    REQUIRE(setting.set(read, texts));
    CHECK(setting.text(read) == setting.text(values));
  }
}

TEST_CASE("settings: a file sets them in a document of its own") {
  const LoadedConfig loaded = with_own(
      "dispatch: linear\ntreeThreshold: 50\nruleForm: native\nhostPorts: \"off\"\nauditPeriod: 1m30s\n"
      "ownTable: on\nfastPath: [eth0, \"veth*\"]\n"
      "serviceMetrics: 20\nserviceCIDRs: [10.96.0.0/12, \"fd00:10:96::/112\"]\n");
  CHECK(loaded.remarks.empty());
  const Config& config = loaded.config;
  CHECK(config.dispatch == Config::Dispatch::kLinear);
  CHECK(config.tree_threshold == 50);
  CHECK(config.rule_form == Config::RuleForm::kNative);
  CHECK(config.host_ports == Config::HostPorts::kOff);
  CHECK(config.own_table == Config::OwnTable::kOn);
  CHECK(config.fast_path == std::vector<DevicePattern>{{"eth0"}, {"veth*"}});
  CHECK(config.audit_period == 90s);
  CHECK(config.counted_services == 20);
  REQUIRE(config.service_cidrs.size() == 2);
  CHECK(config.service_cidrs[1].to_string() == "fd00:10:96::/112");
  CHECK(config.masquerade_bit == 14);
}

TEST_CASE("settings: the document may come first, and without it the defaults hold") {
  const std::string text = std::string(kOwnHeader) + "dispatch: tree\n---\n" + kHeader;
  const auto loaded = parse_config(text, "config.yaml");
  REQUIRE(loaded);
  CHECK(loaded->config.dispatch == Config::Dispatch::kTree);
  CHECK(accepted("").config.dispatch == Config::Dispatch::kAuto);
  CHECK(with_own("").config.tree_threshold == 1000);
  CHECK(with_own("treeThreshold: null\n").config.tree_threshold == 1000);
}

TEST_CASE("settings: plain on and off, which YAML takes for bools, are words") {
  const auto [text, value] = GENERATE(table<std::string, Config::HostPorts>({{"on", Config::HostPorts::kOn},
                                                                             {"off", Config::HostPorts::kOff},
                                                                             {"true", Config::HostPorts::kOn},
                                                                             {"auto", Config::HostPorts::kAuto},
                                                                             {"\"Off\"", Config::HostPorts::kOff}}));
  CAPTURE(text);
  CHECK(with_own("hostPorts: " + text).config.host_ports == value);
}

TEST_CASE("settings: mistakes in a file name the document and the field, all of them") {
  CHECK(refused_own("dispatch: bush\ntreeThreshold: many\nruleForm: xt\nserviceMetrics: 10001\nauditPeriod: 0s\n"
                    "serviceCIDRs: [10.0.0.0/33]\nhostPorts: [on]\n") ==
        R"(KubenatdConfiguration.dispatch: "bush" is not one of linear, tree, auto; )"
        R"(KubenatdConfiguration.treeThreshold: "many" is not a number; )"
        R"(KubenatdConfiguration.ruleForm: "xt" is not one of portable, native; )"
        R"(KubenatdConfiguration.hostPorts: a list is not text; )"
        R"(KubenatdConfiguration.serviceCIDRs: "10.0.0.0/33" is not a CIDR; )"
        R"(KubenatdConfiguration.auditPeriod: 0s is not in 1s..24h0m0s; )"
        R"(KubenatdConfiguration.serviceMetrics: 10001 is not in 0..10000)");
  CHECK(refused_own("treeThreshold: -1").find("treeThreshold: ") != std::string::npos);
  CHECK(
      refused("mode: ipvs\n" + std::string(kOwnHeader) + "dispatch: 1\n").find("; KubenatdConfiguration.dispatch: ") !=
      std::string::npos);
}

TEST_CASE("settings: a version that is not known and a second document are refused") {
  CHECK(refused("---\napiVersion: kubenatd.io/v2\nkind: KubenatdConfiguration\n") ==
        R"(KubenatdConfiguration.apiVersion: "kubenatd.io/v2" is not known: kubenatd.io/v1alpha1 is)");
  CHECK(refused("---\nkind: KubenatdConfiguration\n").find("apiVersion: is missing") != std::string::npos);
  CHECK(refused(std::string(kOwnHeader) + kOwnHeader).find("more than one") != std::string::npos);
}

TEST_CASE("settings: what a file may not say is remarked upon") {
  const auto remarks =
      with_own("once: true\nmanifests: [/tmp]\nunheardOf: 1\ndispatch: tree\ndispatch: auto\n").remarks;
  for (const char* remark : {"KubenatdConfiguration.once: is not a known field and is ignored",
                             "KubenatdConfiguration.manifests: is not a known field and is ignored",
                             "KubenatdConfiguration.unheardOf: is not a known field and is ignored",
                             "the document that begins in line 5: dispatch is given twice, the last one counts"}) {
    CAPTURE(remark);
    CHECK(std::ranges::count(remarks, std::string(remark)) == 1);
  }
  CHECK(remarks.size() == 4);
  // They are no fields of kube-proxy's type.
  CHECK(accepted("dispatch: tree").config.dispatch == Config::Dispatch::kAuto);
}

TEST_CASE("settings: flags win over the file, a list as a whole, and leave alone what they do not name") {
  const Config file = with_own("dispatch: linear\ntreeThreshold: 50\nserviceCIDRs: [10.96.0.0/12]\n").config;
  const Config config = over(file, {"--dispatch", "TREE", "--service-cidr", "10.0.0.0/8", "--service-cidr=fd00::/64"});
  CHECK(config.dispatch == Config::Dispatch::kTree);
  CHECK(config.tree_threshold == 50);
  REQUIRE(config.service_cidrs.size() == 2);
  CHECK(config.service_cidrs[0].to_string() == "10.0.0.0/8");
  // A flag wins that says what is the default anyway.
  CHECK(over(file, {"--dispatch=auto"}).dispatch == Config::Dispatch::kAuto);
  CHECK(over(file, {}).dispatch == Config::Dispatch::kLinear);
}

TEST_CASE("settings: flags without a file") {
  const Config config = over(default_config(), {"--once", "--audit-period", "7", "--host-ports=off", "--manifests", "a",
                                                "--manifests=b", "--service-metrics=10000"});
  CHECK(config.once);
  CHECK(config.audit_period == 7s);
  CHECK(config.host_ports == Config::HostPorts::kOff);
  CHECK(config.manifests == std::vector<std::filesystem::path>{"a", "b"});
  CHECK(config.counted_services == 10'000);
  CHECK(over(default_config(), {"--audit-period=2m"}).audit_period == 2min);
  CHECK(over(default_config(), {"--tree_threshold=0x10"}).tree_threshold == 16);
  CHECK(over(default_config(), {"--service-cidr=10.96.0.0/12,fd00::/108", "--service-cidr", "10.0.0.0/8"})
            .service_cidrs.size() == 3);
  CHECK(over(default_config(), {"--service-cidr="}).service_cidrs.empty());
  const std::vector<ReservedPort> ssh{{rules::Protocol::kTcp, 22}};
  CHECK(default_config().reserved_ports == ssh);
  CHECK(over(default_config(), {"--reserved-ports="}).reserved_ports.empty());
  CHECK(over(default_config(), {"--reserved-ports=2222,51820/UDP", "--reserved-ports", "22/tcp"}).reserved_ports ==
        std::vector<ReservedPort>{
            {rules::Protocol::kTcp, 2222}, {rules::Protocol::kUdp, 51820}, {rules::Protocol::kTcp, 22}});
  CHECK(default_config().fast_path.empty());
  CHECK(over(default_config(), {"--fast-path=eth0,veth*", "--fast-path", "auto"}).fast_path ==
        std::vector<DevicePattern>{{"eth0"}, {"veth*"}, {"auto"}});
  CHECK(over(default_config(), {"--fast-path="}).fast_path.empty());
  CHECK(over(default_config(), {"--external-ip-range=203.0.113.0/24"}).external_ip_ranges.size() == 1);
  CHECK(over(default_config(), {"--load-balancer-ip-range=203.0.113.0/24,2001:db8::/32"})
            .load_balancer_ip_ranges.size() == 2);
  CHECK(over(default_config(), {"--manifests=a,b"}).manifests == std::vector<std::filesystem::path>{"a,b"});
  CHECK_FALSE(over(default_config(), {"--once", "--once=false"}).once);
}

TEST_CASE("settings: a refused flag names itself and what is wrong") {
  const auto [argument, part] = GENERATE(table<std::string, std::string>({
      {"--dispatch=bush", R"("bush" is not one of linear, tree, auto)"},
      {"--host-ports=maybe", R"("maybe" is not one of auto, on, off)"},
      {"--tree-threshold=-1", R"("-1" is not a whole number)"},
      {"--service-metrics=10001", "10001 is not in 0..10000"},
      {"--audit-period=0", "0s is not in 1s..24h0m0s"},
      {"--audit-period=86401", "24h0m1s is not in 1s..24h0m0s"},
      {"--audit-period=99999999999999999999", "is not a number of seconds"},
      {"--reserved-ports=0", R"("0" is not a port such as "22" or "51820/udp")"},
      {"--reserved-ports=22,65536", "is not a port"},
      {"--reserved-ports=22/sctp", "is not a port"},
      {"--reserved-ports=ssh", "is not a port"},
      {"--external-ip-range=203.0.113.1", "is not a CIDR"},
      {"--fast-path=eth0,a-name-too-long0", R"("a-name-too-long0" is not a device such as "eth0" or "veth*")"},
      {"--fast-path=v*h", "is not a device"},
      {"--fast-path=a b", "is not a device"},
      {"--fast-path=..", "is not a device"},
      {"--service-cidr=here", R"("here" is not a CIDR)"},
      {"--manifests=", "no folder is named"},
      {"--dispatch=", R"("" is not one of linear, tree, auto)"},
      {"--once=perhaps", "it is not true or false"},
  }));
  CAPTURE(argument);
  const std::string mistake = parsed(Command::kRun, {argument}).mistake;
  CHECK(mistake.find(part) != std::string::npos);
  CHECK(mistake.find(argument.substr(0, argument.find('='))) != std::string::npos);
}

TEST_CASE("settings: the help tells those of the command, with type and default") {
  const std::string run = help_of(Command::kRun);
  for (const Setting& setting : settings()) {
    CAPTURE(setting.flag, run);
    CHECK(run.find("--" + std::string(setting.flag)) != std::string::npos);
    CHECK(run.find(setting.type) != std::string::npos);
    CHECK((help_of(Command::kRender).find("--" + std::string(setting.flag)) != std::string::npos) == !setting.run_only);
  }
  CHECK(run.find("1000") != std::string::npos);
  CHECK(run.find("5m0s") != std::string::npos);
  CHECK(run.find("(0..10000)") != std::string::npos);
  CHECK(run.find("(1s..24h0m0s)") != std::string::npos);
  // Accepted all the same: the command line of a running agent may be given as it is.
  CHECK(parsed(Command::kDiff, {"--audit-period=5", "--once"}).mistake.empty());
}

TEST_CASE("settings: check tells each of them") {
  const Config config = with_own("auditPeriod: 2m\nserviceCIDRs: [10.96.0.0/12]\n").config;
  const auto lines = describe_settings(config);
  const std::map<std::string, std::string> told(lines.begin(), lines.end());
  CHECK(told.size() == settings().size());
  CHECK(told.at("--audit-period") == "2m0s");
  CHECK(told.at("--service-cidr") == "10.96.0.0/12");
  CHECK(told.at("--manifests") == "none");
  CHECK(told.at("--dispatch") == "auto");
}

TEST_CASE("settings: what was written to a file is read back") {
  CHECK(settings_document(Settings{}).empty());
  const Config config =
      with_own(
          "dispatch: linear\ntreeThreshold: 50\nruleForm: native\nhostPorts: on\nauditPeriod: 1m30s\n"
          "serviceMetrics: 20\nserviceCIDRs: [10.96.0.0/12, \"fd00::/64\"]\nreservedPorts: [2222/tcp, "
          "53/udp]\nexternalIPRanges: [203.0.113.0/24]\n")
          .config;
  CHECK(config.reserved_ports.size() == 2);
  CHECK(with_own("reservedPorts: []\n").config.reserved_ports.empty());
  const auto again = parse_config(to_json(config) + "\n" + settings_document(config), "written");
  if (!again) FAIL(again.error().to_string());
  for (const std::string& remark : again->remarks) CHECK_FALSE(remark.starts_with("Kubenatd"));
  CHECK(settings_document(again->config) == settings_document(config));
  CHECK(describe_settings(again->config) == describe_settings(config));
}
