#include "rules/iptables/desired.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rules/iptables/address_tree.h"
#include "test/unit/rules/desired_support.h"

namespace kubenatd::rules::iptables {
TEST_CASE("an empty object wants the fixed and the shared chains once") {
  DesiredTables desired(test::options());
  REQUIRE(desired.has_changes());
  Kernel kernel(desired);
  desired.take_changes(kernel);
  CHECK(kernel.written_names() ==
        std::set<std::string>{"nat KUBE-MARK-MASQ", "nat KUBE-POSTROUTING", "nat KUBE-SERVICES", "nat KUBE-NODEPORTS",
                              "filter KUBE-FORWARD", "filter KUBE-SERVICES", "filter KUBE-EXTERNAL-SERVICES",
                              "filter KUBE-NODEPORTS", "filter KUBE-PROXY-FIREWALL"});
  CHECK_FALSE(desired.has_changes());
  kernel.forget();
  desired.take_changes(kernel);
  CHECK(kernel.written.empty());
}

TEST_CASE("a new service port brings its chains and the shared ones that it is in") {
  DesiredTables desired(test::options());
  Kernel kernel(desired);
  desired.take_changes(kernel);
  kernel.forget();

  desired.upsert(test::web());
  REQUIRE(desired.has_changes());
  desired.take_changes(kernel);
  const auto names = kernel.written_names();
  CHECK(names.size() == 4);
  CHECK(names.contains("nat KUBE-SERVICES"));
  CHECK(kernel.removed.empty());
  CHECK(kernel.broken_jumps() == std::vector<std::string>{});
  CHECK(kernel.early == std::vector<std::string>{});
  for (const ChainId& id : kernel.written) {
    if (id == kNatServices) continue;
    CHECK(desired.owner_of(id) == ServicePortKey{"demo/web:http", Protocol::kTcp});
    CHECK(desired.wants(id));
  }
}

TEST_CASE("an equal view changes nothing") {
  DesiredTables desired(test::options());
  desired.upsert(test::web());
  Kernel kernel(desired);
  desired.take_changes(kernel);
  desired.upsert(test::web());
  desired.set_options(test::options());
  desired.erase({"demo/other", Protocol::kTcp});
  CHECK_FALSE(desired.has_changes());
}

TEST_CASE("an endpoint that comes or goes concerns the chains of its service port alone") {
  DesiredTables desired(test::options());
  desired.upsert(test::web());
  desired.upsert(port(1));
  Kernel kernel(desired);
  desired.take_changes(kernel);
  kernel.forget();

  desired.upsert(test::web_elsewhere());
  desired.take_changes(kernel);
  CHECK(kernel.removed.size() == 1);
  for (const ChainId& id : kernel.written)
    CHECK(desired.owner_of(id) == ServicePortKey{"demo/web:http", Protocol::kTcp});
  CHECK(kernel.broken_jumps() == std::vector<std::string>{});

  kernel.forget();
  desired.upsert(test::web_without_endpoints());
  desired.take_changes(kernel);
  CHECK(kernel.written_names() == std::set<std::string>{"nat KUBE-SERVICES", "filter KUBE-SERVICES"});
  CHECK(kernel.removed.size() == 2);
}

TEST_CASE("a service port that goes takes its chains along, one that is back keeps them") {
  DesiredTables desired(test::options());
  desired.upsert(test::web());
  Kernel kernel(desired);
  desired.take_changes(kernel);
  const auto before = kernel.chains;
  kernel.forget();

  SECTION("gone") {
    desired.erase({"demo/web:http", Protocol::kTcp});
    CHECK(desired.service_ports() == 0);
    desired.take_changes(kernel);
    CHECK(kernel.removed.size() == 3);
    CHECK(kernel.broken_jumps() == std::vector<std::string>{});
    for (const ChainId& id : kernel.removed) CHECK_FALSE(desired.wants(id));
  }
  SECTION("gone and back before anybody looked") {
    desired.erase({"demo/web:http", Protocol::kTcp});
    desired.upsert(test::web());
    desired.take_changes(kernel);
    CHECK(kernel.removed.empty());
    CHECK(kernel.chains == before);
  }
  SECTION("the same name and another protocol is another service port") {
    ServicePortView udp = test::web();
    udp.protocol = Protocol::kUdp;
    desired.upsert(udp);
    desired.erase({"demo/web:http", Protocol::kTcp});
    desired.take_changes(kernel);
    CHECK(kernel.removed.size() == 3);
    CHECK(desired.service_ports() == 1);
    CHECK(desired.view_of({"demo/web:http", Protocol::kUdp}) != nullptr);
    CHECK(desired.view_of({"demo/web:http", Protocol::kTcp}) == nullptr);
  }
}

TEST_CASE("everything is handed out as often as asked, taken or not, and stays pending") {
  for (const DispatchForm form : {DispatchForm::kLinear, DispatchForm::kTree}) {
    DesiredTables desired(with_form(form));
    std::map<std::string, ServicePortView> views;
    for (unsigned i = 0; i < 30; ++i) {
      views["demo/s" + std::to_string(i)] = port(i);
      desired.upsert(port(i));
    }
    const auto replayed = [&] {
      Kernel kernel(desired);
      desired.replay_all(kernel);
      CHECK(kernel.broken_jumps() == std::vector<std::string>{});
      CHECK(kernel.early == std::vector<std::string>{});
      return kernel.chains;
    };
    CHECK(replayed() == fresh_chains(with_form(form), views));  // nothing was taken yet
    CHECK(replayed() == fresh_chains(with_form(form), views));
    REQUIRE(desired.has_changes());
    Kernel kernel(desired);
    desired.take_changes(kernel);
    CHECK(kernel.chains == replayed());

    // One is new, one has gone, one is refused: pending, and yet in the picture.
    views.erase("demo/s3");
    desired.erase({"demo/s3", Protocol::kTcp});
    views["demo/s40"] = port(40);
    desired.upsert(port(40));
    views.erase("demo/s5");
    desired.refuse({"demo/s5", Protocol::kTcp});
    CHECK(replayed() == fresh_chains(with_form(form), views));
    kernel.forget();
    desired.take_changes(kernel);
    CHECK(kernel.chains == fresh_chains(with_form(form), views));
  }
}

TEST_CASE("other options concern everything") {
  DesiredTables desired(test::options());
  desired.upsert(test::web());
  Kernel kernel(desired);
  desired.take_changes(kernel);
  CompileOptions other = test::options();
  other.node.masquerade_mark = 0x8000;
  other.endpoint_comments = false;
  desired.set_options(other);
  kernel.forget();
  desired.take_changes(kernel);
  CHECK(kernel.chains == fresh_chains(other, {{"demo/web:http", test::web()}}));

  SECTION("localhost NodePorts bring KUBE-FIREWALL, and their end gives it up") {
    other.node.localhost_node_ports = true;
    desired.set_options(other);
    kernel.forget();
    desired.take_changes(kernel);
    const ChainId firewall{Table::kFilter, ChainName("KUBE-FIREWALL")};
    CHECK(kernel.written.contains(firewall));
    CHECK(desired.wants(firewall));
    other.node.localhost_node_ports = false;
    desired.set_options(other);
    CHECK_FALSE(desired.wants(firewall));
  }
}

TEST_CASE("KUBE-SERVICES is a tree while there are more addresses than the threshold") {
  DesiredTables desired(with_form(DispatchForm::kAuto, 20));
  Kernel kernel(desired);
  std::map<std::string, ServicePortView> views;
  const auto settle = [&] {
    kernel.forget();
    desired.take_changes(kernel);
    CHECK(kernel.broken_jumps() == std::vector<std::string>{});
    CHECK(kernel.early == std::vector<std::string>{});
    CHECK(kernel.chains == fresh_chains(with_form(DispatchForm::kAuto, 20), views));
  };
  for (unsigned i = 0; i < 20; ++i) {
    views["demo/s" + std::to_string(i)] = port(i);
    desired.upsert(port(i));
  }
  settle();
  CHECK(tree_chains(kernel) == 0);
  CHECK(kernel.chains.at(kNatServices).size() == 21);  // and the NodePort tail

  views["demo/s20"] = port(20);
  desired.upsert(port(20));
  settle();
  CHECK(tree_chains(kernel) > 0);
  CHECK(kernel.chains.at(kNatServices).size() < 21);
  CHECK(jump_target(kernel.chains.at(kNatServices).back()) == "KUBE-NODEPORTS");

  views.erase("demo/s3");
  desired.erase({"demo/s3", Protocol::kTcp});
  settle();
  CHECK(tree_chains(kernel) == 0);

  SECTION("a second port of an address does not count") {
    ServicePortView second = port(5);
    second.name = "demo/s5:other";
    second.port = 81;
    views[second.name] = second;
    desired.upsert(second);
    settle();
    CHECK(tree_chains(kernel) == 0);
  }
}

TEST_CASE("in a tree, a change of one service concerns the chains on the way to its address") {
  DesiredTables desired(with_form(DispatchForm::kTree));
  for (unsigned i = 0; i < 1000; ++i) desired.upsert(port(i));
  Kernel kernel(desired);
  desired.take_changes(kernel);
  REQUIRE(tree_chains(kernel) > 50);
  CHECK(kernel.early == std::vector<std::string>{});

  kernel.forget();
  desired.upsert(port(7, {endpoint("10.244.1.9", 1)}));
  desired.take_changes(kernel);
  CHECK(kernel.written.size() == 2);  // the endpoints' chains; the tree points to the same service chain
  CHECK_FALSE(kernel.written.contains(kNatServices));

  kernel.forget();
  desired.upsert(port(7, {}));  // its address is gone from the tree
  desired.take_changes(kernel);
  CHECK(kernel.written.size() + kernel.removed.size() <= 8);
  CHECK(kernel.broken_jumps() == std::vector<std::string>{});
}

TEST_CASE("chains that are asked for again come with their present content, others do not") {
  for (const DispatchForm form : {DispatchForm::kLinear, DispatchForm::kTree}) {
    DesiredTables desired(with_form(form));
    for (unsigned i = 0; i < 40; ++i) desired.upsert(port(i, {endpoint("10.244.1.5", static_cast<uint16_t>(i + 1))}));
    desired.upsert(test::web());
    Kernel all(desired);
    desired.take_changes(all);

    for (const auto& [id, rules] : all.chains) {
      Kernel again(desired);
      desired.replay({id}, again);
      CHECK(again.written == std::set<ChainId>{id});
      CHECK(again.chains.at(id) == rules);
      CHECK(again.removed.empty());
    }
    const ChainId unknown{Table::kNat, ChainName("KUBE-SVC-UNKNOWN")};
    Kernel none(desired);
    desired.replay({unknown}, none);
    CHECK(none.written.empty());
    CHECK(none.removed == std::set<ChainId>{unknown});

    Kernel everything(desired);
    desired.replay_all(everything);
    CHECK(everything.chains == all.chains);
    CHECK(everything.early == std::vector<std::string>{});

    std::set<ChainId> wanted;
    desired.for_each_wanted([&](const WantedChain& one) {
      CHECK(wanted.insert(one.id).second);
      CHECK(desired.wants(one.id));
      if (one.digest) CHECK(*one.digest == digest_of(all.chains.at(one.id)));
    });
    CHECK(wanted.size() == all.chains.size());
  }
}

TEST_CASE("any history of views, in any form, ends in the chains of its outcome") {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    CompileOptions options = with_form(DispatchForm::kAuto, 15);
    DesiredTables desired(options);
    Kernel kernel(desired);
    std::map<std::string, ServicePortView> views;
    for (int change = 0; change < 300; ++change) {
      const unsigned number = below(40);
      const std::string name = "demo/s" + std::to_string(number);
      if (below(3) == 0) {
        views.erase(name);
        desired.erase({name, Protocol::kTcp});
      } else {
        ServicePortView view = port(number, {});
        for (unsigned i = below(4); i > 0; --i)
          view.endpoints.push_back(endpoint("10.244." + std::to_string(i) + ".1", 80, below(2) == 0));
        view.has_endpoints = !view.endpoints.empty();
        if (below(3) == 0) view.node_port = static_cast<std::uint16_t>(30000 + number);
        if (below(4) == 0) view.external_ips = {Address{Family::kIpv4, {192, 0, 2, static_cast<uint8_t>(number)}}};
        view.external_policy_local = below(2) == 0;
        view.internal_policy_local = below(4) == 0;
        views[name] = view;
        desired.upsert(view);
      }
      if (below(60) == 0) {
        options.form = static_cast<DispatchForm>(below(3));
        desired.set_options(options);
      }
      if (below(4) != 0) continue;
      kernel.forget();
      desired.take_changes(kernel);
      REQUIRE(kernel.broken_jumps() == std::vector<std::string>{});
      REQUIRE(kernel.early == std::vector<std::string>{});
      REQUIRE(desired.rules(Table::kNat) == rules_in(kernel, Table::kNat));
      REQUIRE(desired.rules(Table::kFilter) == rules_in(kernel, Table::kFilter));
    }
    kernel.forget();
    desired.take_changes(kernel);
    INFO("seed " << seed);
    REQUIRE(kernel.chains == fresh_chains(options, views));
  }
}

}  // namespace kubenatd::rules::iptables
