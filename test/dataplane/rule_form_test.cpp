#include "test/dataplane/sync_support.h"

/// Ports and marks as matches of x_tables, or as expressions of nf_tables (setting ruleForm): the same rules.
namespace kubenatd::agent::test {
namespace {

using RuleForm = config::Config::RuleForm;

config::Config config_of(RuleForm form) {
  config::Config config = test::config();
  config.rule_form = form;
  return config;
}

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = test::service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  return {put(web), put(slice("web", {"10.244.1.1", "10.244.2.1"})),
          put(test::service("dns", "10.96.0.2", rules::Protocol::kUdp)),
          put(slice("dns", {"10.244.1.2"}, rules::Protocol::kUdp)), put(test::service("empty", "10.96.0.3"))};
}

/// How often the kernel's rules of IPv4 have the matches of x_tables that only one form has, and what stands in their
/// place in the other.
struct Forms {
  std::size_t portable = 0, native = 0;
  bool operator==(const Forms&) const = default;
};

Forms forms() {
  Forms found;
  for (const char* table : {"nat", "filter"}) {
    // One line for each expression; the SEP chains' `-m tcp` without a port is a match in both forms.
    std::string chain;
    for (const std::string& line : kubenatd::test::lines_of(
             kubenatd::test::run({"nft", "--debug=netlink", "list", "table", "ip", table}).describe())) {
      if (line.starts_with(std::string("ip ") + table + " ")) chain = line;
      if (has_line(chain, "KUBE-SEP-")) continue;
      found.portable +=
          has_line(line, "match name tcp") || has_line(line, "match name udp") || has_line(line, "match name mark") ? 1
                                                                                                                    : 0;
      found.native += has_line(line, "@ transport header") || has_line(line, "meta load mark") ? 1 : 0;
    }
  }
  return found;
}

}  // namespace

TEST_CASE("rules of either form are right as they are, and new ones have the form that is set", "[real]") {
  REAL_WORLD_ONLY("it knows nothing of what matches need");
  const RuleForm first = GENERATE(RuleForm::kPortable, RuleForm::kNative);
  const RuleForm second = first == RuleForm::kPortable ? RuleForm::kNative : RuleForm::kPortable;
  REQUIRE(enter_fresh_world());
  {
    Agent agent(config_of(first));
    CHECK(agent.apply(objects()).wrote());
  }
  const Forms before = forms();
  CHECK((first == RuleForm::kPortable ? before.portable : before.native) >= 8);
  CHECK((first == RuleForm::kPortable ? before.native : before.portable) == 0);
  check_no_difference(config_of(second), objects());

  Agent agent(config_of(second));
  const std::uint32_t at_start = generation();
  CHECK_FALSE(agent.apply(objects()).wrote());
  CHECK_FALSE(agent.audit().wrote());
  CHECK(generation() == at_start);
  CHECK(forms() == before);

  // Only what changes is written, in the second form; both stand in one chain.
  auto more = objects();
  objects::Service late = test::service("late", "10.96.0.4");
  late.ports[0].node_port = 30081;
  more.push_back(put(late));
  more.push_back(put(slice("late", {"10.244.1.4"})));
  CHECK(agent.apply(more).wrote());
  const Forms mixed = forms();
  CHECK(mixed.portable >= before.portable);
  CHECK(mixed.native >= before.native);
  CHECK((second == RuleForm::kPortable ? mixed.portable : mixed.native) >= 3);
  CHECK_FALSE(agent.audit().wrote());
  check_no_difference(config_of(first), more);

  // A rule of the first form is found and taken out.
  CHECK(agent.apply({remove_service("web"), remove_slice("web")}).wrote());
  CHECK_FALSE(has_line(saved(), "demo/web"));
  CHECK_FALSE(agent.audit().wrote());
}

TEST_CASE("a rule that iptables takes out and puts back is the same rule to a running agent", "[real]") {
  REAL_WORLD_ONLY("iptables there has one form");
  const RuleForm form = GENERATE(RuleForm::kPortable, RuleForm::kNative);
  REQUIRE(enter_fresh_world());
  Agent agent(config_of(form));
  agent.apply(objects());
  const std::string right = saved();

  struct Place {
    std::string table, chain, part;
  };
  // In a chain that is changed rule by rule, and in those that are written as a whole.
  for (const Place& place :
       {Place{"nat", "KUBE-NODEPORTS", "--dport 30080"}, Place{"nat", "KUBE-POSTROUTING", "! --mark 0x4000/0x4000"},
        Place{"filter", "KUBE-FORWARD", "--mark 0x4000/0x4000"}}) {
    INFO(place.chain);
    std::vector<std::string> rules = kubenatd::test::lines_of(must_run("iptables-save -t " + place.table));
    const std::string start = "-A " + place.chain + " ";
    std::erase_if(rules, [&](const std::string& line) { return !line.starts_with(start); });
    const auto found = std::ranges::find_if(rules, [&](const std::string& line) { return has_line(line, place.part); });
    REQUIRE(found != rules.end());
    const std::string rule = found->substr(start.size());
    const std::string number = std::to_string(found - rules.begin() + 1);
    must_run({"iptables-restore", "--noflush"}, "*" + place.table + "\n-D " + place.chain + " " + rule + "\n-I " +
                                                    place.chain + " " + number + " " + rule + "\nCOMMIT\n");
    CHECK(agent.reconciler().handle_events());
    const dataplane::RoundReport report = agent.sync();
    CHECK_FALSE(report.wrote());
    CHECK(healed_by(report).empty());
    CHECK(changed(right, saved()) == "");
  }
  CHECK_FALSE(agent.audit().wrote());
  check_no_difference(config_of(form), objects());
  // Its handle is known.
  CHECK(agent.apply({remove_service("web"), remove_slice("web")}).wrote());
  CHECK_FALSE(has_line(saved(), "demo/web"));
}

}  // namespace kubenatd::agent::test
