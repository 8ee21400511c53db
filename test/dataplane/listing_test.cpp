#include "test/dataplane/sync_support.h"

// What only looks changes nothing.
namespace kubenatd::agent::test {
namespace {

using Mode = config::Config::Mode;

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.ports[0].node_port = 30080;
  return {put(web), put(slice("web", {"10.244.1.5", "10.244.2.7"})), put(service("idle", "10.96.0.3")),
          put(service("six", "fd00:10:96::1")), put(slice("six", {"fd00:10:244:1::5"}))};
}

std::string rendered(const dataplane::Model& model) {
  std::string text;
  for (const rules::Family family : rules::kFamilies) text += model.dataplane(family).render();
  return text;
}

}  // namespace

TEST_CASE("what is wanted can be listed again and again, before the first sync and after it") {
  for (const Mode mode : {Mode::kIptables, Mode::kNftables}) {
    SYNC_TEST_WORLD();
    const config::Config config = config_of(mode);
    Agent agent(config);
    agent.reconciler().apply(objects());
    const std::string before = rendered(agent.model());
    CHECK(has_line(before, "10.96.0.1"));
    CHECK(has_line(before, "fd00:10:244:1::5"));
    CHECK(rendered(agent.model()) == before);
    // Listing has taken nothing away from the sync.
    CHECK(agent.sync().wrote());
    CHECK(difference(config, objects()) == "");
    CHECK(rendered(agent.model()) == before);
    agent.reconciler().apply({put(slice("web", {"10.244.1.5"}))});
    const std::string after = rendered(agent.model());
    CHECK_FALSE(has_line(after, "10.244.2.7"));
    CHECK(rendered(agent.model()) == after);
    CHECK(agent.sync().wrote());
    CHECK(rendered(agent.model()) == after);
  }
}

TEST_CASE("comparing and asking for the rules change neither the model nor the kernel") {
  for (const Mode mode : {Mode::kIptables, Mode::kNftables}) {
    SYNC_TEST_WORLD();
    const config::Config config = config_of(mode);
    {
      Agent agent(config);
      agent.apply(objects());
    }
    dataplane::Model model(config, environment());
    auto wanted = objects();
    wanted[1] = put(slice("web", {"10.244.1.5"}));
    (void)model.apply(wanted);
    netlink::NfTables tables = open_tables();
    const std::uint32_t before = generation();
    const auto look = [&] {
      std::string text;
      for (const rules::Family family : rules::kFamilies) {
        const dataplane::Dataplane& dataplane = std::as_const(model).dataplane(family);
        const auto diff = dataplane.diff(tables);
        REQUIRE(diff);
        for (const auto& object : diff->objects) text += to_text(object.object) + "\n";
        CHECK(dataplane.desired_ruleset(nullptr));
        CHECK(dataplane.desired_ruleset(&tables));
      }
      return text;
    };
    const std::string first = look();
    CHECK(first != "");
    CHECK(look() == first);
    CHECK(rendered(model) == rendered(model));
    CHECK(generation() == before);
  }
}

}  // namespace kubenatd::agent::test
