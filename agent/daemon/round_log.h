#pragma once

#include "agent/dataplane/reconciler.h"

namespace kubenatd::agent::daemon {

/// What a round did, in the log; nothing when it did nothing.
void log_round(const dataplane::RoundReport& report);

}  // namespace kubenatd::agent::daemon
