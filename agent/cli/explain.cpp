#include "agent/explain/explain.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "agent/cli/commands.h"
#include "agent/cli/inputs.h"
#include "agent/cli/log.h"
#include "agent/config/file.h"
#include "agent/explain/live_ruleset.h"
#include "agent/explain/show.h"
#include "agent/sync/desired_listing.h"
#include "netlink/conntrack.h"
#include "netlink/routes.h"
#include "rules/walk/save_text.h"

namespace kubenatd::agent {
namespace {

using Source = ExplainOptions::Source;
using Rulesets = std::array<std::optional<rules::walk::Ruleset>, 2>;

constexpr std::size_t kLargestSave = std::size_t{256} * 1024 * 1024;
constexpr std::size_t kMostFlows = 10;

rules::Result<rules::walk::SavedRules> read_saved(const std::vector<std::filesystem::path>& files) {
  rules::walk::SavedRules all;
  for (const auto& file : files) {
    const auto text = read_file(file, kLargestSave, "read");
    if (!text) return std::unexpected(text.error());
    auto saved = rules::walk::read_save_text(*text);
    if (!saved) return rules::fail(file.string(), saved.error().operation, saved.error().cause);
    for (const std::string& remark : saved->remarks) log_info("saved rules", {{"remark", remark}});
    for (std::size_t i = 0; i < all.families.size(); ++i)
      if (saved->families[i]) all.families[i] = std::move(saved->families[i]);
  }
  return all;
}

rules::Result<Rulesets> read_live(bool ipv6) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  Rulesets rulesets;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !ipv6) continue;
    auto ruleset = read_live_ruleset(*kernel, family);
    if (!ruleset) return std::unexpected(ruleset.error());
    rulesets[static_cast<std::size_t>(family)] = std::move(*ruleset);
  }
  return rulesets;
}

Rulesets read_desired(Model& model) {
  Rulesets rulesets;
  for (const rules::Family family : rules::kFamilies) {
    rules::walk::Ruleset& ruleset = rulesets[static_cast<std::size_t>(family)].emplace(family);
    for (const rules::TableText& table : list_desired(model.desired(family))) add_table(ruleset, table);
  }
  return rulesets;
}

bool uses_nfacct(const Rulesets& rulesets) {
  bool found = false;
  for (const auto& ruleset : rulesets) {
    if (!ruleset) continue;
    ruleset->for_each([&](const rules::walk::WalkChain& chain) {
      for (const auto& rule : chain.rules)
        for (const auto& match : rule.rule.matches) found = found || std::holds_alternative<rules::NfacctMatch>(match);
    });
  }
  return found;
}

std::vector<KnownFlow> flows_of(const rules::walk::Packet& packet, bool any_source) {
  std::vector<KnownFlow> flows;
  const auto look = [&](const netlink::ConntrackFlow& flow) {
    if (flows.size() < kMostFlows && flow.original_destination == packet.destination &&
        flow.original_destination_port == packet.destination_port &&
        (any_source || flow.original_source == packet.source))
      flows.push_back({rules::join_host_port(flow.original_source, flow.original_source_port) + " -> " +
                           rules::join_host_port(flow.original_destination, flow.original_destination_port),
                       rules::join_host_port(flow.reply_source, flow.reply_source_port)});
    return false;  // only looked at: nothing is stale
  };
  const auto swept =
      netlink::sweep_conntrack(packet.destination.family, static_cast<std::uint8_t>(packet.protocol), look);
  if (!swept) log_info("connections are not shown", {{"reason", swept.error().to_string()}});
  return flows;
}

bool is_link_local(const rules::Address& address) {
  return rules::Prefix::parse("fe80::/10")->contains(address);
}

/// Fills in what objects, machine and options tell about the node.
rules::Status add_node(const ExplainOptions& options, const Model* model, ExplainContext& context) {
  const bool elsewhere = !options.saved.empty();
  std::vector<rules::Address> addresses;
  for (const std::string& text : options.node_addresses) {
    const auto address = rules::Address::parse(text);
    if (!address) return rules::fail("--node-address " + text, "read", "it is not an IP address");
    addresses.push_back(*address);
  }
  if (model != nullptr) {
    context.node_name = model->environment().node_name;
    if (const auto& node = model->state().node())
      addresses.insert(addresses.end(), node->addresses.begin(), node->addresses.end());
    // A saved text is of another machine, maybe: what this one has says nothing.
    if (!elsewhere) {
      for (const rules::Address& address : model->environment().local_addresses) {
        context.surroundings.local.push_back(address);
        if (!address.is_loopback() && !is_link_local(address)) addresses.push_back(address);
      }
    }
  }
  const auto& machine = context.surroundings.local;
  const bool live = context.source == "live";
  for (const rules::Address& address : addresses)
    if (!live || std::ranges::find(machine, address) != machine.end()) context.node_addresses.push_back(address);
  if (!live) context.surroundings.local.insert(context.surroundings.local.end(), addresses.begin(), addresses.end());
  if (!live) return {};
  if (auto routes = netlink::main_routes()) {
    for (auto& route : *routes) context.surroundings.routes.push_back({route.destination, std::move(route.interface)});
  } else {
    log_info("routes are not known", {{"reason", routes.error().to_string()}});
  }
  return {};
}

