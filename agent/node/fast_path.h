#pragma once

#include <vector>

#include "agent/config/settings.h"
#include "agent/dataplane/fast_path.h"
#include "agent/dataplane/kernel.h"
#include "agent/node/finding.h"

/// Whether connections of nftables mode can take the fast path.
namespace kubenatd::agent::node {

struct FastPath {
  rules::Result<dataplane::FastPathSupport> support;
  std::vector<config::Device> devices;  ///< that --fast-path names, or auto would
};

/// Of this network namespace.
[[nodiscard]] FastPath read_fast_path(dataplane::Kernel& kernel, const std::vector<config::DevicePattern>& wanted);
/// Pure.
[[nodiscard]] Findings judge(const FastPath& fast_path, const std::vector<config::DevicePattern>& wanted);

}  // namespace kubenatd::agent::node
