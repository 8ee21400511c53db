#pragma once

#include <span>
#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/kernel.h"
#include "agent/node/finding.h"
#include "netlink/core/trial.h"
#include "rules/error.h"

/// What the kernel can do for the rules of a mode, by trying them out.
namespace kubenatd::agent::node {

struct Trial {
  config::Config::Mode mode = config::Config::Mode::kIptables;
  rules::Family family = rules::Family::kIpv4;
  rules::Result<std::vector<netlink::TriedMessage>> answers;
};

/// Tries out what the mode writes in each family; nothing of it stays. Cost: one transaction of some 30 KB a family,
/// and once the grace period of RCU for which the kernel waits when it takes it back (nf_tables_abort, 6.18: 9 to 17
/// ms).
[[nodiscard]] std::vector<Trial> try_mode(dataplane::Kernel& kernel, config::Config::Mode mode,
                                          std::span<const rules::Family> families, const dataplane::NodeFacts& facts);

/// A finding for each part of the kernel. Parts that fail only because another one does are not told. `release` is the
/// kernel's (uname -r), by which some distributions' own ways are known. Pure.
[[nodiscard]] Findings judge(const Trial& trial, std::string_view release);

}  // namespace kubenatd::agent::node
