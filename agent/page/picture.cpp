#include "agent/page/picture.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "agent/base/printable.h"
#include "netlink/iptables/reader.h"
#include "netlink/walk/ruleset_reader.h"
#include "rules/digest.h"
#include "rules/iptables/address_tree.h"
#include "rules/text.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::agent::page {
namespace {

using Json = nlohmann::ordered_json;
using rules::walk::SetElement;
using rules::walk::WalkChain;
using rules::walk::WalkRule;
using rules::walk::WalkSet;
using rules::walk::WalkTable;

constexpr std::size_t kMostRules = 2000;  ///< of one family in the document
constexpr std::size_t kLongestRule = 600;
constexpr std::chrono::seconds kRulesetLasts{3};

struct LiveLine {
  rules::Digest digest;
  std::string text;
  std::string target;
  std::uint64_t packets = 0;
};

/// One chain of the kernel's; none: it is not there.
using LiveChain = std::optional<std::vector<LiveLine>>;

Json rule_json(const std::string& text, std::string_view state, std::string_view target = {}) {
  Json rule{{"text", base::one_line(text, kLongestRule)}, {"state", state}};
  if (!target.empty()) rule["to"] = target;
  return rule;
}

std::vector<const WalkRule*> rules_beyond(const WalkChain& chain, const WalkChain* base) {
  std::map<rules::Digest, std::size_t> there;
  if (base != nullptr)
    for (const WalkRule& rule : base->rules)
      if (rule.model) ++there[digest_of(*rule.model)];
  std::vector<const WalkRule*> more;
  for (const WalkRule& rule : chain.rules) {
    if (!rule.model) continue;
    const auto found = there.find(digest_of(*rule.model));
    if (found != there.end() && found->second != 0) {
      --found->second;
    } else {
      more.push_back(&rule);
    }
  }
  return more;
}

/// Draws the chains of one family in iptables mode.
class Chains {
 public:
  Chains(netlink::NfTables& kernel, const WantedService::Family& wanted) : kernel_(kernel), wanted_(wanted) {
    for (const rules::ServicePortView& port : wanted.ports) {
      if (has_cluster_ip(port)) addresses_.push_back(port.cluster_ip);
      addresses_.insert(addresses_.end(), port.external_ips.begin(), port.external_ips.end());
      addresses_.insert(addresses_.end(), port.load_balancer_ips.begin(), port.load_balancer_ips.end());
    }
  }

  Json draw() {
    for (const WalkTable& table : wanted_.rules.tables())
      for (const auto& [name, chain] : table.chains)
        if (base_of(table, name) == nullptr) own_.insert(name);
    Json boxes = Json::array();
    for (const WalkTable& table : wanted_.rules.tables()) {
      for (const auto& [name, chain] : table.chains) {
        const WalkChain* base = base_of(table, name);
        const auto rules = rules_beyond(chain, base);
        if (base == nullptr || !rules.empty()) boxes.push_back(box(table.name, name, base != nullptr, rules));
      }
    }
    return boxes;
  }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  const WalkChain* base_of(const WalkTable& table, const std::string& chain) const {
    const WalkTable* base = wanted_.none.find(table.family, table.name);
    return base == nullptr ? nullptr : base->chain(chain);
  }

  LiveChain read(rules::Table table, std::string_view chain) {
    std::vector<LiveLine> lines;
    const auto visit = [&](const netlink::iptables::LiveRule& rule) {
      lines.push_back({digest_of(rule.rule), rules::to_text(rule.rule, wanted_.family),
                       std::string(jump_target(rule.rule)), rule.packets});
    };
    const auto done =
        netlink::iptables::dump_rules(kernel_, wanted_.family, table, chain, visit, [&] { lines.clear(); });
    if (done) return lines;
    if (done.error().code != ENOENT) error_ = done.error().to_string();
    return std::nullopt;
  }

