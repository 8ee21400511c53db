#include "agent/dataplane/nftables/dataplane.h"

#include <utility>

#include "agent/dataplane/foreign_host_ports.h"
#include "agent/dataplane/nftables/desired_table.h"
#include "agent/dataplane/nftables/diff.h"
#include "agent/dataplane/nftables/live.h"
#include "agent/dataplane/nftables/options.h"
#include "rules/nftables/text.h"

namespace kubenatd::agent::dataplane::nftables {

using namespace rules::nftables;

NftablesDataplane::NftablesDataplane(rules::Family family, const NodeFacts& facts)
    : family_(family),
      wanted_{.elements = DesiredElements(ruleset_options(facts, family)),
              .host_ports = {},
              .refused_ports = {},
              .refused_pods = {}},
      // What ends at once owns nothing.
      sync_(family, wanted_, facts.config.once ? config::Settings::OwnTable::kOff : facts.config.own_table) {
  sync_.devices().want(facts.environment.fast_path_devices);
}

void NftablesDataplane::set_node(const NodeFacts& facts) {
  wanted_.elements.set_options(ruleset_options(facts, family_));
  sync_.devices().want(facts.environment.fast_path_devices);
}

FastPathState NftablesDataplane::fast_path() const {
  if (!sync_.has_flowtable()) return {};
  const FlowtableDevices& devices = sync_.devices();
  return {.in_force = wanted_.elements.options().fast_path,
          .devices = {devices.in_force().begin(), devices.in_force().end()},
          .problem = devices.problem()};
}

void NftablesDataplane::apply(const state::ViewChange& change) {
  const rules::ServicePortKey key{change.name, change.protocol};
  if (!wanted_.refused_ports.empty()) wanted_.refused_ports.forget(key);
  if (change.view) {
    wanted_.elements.upsert(*change.view);
  } else {
    wanted_.elements.erase(key);
  }
}

void NftablesDataplane::set_pods(std::vector<rules::hostport::PodPorts> pods) {
  replace_pods(wanted_.host_ports, wanted_.refused_pods, std::move(pods));
  sync_.look_at_others_again();
}

void NftablesDataplane::set_known_pods(rules::hostport::KnownPods pods) {
  wanted_.host_ports.set_known_pods(std::move(pods));
  sync_.look_at_others_again();
}

std::vector<RefusedObject> NftablesDataplane::refused() const {
  std::vector<RefusedObject> all;
  wanted_.refused_ports.for_each([&](const rules::ServicePortKey& key, const rules::Refusal& refusal) {
    all.push_back({RefusedObject::Kind::kServicePort, key.first, refusal});
  });
  wanted_.refused_pods.for_each([&](const std::string& id, const rules::Refusal& refusal) {
    all.push_back({RefusedObject::Kind::kPod, id, refusal});
  });
  return all;
}

std::string NftablesDataplane::render() const {
  const HostPortElements host_ports = emit_host_ports(wanted_.host_ports.in_force());
  return to_text(wanted_.elements, family_, {.order = {}, .host_ports = &host_ports}, sync_.devices().wanted());
}

rules::Result<NftablesDataplane::Beside> NftablesDataplane::beside_others(netlink::NfTables& kernel) const {
  rules::hostport::HostPorts host_ports = wanted_.host_ports;
  host_ports.set_foreign({});
  (void)host_ports.take_remarks();
  if (host_ports.any_wanted()) {
    const auto others = read_foreign_host_ports(kernel, family_);
    if (!others) return std::unexpected(others.error());
    host_ports.set_foreign(others->claims());
  }
  return Beside{.elements = emit_host_ports(host_ports.in_force()), .withheld = host_ports.take_remarks()};
}

rules::Result<Dataplane::Difference> NftablesDataplane::diff(netlink::NfTables& kernel) const {
  auto beside = beside_others(kernel);
  if (!beside) return std::unexpected(beside.error());
  auto objects = diff_with_live(kernel, wanted_.elements, beside->elements, sync_.devices().wanted());
  if (!objects) return std::unexpected(objects.error());
  return Difference{.objects = std::move(*objects), .host_ports = std::move(beside->withheld)};
}

rules::Result<rules::walk::Ruleset> NftablesDataplane::desired_ruleset(netlink::NfTables* kernel) const {
  rules::walk::Ruleset ruleset;
  if (kernel == nullptr) {
    const HostPortElements host_ports = emit_host_ports(wanted_.host_ports.in_force());
    add_desired_table(ruleset, family_, wanted_.elements, {.order = {}, .host_ports = &host_ports});
    return ruleset;
  }
  const auto beside = beside_others(*kernel);
  if (!beside) return std::unexpected(beside.error());
  const auto live = read_all_nftables_elements(*kernel, family_, wanted_.elements.ruleset());
  if (!live) return std::unexpected(live.error());
  // Beside a kernel's table, of whose large sets single keys are asked for, too.
  add_desired_table(ruleset, family_, wanted_.elements, {.order = order_of(*live), .host_ports = &beside->elements},
                    rules::walk::kManyElements);
  return ruleset;
}

}  // namespace kubenatd::agent::dataplane::nftables
