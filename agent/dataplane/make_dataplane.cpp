#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/iptables/dataplane.h"
#include "agent/dataplane/nftables/dataplane.h"

namespace kubenatd::agent::dataplane {

using config::Config;

std::unique_ptr<Dataplane> make_dataplane(Config::Mode mode, rules::Family family, const NodeFacts& facts) {
  switch (mode) {
    case Config::Mode::kNftables: return std::make_unique<nftables::NftablesDataplane>(family, facts);
    case Config::Mode::kIptables: break;
  }
  return std::make_unique<iptables::IptablesDataplane>(family, facts);
}

std::vector<std::unique_ptr<Dataplane>> other_dataplanes(std::optional<Config::Mode> besides, rules::Family family,
                                                         const NodeFacts& facts) {
  std::vector<std::unique_ptr<Dataplane>> others;
  for (const Config::Mode other : {Config::Mode::kIptables, Config::Mode::kNftables})
    if (other != besides) others.push_back(make_dataplane(other, family, facts));
  return others;
}

}  // namespace kubenatd::agent::dataplane
