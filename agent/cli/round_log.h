#pragma once

#include "agent/sync/reconciler.h"

namespace kubenatd::agent {

/// What a round did, in the log; nothing when it did nothing.
void log_round(const RoundReport& report);

}  // namespace kubenatd::agent
