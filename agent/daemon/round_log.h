#pragma once

#include "agent/dataplane/reconciler.h"

namespace kubenatd::agent::daemon {

/// Logs what a round did. A round that did nothing gives no line.
void log_round(const dataplane::RoundReport& report);

}  // namespace kubenatd::agent::daemon
