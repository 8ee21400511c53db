#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rules/hostport/mapping.h"
#include "rules/nftables/element.h"

namespace kubenatd::rules::nftables {

/// What host ports are in nftables mode.
struct HostPortElements {
  struct Forward {
    ElementValue value;
    std::string pod;  ///< PodPorts::id
  };
  std::map<ElementKey, Forward> forwards;  ///< port of the node -> pod; of two for one port the first has it
  std::set<ElementKey> masqueraded;        ///< who asks and which pod answers: the pod itself, and localhost
};

/// The elements of the pods of one family. Pure.
[[nodiscard]] HostPortElements emit_host_ports(const std::vector<hostport::PodPorts>& pods);

}  // namespace kubenatd::rules::nftables
