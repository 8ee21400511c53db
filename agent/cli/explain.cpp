#include "agent/explain/explain.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/cli/explain_sources.h"
#include "agent/explain/show.h"
#include "netlink/host/conntrack.h"
#include "netlink/host/routes.h"
#include "rules/former_walk/save_text.h"

namespace kubenatd::agent::cli {
namespace {

using Source = ExplainOptions::Source;
using Rulesets = std::array<std::optional<rules::former_walk::Ruleset>, 2>;

constexpr std::size_t kLargestSave = std::size_t{256} * 1024 * 1024;
constexpr std::size_t kMostFlows = 10;

rules::Result<rules::former_walk::SavedRules> read_saved(const std::vector<std::filesystem::path>& files) {
  rules::former_walk::SavedRules all;
  for (const auto& file : files) {
    const auto text = base::read_file(file, kLargestSave, "read");
    if (!text) return std::unexpected(text.error());
    auto saved = rules::former_walk::read_save_text(*text);
    if (!saved) return rules::fail(file.string(), saved.error().operation, saved.error().cause);
    for (const std::string& remark : saved->remarks) base::log_info("saved rules", {{"remark", remark}});
    for (std::size_t i = 0; i < all.families.size(); ++i)
      if (saved->families[i]) all.families[i] = std::move(saved->families[i]);
  }
  return all;
}

bool uses_nfacct(const Rulesets& rulesets) {
  bool found = false;
  for (const auto& ruleset : rulesets) {
    if (!ruleset) continue;
    ruleset->for_each([&](const rules::former_walk::WalkChain& chain) {
      for (const auto& rule : chain.rules)
        for (const auto& match : rule.rule.matches) found = found || std::holds_alternative<rules::NfacctMatch>(match);
    });
  }
  return found;
}

std::vector<explain::KnownFlow> flows_of(const rules::former_walk::Packet& packet, bool any_source) {
  std::vector<explain::KnownFlow> flows;
  const auto look = [&](const netlink::host::ConntrackFlow& flow) {
    if (flows.size() < kMostFlows && flow.original_destination == packet.destination &&
        flow.original_destination_port == packet.destination_port &&
        (any_source || flow.original_source == packet.source))
      flows.push_back({rules::join_host_port(flow.original_source, flow.original_source_port) + " -> " +
                           rules::join_host_port(flow.original_destination, flow.original_destination_port),
                       rules::join_host_port(flow.reply_source, flow.reply_source_port)});
    return false;  // only looked at: nothing is stale
  };
  const auto swept =
      netlink::host::sweep_conntrack(packet.destination.family, static_cast<std::uint8_t>(packet.protocol), look);
  if (!swept) base::log_info("connections are not shown", {{"reason", swept.error().to_string()}});
  return flows;
}

bool is_link_local(const rules::Address& address) {
  return rules::Prefix::parse("fe80::/10")->contains(address);
}

/// Fills in what objects, machine and options tell about the node.
rules::Status add_node(const ExplainOptions& options, const dataplane::Model* model, explain::ExplainContext& context) {
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
  if (auto routes = netlink::host::main_routes()) {
    for (auto& route : *routes) context.surroundings.routes.push_back({route.destination, std::move(route.interface)});
  } else {
    base::log_info("routes are not known", {{"reason", routes.error().to_string()}});
  }
  return {};
}

/// The kernel's rules of every family, and the desired ones beside what others serve.
rules::Status add_live(const dataplane::Model& model, explain::ExplainContext& context) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    const auto index = static_cast<std::size_t>(family);
    auto live = model.dataplane(family).live_rules(*kernel);
    if (!live) return std::unexpected(live.error());
    auto desired = model.dataplane(family).desired_rules(&*kernel);
    if (!desired) return std::unexpected(desired.error());
    context.rules[index] = std::move(live->rules);
    context.table[index] = std::move(live->table);
    context.desired[index] = std::move(desired->rules);
    context.desired_table[index] = std::move(desired->table);
  }
  context.source = "live";
  return {};
}

