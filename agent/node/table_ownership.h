#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/config/settings.h"
#include "agent/dataplane/kernel.h"
#include "agent/node/finding.h"

/// Whether nftables mode can keep other programs from changing its table, and who owns that now.
namespace kubenatd::agent::node {

struct TableOwners {
  std::optional<bool> kernel_can;   ///< none: it could not be found out
  std::vector<std::string> owners;  ///< "ip kubenatd by kubenatd (4711)"
};

/// Of this network namespace.
[[nodiscard]] TableOwners read_table_owners(dataplane::Kernel& kernel);
/// Pure.
[[nodiscard]] Findings judge(const TableOwners& owners, config::Settings::OwnTable wanted);

}  // namespace kubenatd::agent::node