  /// A shared chain may be long, so only what concerns the Service is kept of it.
  std::vector<LiveLine> read_shared(rules::Table table, std::string_view chain, const std::set<rules::Digest>& wanted) {
    std::vector<LiveLine> lines;
    std::vector<std::string> branches;
    const auto visit = [&](const netlink::iptables::LiveRule& rule) {
      const std::string_view target = jump_target(rule.rule);
      if (rules::iptables::is_tree_chain(target)) {
        if (!rule.rule.destination || std::ranges::any_of(addresses_, [&](const rules::Address& address) {
              return rule.rule.destination->prefix.contains(address);
            }))
          branches.emplace_back(target);
        return;
      }
      const rules::Digest digest = digest_of(rule.rule);
      if (!wanted.contains(digest) && !own_.contains(target)) return;
      lines.push_back({digest, rules::to_text(rule.rule, wanted_.family), std::string(target), rule.packets});
    };
    const auto restart = [&] {
      lines.clear();
      branches.clear();
    };
    const auto done = netlink::iptables::dump_rules(kernel_, wanted_.family, table, chain, visit, restart);
    if (!done && done.error().code != ENOENT) error_ = done.error().to_string();
    if (++depth_ <= rules::iptables::kMaxLevels) {
      for (const std::string& branch : branches) {
        auto more = read_shared(table, branch, wanted);
        std::ranges::move(more, std::back_inserter(lines));
      }
    }
    --depth_;
    return lines;
  }

  Json box(const std::string& table, const std::string& name, bool shared, const std::vector<const WalkRule*>& wanted) {
    const auto kind = table == "nat" ? rules::Table::kNat : rules::Table::kFilter;
    std::map<rules::Digest, std::vector<const WalkRule*>> left;
    std::set<rules::Digest> digests;
    for (const WalkRule* rule : wanted) {
      left[digest_of(*rule->model)].push_back(rule);
      digests.insert(digest_of(*rule->model));
    }
    const bool is_known = table == "nat" || table == "filter";
    LiveChain live;
    if (is_known) live = shared ? read_shared(kind, name, digests) : read(kind, name);
    Json lines = Json::array();
    for (const LiveLine& line : live.value_or(std::vector<LiveLine>())) {
      if (++rules_ > kMostRules) break;
      const auto found = left.find(line.digest);
      const bool is_wanted = found != left.end() && !found->second.empty();
      if (is_wanted) found->second.pop_back();
      Json rule = rule_json(line.text, is_wanted ? "there" : "unwanted", line.target);
      rule["packets"] = line.packets;
      lines.push_back(std::move(rule));
    }
    for (const WalkRule* rule : wanted) {
      auto& rest = left[digest_of(*rule->model)];
      if (std::ranges::find(rest, rule) == rest.end() || ++rules_ > kMostRules) continue;
      lines.push_back(
          rule_json(rule->text, error_.empty() && is_known ? "missing" : "unknown", jump_target(*rule->model)));
    }
    return {{"table", table},
            {"name", name},
            {"shared", shared},
            {"missing", !shared && is_known && error_.empty() && !live.has_value()},
            {"rules", std::move(lines)}};
  }

  netlink::NfTables& kernel_;
  const WantedService::Family& wanted_;
  std::vector<rules::Address> addresses_;
  std::set<std::string, std::less<>> own_;
  std::size_t depth_ = 0;
  std::size_t rules_ = 0;
  std::string error_;
};

bool same_place(const SetElement& one, const SetElement& other) {
  return one.first == other.first && one.last == other.last;
}
bool same_data(const SetElement& one, const SetElement& other) {
  return one.data == other.data && one.verdict == other.verdict;
}

/// What the kernel's set has in the place of an element.
rules::walk::Found element_at(const rules::walk::Ruleset& ruleset, const WalkTable& table, const WalkSet& set,
                              const SetElement& element) {
  using Found = rules::walk::Found;
  if (!set.complete) return ruleset.look_up ? ruleset.look_up(table, set, element.first) : Found{};
  const auto found =
      std::ranges::find_if(set.elements, [&](const SetElement& one) { return same_place(one, element); });
  return found == set.elements.end() ? Found{Found::Answer::kAbsent, {}} : Found{Found::Answer::kThere, *found};
}

}  // namespace

std::shared_ptr<const WantedService> wanted_of(const dataplane::Model& model, const std::string& ns,
                                               const std::string& name) {
  auto wanted = std::make_shared<WantedService>();
  const auto mode = model.config().mode;
  wanted->iptables = mode == config::Config::Mode::kIptables;
  const std::string service = ns + "/" + name;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    WantedService::Family& one = wanted->families.emplace_back();
    one.family = family;
    model.dataplane(family).for_each_view([&](const rules::ServicePortView& view) {
      if (std::string_view(view.name).substr(0, view.name.find(':')) == service) one.ports.push_back(view);
    });
    if (one.ports.empty()) {
      wanted->families.pop_back();
      continue;
    }
    const auto dataplane = dataplane::make_dataplane(mode, family, model.facts(family));
    auto none = dataplane->desired_ruleset(nullptr);
    for (const rules::ServicePortView& port : one.ports)
      dataplane->apply({.family = family, .name = port.name, .protocol = port.protocol, .view = port});
    auto rules = dataplane->desired_ruleset(nullptr);
    if (!rules || !none) {
      wanted->error = (rules ? none : rules).error().to_string();
      continue;
    }
    one.rules = std::move(*rules);
    one.none = std::move(*none);
    for (rules::hostport::PodPorts& pod : model.dataplane(family).host_ports().in_force())
      if (std::ranges::any_of(one.ports, [&](const rules::ServicePortView& port) {
            return std::ranges::find(port.endpoints, pod.address, &rules::Endpoint::address) != port.endpoints.end();
          }))
        one.host_ports.push_back(std::move(pod));
  }
  return wanted;
}

