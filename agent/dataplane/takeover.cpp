#include "agent/dataplane/takeover.h"

#include <algorithm>
#include <utility>

namespace kubenatd::agent::dataplane {

using rules::hostport::Claim;

std::vector<Claim> Takeover::look(std::vector<Claim> claims, const rules::hostport::HostPorts& host_ports, Time now) {
  again_ = false;
  any_claims_ = !claims.empty();
  ripe_.clear();
  if (!host_ports.known_pods().current) {
    dead_since_.clear();
    return claims;
  }
  std::map<Claim, Time> dead;
  for (Claim& claim : host_ports.dead_among(claims)) {
    const auto before = dead_since_.find(claim);
    const Time since = before == dead_since_.end() ? now : before->second;
    if (since + kGrace <= now) ripe_.push_back(claim);
    dead.emplace(std::move(claim), since);
  }
  dead_since_ = std::move(dead);
  std::erase_if(claims, [&](const Claim& claim) { return std::ranges::find(ripe_, claim) != ripe_.end(); });
  return claims;
}

bool Takeover::must_look(Time now) const {
  if (again_) return true;
  const auto first = due();
  return first && *first <= now;
}

std::vector<Claim> Takeover::removed() {
  for (const Claim& claim : ripe_) dead_since_.erase(claim);
  return std::exchange(ripe_, {});
}

std::optional<Time> Takeover::due() const {
  if (again_ && any_claims_) return Time{};
  std::optional<Time> first;
  for (const auto& [claim, since] : dead_since_)
    if (!first || since + kGrace < *first) first = since + kGrace;
  return first;
}

}  // namespace kubenatd::agent::dataplane
