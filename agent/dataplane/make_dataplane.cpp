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

}  // namespace kubenatd::agent::dataplane
