#include "test/unit/rules/desired_support.h"

/// Service ports that the kernel refuses, and how their rules lead back to them.
namespace kubenatd::rules::iptables {

TEST_CASE("a refused service port is out with all its rules until it changes or is let in") {
  DesiredTables desired(test::options());
  desired.upsert(test::web());
  desired.upsert(port(1));
  Kernel kernel(desired);
  desired.take_changes(kernel);
  kernel.forget();

  desired.refuse({"demo/web:http", Protocol::kTcp});
  desired.take_changes(kernel);
  CHECK(kernel.removed.size() == 3);
  CHECK(kernel.chains == fresh_chains(test::options(), {{"demo/s1", port(1)}}));
  std::size_t views = 0;
  desired.for_each_view([&](const ServicePortView& view) {
    ++views;
    CHECK(view.name == "demo/s1");
  });
  CHECK(views == 1);

  kernel.forget();
  desired.refuse({"demo/web:http", Protocol::kTcp});
  desired.refuse({"demo/nobody", Protocol::kTcp});
  CHECK_FALSE(desired.has_changes());

  SECTION("it changes") {
    desired.upsert(test::web_elsewhere());
    desired.take_changes(kernel);
    CHECK(kernel.chains ==
          fresh_chains(test::options(), {{"demo/s1", port(1)}, {"demo/web:http", test::web_elsewhere()}}));
  }
  SECTION("it is let in again, once") {
    desired.readmit({"demo/nobody", Protocol::kTcp});
    desired.readmit({"demo/s1", Protocol::kTcp});
    CHECK_FALSE(desired.has_changes());
    desired.readmit({"demo/web:http", Protocol::kTcp});
    desired.take_changes(kernel);
    CHECK(kernel.chains == fresh_chains(test::options(), {{"demo/s1", port(1)}, {"demo/web:http", test::web()}}));
    desired.readmit({"demo/web:http", Protocol::kTcp});
    CHECK_FALSE(desired.has_changes());
  }
}

TEST_CASE("the owner of a rule in a shared chain is known by the rule, whatever its comment says") {
  DesiredTables desired(test::options());
  desired.upsert(port(1));
  for (const bool usable : {true, false}) {
    ServicePortView view = test::web();
    view.protocol = Protocol::kSctp;
    view.node_port = 30080;
    view.health_check_node_port = 30099;
    view.external_ips = {*Address::parse("198.51.100.7")};
    view.has_endpoints = usable;
    if (!usable) view.endpoints.clear();
    desired.upsert(view);
    Kernel kernel(desired);
    desired.take_changes(kernel);
    const auto dispatch = compile_dispatch(view, test::options());
    REQUIRE(dispatch.size() >= 4);
    for (const DispatchRule& one : dispatch) {
      const Table table = chain_of(one.chain).table;
      CHECK(desired.owner_of(table, digest_of(one.rule)) == ServicePortKey{view.name, Protocol::kSctp});
      Rule other = one.rule;  // with the same comment
      other.destination = AddressMatch{*Prefix::parse("203.0.113.9/32")};
      CHECK_FALSE(desired.owner_of(table, digest_of(other)).has_value());
    }
  }
  CHECK_FALSE(desired.owner_of(Table::kNat, digest_of(Rule{})).has_value());
  for (const Rule& tail : compile_node_port_tail(test::options()))
    CHECK_FALSE(desired.owner_of(Table::kNat, digest_of(tail)).has_value());
}

}  // namespace kubenatd::rules::iptables
