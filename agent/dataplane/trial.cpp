#include "agent/dataplane/trial.h"

#include "agent/dataplane/iptables/trial.h"
#include "agent/dataplane/nftables/trial.h"

namespace kubenatd::agent::dataplane {

using config::Config;

netlink::Batch make_trial(Config::Mode mode, rules::Family family, const NodeFacts& facts) {
  switch (mode) {
    case Config::Mode::kNftables: return nftables::make_trial(family, facts);
    case Config::Mode::kIptables: break;
  }
  return iptables::make_trial(family, facts);
}

}  // namespace kubenatd::agent::dataplane
