#pragma once

#include <string>
#include <vector>

#include "rules/hostport/mapping.h"

namespace kubenatd::rules::hostport {

/// What is known, in one family, of the containers that entries of others may lead to.
struct KnownPods {
  struct Holder {
    Mapping mapping;
    Address address;  ///< of the pod
    bool operator==(const Holder&) const = default;
  };
  std::vector<Holder> holders;     ///< every hostPort of every Pod of this node that may run
  std::vector<Mapping> unsettled;  ///< hostPorts of Pods whose address is not told yet
  std::vector<Prefix> ranges;      ///< of this node's pods (Node.spec.podCIDRs); none: not known
  bool current = false;            ///< changes are heard of at present
  bool operator==(const KnownPods&) const = default;
};

/// What is at the end of an entry of another writer.
enum class Verdict : std::uint8_t {
  kServes,     ///< a Pod of this node that has this hostPort
  kUnknown,    ///< nothing that could be known: an address outside the range of this node's pods, or of no known range
  kUnsettled,  ///< maybe a Pod: the plugin writes its entry before the API tells of the Pod's address
  kDead,       ///< an address of this node's pods that no Pod has, or a Pod without this hostPort
};
/// Pure. Cost: goes through all hostPorts of the node.
[[nodiscard]] Verdict judge(const Claim& claim, const KnownPods& pods);

/// "leads to 10.244.1.99:80, where no Pod of this node has that hostPort": of an entry that is dead.
[[nodiscard]] std::string fault_of(const Claim& claim);

}  // namespace kubenatd::rules::hostport
