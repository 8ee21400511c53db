#pragma once

#include <string>

#include "agent/explain/answer.h"

namespace kubenatd::agent::explain {

/// For people: aligned, with colours when asked for. Text from outside is made harmless.
[[nodiscard]] std::string to_text(const Answer& answer, bool colour);

/// For programs: one JSON object with "schema": "kubenatd.explain/v1". Fields are added, never changed or removed,
/// within v1.
[[nodiscard]] std::string to_json(const Answer& answer);

/// Words of the JSON contract.
[[nodiscard]] std::string_view name_of(Subject::Kind kind);        ///< "ClusterIP", "NodePort", ...
[[nodiscard]] std::string_view name_of(rules::walk::End end);      ///< "forwarded", "local", ...
[[nodiscard]] std::string_view name_of(rules::walk::Cause cause);  ///< "rules", "no-route", ...

}  // namespace kubenatd::agent::explain
