#include "agent/cli/explain_sources.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/base/log.h"
#include "agent/daemon/inputs.h"
#include "agent/explain/explain.h"
#include "agent/explain/sources.h"
#include "netlink/core/nf_tables.h"
#include "netlink/host/conntrack.h"
#include "netlink/host/surroundings.h"
#include "netlink/walk/ruleset_reader.h"

namespace kubenatd::agent::cli {
namespace {

using Source = ExplainOptions::Source;

constexpr std::size_t kMostFlows = 10;
/// When others write all the time, an answer that says so has to do.
constexpr int kAnswerTries = 3;

std::vector<explain::KnownFlow> flows_of(const rules::walk::Packet& packet, bool any_source) {
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

/// Of whom the packet comes, as far as that says by which interface it arrives: who asks, or somebody outside
/// (RFC 5737, RFC 3849).
rules::Address asker(const explain::Question& question, rules::Family family) {
  if (question.from) return *question.from;
  return *rules::Address::parse(family == rules::Family::kIpv4 ? "192.0.2.1" : "2001:db8::1");
}

/// What the kernel knows of this node besides rules.
rules::Status add_live_node(const explain::Question& question, explain::ExplainContext& context) {
  const auto& address = question.address ? question.address : question.from;
  const rules::Family family = address ? address->family : rules::Family::kIpv4;
  std::string interface = context.in_interface;
  if (interface.empty()) interface = netlink::host::arrival_interface(asker(question, family));
  auto node = netlink::host::live_surroundings(family, interface);
  if (!context.in_interface.empty() && node.surroundings.interface_facts &&
      !node.surroundings.interface_facts(context.in_interface))
    return rules::fail("--in-interface " + context.in_interface, "look up", "this node has no such interface");
  context.surroundings = std::move(node.surroundings);
  context.not_looked_at = std::move(node.not_looked_at);
  return {};
}

/// Fills in what objects, machine and options tell about the node.
rules::Status add_node(const ExplainOptions& options, const explain::Question& question, const dataplane::Model* model,
                       explain::ExplainContext& context) {
  const bool elsewhere = !options.saved.empty();
  const bool live = context.source == "live";
  if (live)
    if (auto added = add_live_node(question, context); !added) return added;
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
        if (!live) context.surroundings.local.push_back(address);
        if (!address.is_loopback() && !is_link_local(address)) addresses.push_back(address);
      }
      if (!live) context.surroundings.local_prefixes = model->environment().local_prefixes;
    }
  }
  const auto& machine = context.surroundings.local;
  for (const rules::Address& address : addresses)
    if (!live || std::ranges::find(machine, address) != machine.end()) context.node_addresses.push_back(address);
  if (!live) context.surroundings.local.insert(context.surroundings.local.end(), addresses.begin(), addresses.end());
  return {};
}

/// The kernel's rules, and the desired ones beside what others serve.
rules::Status add_live(const dataplane::Model& model, std::size_t at_once, explain::ExplainContext& context) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  // What takes longer comes first: nothing is to change between the kernel's rules and the walk.
  auto desired = explain::desired_rules(model, &*kernel);
  if (!desired) return std::unexpected(desired.error());
  auto live = explain::read_live_rules(at_once);
  if (!live) return std::unexpected(live.error());
  context.rules = std::move(*live);
  context.desired = std::move(*desired);
  context.source = "live";
  return {};
}

/// The rules to walk, and those to compare them with.
rules::Status add_rules(const ExplainOptions& options, const dataplane::Model* model, std::size_t at_once,
                        explain::ExplainContext& context) {
  if (model == nullptr) return {};
  if (context.source.empty() && options.source != Source::kDesired) {
    const auto live = add_live(*model, at_once, context);
    if (!live && options.source == Source::kLive) return live;
    if (!live)
      base::log_info("the kernel's rules cannot be read; the desired ones are walked",
                     {{"reason", live.error().to_string()}});
  }
  explain::add_views(*model, context);
  if (context.source == "live") return {};
  auto desired = explain::desired_rules(*model, nullptr);
  if (!desired) return std::unexpected(desired.error());
  if (context.source == "saved") {
    // A text may not have the tables of this mode at all: then there is nothing to compare.
    if (explain::shares_table(*desired, context.rules)) context.desired = std::move(*desired);
    return {};
  }
  context.rules = std::move(*desired);
  context.source = "desired";
  return {};
}

rules::Status read_saved(const ExplainOptions& options, explain::ExplainContext& context) {
  std::vector<std::string> remarks;
  auto saved = explain::read_saved_files(options.saved, remarks);
  for (const std::string& remark : remarks) base::log_info("saved rules", {{"remark", remark}});
  if (!saved) return std::unexpected(saved.error());
  context.rules = std::move(*saved);
  context.source = "saved";
  return {};
}

/// Objects, and the model that is made of them.
rules::Status read_objects(const ExplainOptions& asked, const config::FlagValues& flags,
                           explain::ExplainContext& context) {
  auto inputs = daemon::read_inputs(flags, daemon::Purpose::kExplain);
  if (!inputs) return std::unexpected(inputs.error());
  // Counting is the kernel's matter: what is compared with is made as it would be where these rules are.
  config::Environment environment = inputs->model->environment();
  environment.has_nfacct = context.source == "saved" ? explain::uses_nfacct(context.rules)
                                                     : asked.source != Source::kDesired && daemon::counters_exist();
  inputs->model->set_environment(std::move(environment));
  const auto gathered = daemon::gather(
      *inputs, [&](const objects::ObjectEvent& event) { context.inventory.take(event); },
      [&](objects::PassedOver one) { context.passed.add(std::move(one)); });
  if (!gathered) return std::unexpected(gathered.error());
  context.model = std::move(inputs->model);
  return {};
}

/// `at_once` as of netlink::walk::read_ruleset().
rules::Result<explain::ExplainContext> read_sources(const ExplainOptions& asked, const config::FlagValues& flags,
                                                    const explain::Question& question, std::size_t at_once) {
  explain::ExplainContext context;
  context.in_interface = asked.in_interface;
  if (!asked.saved.empty())
    if (auto saved = read_saved(asked, context); !saved) return std::unexpected(saved.error());
  if (asked.saved.empty() || !flags.settings.manifests.empty()) {
    if (auto read = read_objects(asked, flags, context); !read) return std::unexpected(read.error());
  }
  const dataplane::Model* model = context.model.get();
  if (auto added = add_rules(asked, model, at_once, context); !added) return std::unexpected(added.error());
  if (auto added = add_node(asked, question, model, context); !added) return std::unexpected(added.error());
  if (context.source == "live")
    context.flows = [any_source = !question.from](const rules::walk::Packet& packet) {
      return flows_of(packet, any_source);
    };
  return context;
}

}  // namespace

rules::Result<explain::ExplainContext> read_explain_sources(const ExplainOptions& asked,
                                                            const config::FlagValues& flags,
                                                            const explain::Question& question) {
  return read_sources(asked, flags, question, netlink::walk::kAllAtOnce);
}

rules::Result<explain::Answer> answer_question(const ExplainOptions& asked, const config::FlagValues& flags,
                                               const explain::Question& question) {
  auto context = read_sources(asked, flags, question, rules::walk::kManyRules);
  if (!context) return std::unexpected(context.error());
  for (int tries = 1;; ++tries) {
    auto answer = explain::explain(*context, question);
    if (!answer || !explain::met_changes(*answer) || tries == kAnswerTries) return answer;
    const auto again = add_live(*context->model, rules::walk::kManyRules, *context);
    if (!again) return std::unexpected(again.error());
  }
}

}  // namespace kubenatd::agent::cli
