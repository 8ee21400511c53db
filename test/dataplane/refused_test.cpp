#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

/// The kernel refuses -m recent --reap without a time (recent_mt_check, net/netfilter/xt_recent.c, 6.18).
objects::Service impossible(const std::string& name, const std::string& cluster_ip) {
  objects::Service service = test::service(name, cluster_ip);
  service.affinity_seconds = 0;
  return service;
}

bool names(const std::vector<std::string>& problems, const std::string& what) {
  return std::ranges::any_of(problems, [&](const std::string& one) { return one.find(what) != std::string::npos; });
}

}  // namespace

TEST_CASE("a service port that the kernel refuses is taken out and named, the rest is applied") {
  SYNC_TEST_WORLD();
  refuse_recent();
  Agent agent;
  const std::vector<objects::ObjectEvent> good{put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"})),
                                               put(service("idle", "10.96.0.3"))};
  std::vector<objects::ObjectEvent> all = good;
  all.push_back(put(impossible("bad", "10.96.0.2")));
  all.push_back(put(slice("bad", {"10.244.1.6"})));
  all.push_back(put(impossible("worse", "10.96.0.4")));
  all.push_back(put(slice("worse", {"10.244.1.7"})));
  const dataplane::RoundReport report = agent.try_sync(all);
  INFO(Agent::describe(report));
  CHECK(report.failed());
  const auto problems = problems_of(report);
  CHECK(names(problems, "demo/bad: refused by the kernel"));
  CHECK(names(problems, "demo/worse: refused by the kernel"));
  CHECK_FALSE(names(problems, "demo/web"));
  CHECK_FALSE(names(problems, "demo/idle"));
  check_no_difference(config(), good);

  SECTION("it stays out, quietly, while others change") {
    const dataplane::RoundReport next = agent.apply({put(slice("web", {"10.244.1.5", "10.244.1.9"}))});
    CHECK(next.wrote());
    CHECK_FALSE(agent.audit().wrote());
    CHECK_FALSE(has_line(saved(), "demo/bad"));
  }
  SECTION("and is in again when it is changed") {
    agent.apply({put(service("bad", "10.96.0.2")), remove_service("worse")});
    std::vector<objects::ObjectEvent> outcome = good;
    outcome.push_back(put(service("bad", "10.96.0.2")));
    outcome.push_back(put(slice("bad", {"10.244.1.6"})));
    check_no_difference(config(), outcome);
  }
}

TEST_CASE("a service port that becomes impossible goes, and its place is as if it never was") {
  SYNC_TEST_WORLD();
  refuse_recent();
  Agent agent;
  agent.apply({put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"})), put(service("bad", "10.96.0.2")),
               put(slice("bad", {"10.244.1.6"}))});
  const dataplane::RoundReport report = agent.try_sync({put(impossible("bad", "10.96.0.2"))});
  CHECK(names(problems_of(report), "demo/bad"));
  check_no_difference(config(), {put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))});
}

TEST_CASE("a chain that a rule of others jumps to is emptied, kept and named, and goes when that rule has gone") {
  SYNC_TEST_WORLD();
  Agent agent;
  const std::vector<objects::ObjectEvent> rest{put(service("api", "10.96.0.2")), put(slice("api", {"10.244.1.6"}))};
  agent.apply(rest);
  const std::string without = saved();
  agent.apply({put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))});

  std::string chain;
  for (const std::string& line : kubenatd::test::lines_of(saved()))
    if (line.starts_with("-A KUBE-SERVICES") && has_line(line, "demo/web")) chain = line.substr(line.rfind(' ') + 1);
  REQUIRE(chain.starts_with("KUBE-SVC-"));
  must_run("iptables -t nat -N OTHERS");
  must_run("iptables -t nat -A OTHERS -j " + chain);

  const dataplane::RoundReport report = agent.try_sync({remove_service("web"), remove_slice("web")});
  INFO(Agent::describe(report));
  CHECK(names(problems_of(report), chain));
  CHECK(has_line(saved(), ":" + chain));
  CHECK_FALSE(has_line(saved(), "-A " + chain));
  CHECK(has_line(saved(), "-A OTHERS -j " + chain));
  CHECK_FALSE(has_line(saved(), "KUBE-SEP-" + chain.substr(9)));

  SECTION("it does not keep other changes from being made, and is named once") {
    const dataplane::RoundReport next = agent.apply({put(slice("api", {"10.244.1.6", "10.244.1.7"}))});
    CHECK(next.wrote());
    const std::uint32_t before = generation();
    CHECK_FALSE(agent.audit().wrote());
    CHECK(generation() == before);
  }
  SECTION("when the rule of others goes, the next audit removes the chain") {
    must_run("iptables -t nat -F OTHERS");
    must_run("iptables -t nat -X OTHERS");
    CHECK(agent.audit().wrote());
    CHECK(changed(without, saved()) == "");
    CHECK_FALSE(agent.audit().wrote());
  }
  SECTION("when the service comes back, the chain is filled again, and can go again") {
    agent.apply({put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))});
    CHECK(has_line(saved(), "-A " + chain));
    must_run("iptables -t nat -F OTHERS");
    must_run("iptables -t nat -X OTHERS");
    agent.apply({remove_service("web"), remove_slice("web")});
    agent.audit();
    CHECK(changed(without, saved()) == "");
  }
}

TEST_CASE("what a former run could not remove is removed by the next one as soon as it can be") {
  SYNC_TEST_WORLD();
  must_run("iptables -t nat -N KUBE-SVC-AAAAAAAAAAAAAAAA");
  must_run("iptables -t nat -A KUBE-SVC-AAAAAAAAAAAAAAAA -d 10.96.0.9 -j ACCEPT");
  must_run("iptables -t nat -N OTHERS");
  must_run("iptables -t nat -A OTHERS -j KUBE-SVC-AAAAAAAAAAAAAAAA");
  Agent agent;
  const dataplane::RoundReport report = agent.try_sync({put(service("api", "10.96.0.2"))});
  CHECK(names(problems_of(report), "KUBE-SVC-AAAAAAAAAAAAAAAA"));
  CHECK_FALSE(has_line(saved(), "-A KUBE-SVC-AAAAAAAAAAAAAAAA"));
  must_run("iptables -t nat -F OTHERS");
  agent.audit();
  CHECK_FALSE(has_line(saved(), "KUBE-SVC-AAAAAAAAAAAAAAAA"));
}

}  // namespace kubenatd::agent::test