rules::Status Picture::read_ruleset() {
  if (ruleset_ && Clock::now() < read_at_ + kRulesetLasts) return {};
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  auto ruleset =
      netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*kernel)), rules::walk::kManyRules);
  if (!ruleset) return std::unexpected(ruleset.error());
  ruleset_ = std::move(*ruleset);
  read_at_ = Clock::now();
  return {};
}

Json Picture::draw_chains(const WantedService::Family& wanted) {
  if (!kernel_) {
    auto kernel = netlink::NfTables::open();
    if (!kernel) return {{"error", kernel.error().to_string()}, {"boxes", Json::array()}};
    kernel_ = std::move(*kernel);
  }
  Chains chains(*kernel_, wanted);
  Json boxes = chains.draw();
  return {{"error", chains.error()}, {"boxes", std::move(boxes)}};
}

Json Picture::draw_elements(const WantedService::Family& wanted) {
  std::string error;
  if (const auto read = read_ruleset(); !read) error = read.error().to_string();
  Json boxes = Json::array();
  std::size_t rules = 0;
  for (const WalkTable& table : wanted.rules.tables()) {
    const WalkTable* base = wanted.none.find(table.family, table.name);
    const WalkTable* live = ruleset_ ? ruleset_->find(table.family, table.name) : nullptr;
    for (const auto& [name, set] : table.sets) {
      const WalkSet* base_set = base == nullptr ? nullptr : base->set(name);
      const WalkSet* live_set = live == nullptr ? nullptr : live->set(name);
      Json lines = Json::array();
      for (const SetElement& element : set.elements) {
        if (base_set != nullptr && std::ranges::any_of(base_set->elements, [&](const SetElement& one) {
              return same_place(one, element) && same_data(one, element);
            }))
          continue;
        if (++rules > kMostRules) break;
        using Answer = rules::walk::Found::Answer;
        const rules::walk::Found found = live_set == nullptr ? rules::walk::Found{Answer::kAbsent, {}}
                                                             : element_at(*ruleset_, *live, *live_set, element);
        const bool there = found.answer == Answer::kThere;
        // The numbers of endpoints follow from what was there before, so another one of them may have this place.
        const bool fits =
            there &&
            (same_data(found.element, element) ||
             std::ranges::any_of(set.elements, [&](const SetElement& one) { return same_data(found.element, one); }));
        const bool is_unknown = !error.empty() || found.answer == Answer::kUnknown;
        const std::string_view state = is_unknown ? "unknown" : fits ? "there" : "missing";
        lines.push_back(rule_json(rules::walk::nft::to_text(fits ? found.element : element, set), state));
        if (there && !fits) lines.push_back(rule_json(rules::walk::nft::to_text(found.element, *live_set), "unwanted"));
      }
      if (lines.empty()) continue;
      boxes.push_back({{"table", table.name},
                       {"name", "@" + name},
                       {"shared", true},
                       {"missing", live_set == nullptr && error.empty()},
                       {"rules", std::move(lines)}});
    }
  }
  return {{"error", std::move(error)}, {"boxes", std::move(boxes)}};
}

Json Picture::draw(const WantedService& wanted) {
  Json families = Json::array();
  for (const WantedService::Family& one : wanted.families) {
    Json family{{"family", name_of(one.family)}};
    family.update(wanted.iptables ? draw_chains(one) : draw_elements(one));
    Json host_ports = Json::array();
    for (const rules::hostport::PodPorts& pod : one.host_ports)
      for (const rules::hostport::Mapping& mapping : pod.mappings)
        host_ports.push_back(
            {{"port", to_text(mapping)}, {"to", rules::join_host_port(pod.address, mapping.container_port)}});
    family["hostPorts"] = std::move(host_ports);
    families.push_back(std::move(family));
  }
  return families;
}

}  // namespace kubenatd::agent::page
