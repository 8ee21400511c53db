#pragma once

#include <optional>
#include <string>

#include "agent/objects/objects.h"
#include "agent/state/frontend_guard.h"
#include "agent/state/left_out.h"
#include "rules/frontend.h"
#include "rules/service_port.h"

namespace kubenatd::agent::state {

/// Takes out of a service port's view what FrontendGuard keeps from its Service, and adds each to `left_out`.
void withhold(const FrontendGuard& guard, const objects::ObjectKey& service, rules::ServicePortView& view,
              LeftOut& left_out);

/// Why withhold() takes this frontend from a proxied Service; none: the Service gets it, or does not ask for it.
[[nodiscard]] std::optional<std::string> why_withheld(const FrontendGuard& guard, const objects::Service& service,
                                                      const rules::Frontend& frontend);

}  // namespace kubenatd::agent::state