/// The rules to walk, and those to compare them with.
rules::Status add_rules(const ExplainOptions& options, const dataplane::Model* model,
                        explain::ExplainContext& context) {
  if (model == nullptr) return {};
  if (context.source.empty() && options.source != Source::kDesired) {
    const auto live = add_live(*model, context);
    if (!live && options.source == Source::kLive) return live;
    if (!live)
      base::log_info("the kernel's rules cannot be read; the desired ones are walked",
                     {{"reason", live.error().to_string()}});
  }
  for (const rules::Family family : rules::kFamilies) {
    const auto index = static_cast<std::size_t>(family);
    model->dataplane(family).for_each_view(
        [&](const rules::ServicePortView& view) { context.views[index].push_back(view); });
    if (context.source == "live") continue;
    auto desired = model->dataplane(family).desired_rules(nullptr);
    if (!desired) return std::unexpected(desired.error());
    if (context.source == "saved") {
      // A saved text has iptables' tables: a mode that keeps its rules elsewhere has nothing to compare them with.
      context.desired[index] = std::move(desired->rules);
      continue;
    }
    context.rules[index] = std::move(desired->rules);
    context.table[index] = std::move(desired->table);
  }
  if (context.source.empty()) context.source = "desired";
  return {};
}

}  // namespace

rules::Result<ExplainSources> read_explain_sources(const ExplainOptions& asked, const config::FlagValues& flags) {
  ExplainSources sources;
  explain::ExplainContext& context = sources.context;
  std::optional<daemon::Inputs>& inputs = sources.inputs;
  if (!asked.saved.empty()) {
    auto saved = read_saved(asked.saved);
    if (!saved) return std::unexpected(saved.error());
    context.rules = std::move(saved->families);
    context.source = "saved";
  }
  if (asked.saved.empty() || !flags.settings.manifests.empty()) {
    auto read = daemon::read_inputs(flags, daemon::Purpose::kExplain);
    if (!read) return std::unexpected(read.error());
    inputs = std::move(*read);
    // Counting is the kernel's matter: what is compared with is made as it would be where these rules are.
    config::Environment environment = inputs->model->environment();
    environment.has_nfacct = context.source == "saved" ? uses_nfacct(context.rules)
                                                       : asked.source != Source::kDesired && daemon::counters_exist();
    inputs->model->set_environment(std::move(environment));
    if (auto gathered =
            daemon::gather(*inputs, [&](const objects::ObjectEvent& event) { context.inventory.take(event); });
        !gathered)
      return std::unexpected(gathered.error());
  }
  const dataplane::Model* model = inputs ? inputs->model.get() : nullptr;
  if (auto added = add_rules(asked, model, context); !added) return std::unexpected(added.error());
  if (auto added = add_node(asked, model, context); !added) return std::unexpected(added.error());
  return sources;
}

int explain(const Options& options) {
  const ExplainOptions& asked = options.explain;
  const auto question = explain::parse_question(asked.question, asked.from);
  if (!question) {
    base::log_error(question.error().to_string(), {});
    return kExitUsage;
  }
  auto sources = read_explain_sources(asked, options.flags);
  if (!sources) {
    base::log_error(sources.error().to_string(), {});
    return kExitNoAnswer;
  }
  explain::ExplainContext& context = sources->context;
  if (context.source == "live")
    context.flows = [&](const rules::former_walk::Packet& packet) { return flows_of(packet, !question->from); };

  const auto answer = explain::explain(context, *question);
  if (!answer) {
    base::log_error(answer.error().to_string(), {});
    return kExitNoAnswer;
  }
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const std::string text = asked.json ? explain::to_json(*answer) : explain::to_text(*answer, colour);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return kExitNoAnswer;
  return explain::has_problem(*answer) ? kExitFailed : kExitOk;
}

}  // namespace kubenatd::agent::cli