/// The rules to walk, and those to compare them with.
rules::Status add_rules(const ExplainOptions& options, Model* model, ExplainContext& context) {
  if (!options.saved.empty()) {
    auto saved = read_saved(options.saved);
    if (!saved) return std::unexpected(saved.error());
    context.rules = std::move(saved->families);
    context.source = "saved";
  } else if (options.source != Source::kDesired) {
    auto live = read_live(model->environment().ipv6);
    if (!live && options.source == Source::kLive) return std::unexpected(live.error());
    if (!live)
      log_info("the kernel's rules cannot be read; the desired ones are walked",
               {{"reason", live.error().to_string()}});
    if (live) context.rules = std::move(*live);
    if (live) context.source = "live";
  }
  if (model == nullptr) return {};
  if (!context.source.empty()) {
    Environment environment = model->environment();
    environment.has_nfacct = uses_nfacct(context.rules);
    model->set_environment(std::move(environment));
    context.desired = read_desired(*model);
  } else {
    context.rules = read_desired(*model);
    context.source = "desired";
  }
  for (const rules::Family family : rules::kFamilies)
    model->desired(family).for_each_view(
        [&](const rules::ServicePortView& view) { context.views[static_cast<std::size_t>(family)].push_back(view); });
  return {};
}

/// The rules of nftables mode cannot be walked. On request the same objects are explained as iptables mode treats them.
rules::Status leave_nftables_mode(const ExplainOptions& asked, Inputs& inputs) {
  if (inputs.model->config().mode != Config::Mode::kNftables || !asked.saved.empty()) return {};
  if (asked.source != Source::kDesired)
    return rules::fail("rules of nftables mode", "walk",
                       "not possible yet; --desired says what iptables mode does with the same objects");
  log_warning("the rules of nftables mode cannot be walked; these are those of iptables mode for the same objects");
  Config config = inputs.model->config();
  config.mode = Config::Mode::kIptables;
  inputs.model = std::make_unique<Model>(std::move(config), inputs.model->environment());
  return {};
}

}  // namespace

int explain(const Options& options) {
  const ExplainOptions& asked = options.explain;
  const auto question = parse_question(asked.question, asked.from);
  if (!question) {
    log_error(question.error().to_string(), {});
    return kExitUsage;
  }
  ExplainContext context;
  std::optional<Inputs> inputs;
  if (asked.saved.empty() || !options.manifests.empty()) {
    auto read = read_inputs(options, false);
    if (!read) {
      log_error(read.error().to_string(), {});
      return kExitNoAnswer;
    }
    inputs = std::move(*read);
    if (auto walkable = leave_nftables_mode(asked, *inputs); !walkable) {
      log_error(walkable.error().to_string(), {});
      return kExitNoAnswer;
    }
    if (auto gathered = gather(*inputs, [&](const ObjectEvent& event) { context.inventory.take(event); }); !gathered) {
      log_error(gathered.error().to_string(), {});
      return kExitNoAnswer;
    }
  }
  Model* model = inputs ? inputs->model.get() : nullptr;
  auto ready = add_rules(asked, model, context);
  if (ready) ready = add_node(asked, model, context);
  if (!ready) {
    log_error(ready.error().to_string(), {});
    return kExitNoAnswer;
  }
  if (context.source == "live")
    context.flows = [&](const rules::walk::Packet& packet) { return flows_of(packet, !question->from); };

  const auto answer = agent::explain(context, *question);
  if (!answer) {
    log_error(answer.error().to_string(), {});
    return kExitNoAnswer;
  }
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const std::string text = asked.json ? to_json(*answer) : to_text(*answer, colour);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return kExitNoAnswer;
  return has_problem(*answer) ? kExitFailed : kExitOk;
}

}  // namespace kubenatd::agent
