#include "rules/hostport/host_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"

namespace kubenatd::rules::hostport {

std::string to_text(const Remark& remark) {
  const std::string port = fmt::format("Pod {}: hostPort {}", remark.pod, to_text(remark.mapping));
  if (!remark.owner) return port + " is no longer withheld";
  if (!remark.fault.empty()) return fmt::format("{} is withheld: {} {}", port, *remark.owner, remark.fault);
  return fmt::format("{} is withheld: {} serves it already", port, *remark.owner);
}

std::string to_text_of_removed(const Claim& claim) {
  const Mapping mapping{claim.protocol, claim.port, 0, claim.address};
  return fmt::format("the entry for hostPort {} of {} {}: it is removed", to_text(mapping), claim.owner,
                     fault_of(claim));
}

void HostPorts::set_pods(std::vector<PodPorts> pods) {
  std::ranges::sort(pods, {}, &PodPorts::id);
  if (pods == pods_) return;
  pods_ = std::move(pods);
  std::erase_if(refused_, [&](const auto& one) { return std::ranges::find(pods_, one.second) == pods_.end(); });
  update();
}

void HostPorts::set_foreign(std::vector<Claim> claims) {
  std::ranges::sort(claims);
  if (claims == foreign_) return;
  foreign_ = std::move(claims);
  update();
}

void HostPorts::set_known_pods(KnownPods pods) {
  if (pods == known_pods_) return;
  known_pods_ = std::move(pods);
  if (!foreign_.empty()) update();
}

std::vector<Claim> HostPorts::dead_among(const std::vector<Claim>& claims) const {
  std::vector<Claim> dead;
  std::ranges::copy_if(claims, std::back_inserter(dead), [&](const Claim& claim) {
    const auto wants = [&](const PodPorts& pod) {
      return std::ranges::any_of(pod.mappings, [&](const Mapping& mapping) {
        return overlap(mapping, claim.protocol, claim.port, claim.address);
      });
    };
    return std::ranges::any_of(pods_, wants) && judge(claim, known_pods_) == Verdict::kDead;
  });
  return dead;
}

void HostPorts::refuse(const std::string& id) {
  const auto pod = std::ranges::find(pods_, id, &PodPorts::id);
  if (pod == pods_.end() || !refused_.emplace(id, *pod).second) return;
  update();
}

void HostPorts::readmit(const std::string& id) {
  if (refused_.erase(id) != 0) update();
}

const Claim* HostPorts::claimed_by(const Mapping& mapping) const {
  const Claim* first = nullptr;
  for (const Claim& claim : foreign_) {
    if (!overlap(mapping, claim.protocol, claim.port, claim.address)) continue;
    // The dead one is what there is to say something about, and what goes.
    if (judge(claim, known_pods_) == Verdict::kDead) return &claim;
    if (first == nullptr) first = &claim;
  }
  return first;
}

void HostPorts::update() {
  std::map<ChainName, Chain> now;
  std::map<std::string, Withheld> withheld;
  for (const PodPorts& pod : pods_) {
    if (refused_.contains(pod.id)) continue;
    PodPorts in_force{.id = pod.id, .address = pod.address, .mappings = {}};
    for (const Mapping& mapping : pod.mappings) {
      if (const Claim* claim = claimed_by(mapping)) {
        withheld.emplace(pod.id + ' ' + to_text(mapping),
                         Withheld{pod.id, mapping, claim->owner,
                                  judge(*claim, known_pods_) == Verdict::kDead ? fault_of(*claim) : std::string()});
      } else {
        in_force.mappings.push_back(mapping);
      }
    }
    if (in_force.mappings.empty()) continue;
    ChainRules chain = compile_container(in_force);
    now.emplace(chain.id.name, Chain{std::move(in_force), digest_of(chain.rules)});
  }
  for (const auto& [key, port] : withheld) {
    const auto before = withheld_.find(key);
    if (before == withheld_.end() || before->second.owner != port.owner || before->second.fault != port.fault)
      remarks_.push_back({port.pod, port.mapping, port.owner, port.fault});
  }
  for (const auto& [key, port] : withheld_)
    if (!withheld.contains(key)) remarks_.push_back({port.pod, port.mapping, std::nullopt});
  withheld_ = std::move(withheld);
  // What there is to say is said with the next sync, even when that has nothing to write.
  changes_.any = changes_.any || !remarks_.empty();

  bool any = false;
  for (const auto& [name, chain] : now) {
    const auto before = chains_.find(name);
    if (before != chains_.end() && before->second.pod == chain.pod) continue;
    changes_.changed.insert(name);
    changes_.gone.erase(name);
    any = true;
  }
  for (const auto& [name, chain] : chains_) {
    if (now.contains(name)) continue;
    changes_.changed.erase(name);
    changes_.gone.insert(name);
    any = true;
  }
  chains_ = std::move(now);
  if (!any) return;
  changes_.any = true;
  ++version_;
}

std::vector<Remark> HostPorts::withheld() const {
  std::vector<Remark> all;
  for (const auto& [key, port] : withheld_) all.push_back({port.pod, port.mapping, port.owner, port.fault});
  return all;
}

std::vector<PodPorts> HostPorts::in_force() const {
  std::vector<PodPorts> pods;
  for (const auto& [name, chain] : chains_) pods.push_back(chain.pod);
  return pods;
}

std::optional<std::string> HostPorts::owner_of(const ChainName& chain, const Digest& rule) const {
  const auto found = chains_.find(chain);
  if (found != chains_.end()) return found->second.pod.id;
  if (chain.view() != kDnatChain) return std::nullopt;
  for (const auto& [name, one] : chains_)
    for (const Rule& entry : compile_entries(one.pod))
      if (digest_of(entry) == rule) return one.pod.id;
  return std::nullopt;
}

const PodPorts* HostPorts::wanted_by(const std::string& id) const {
  const auto found = std::ranges::find(pods_, id, &PodPorts::id);
  return found == pods_.end() ? nullptr : &*found;
}

std::vector<Rule> HostPorts::entries() const {
  std::vector<const PodPorts*> pods;
  for (const auto& [name, chain] : chains_) pods.push_back(&chain.pod);
  std::ranges::sort(pods, {}, &PodPorts::id);
  std::vector<Rule> rules;
  for (const PodPorts* pod : pods)
    for (Rule& rule : compile_entries(*pod)) rules.push_back(std::move(rule));
  return rules;
}

}  // namespace kubenatd::rules::hostport
