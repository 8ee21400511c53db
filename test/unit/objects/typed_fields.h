#pragma once

#include <nlohmann/json.hpp>

#include "agent/objects/objects.h"

namespace kubenatd::agent::objects {

/// What is read of an object, in the form of the table that Go made (test/oracle/objects/out.go).
[[nodiscard]] nlohmann::json typed_fields(const Object& object);

}  // namespace kubenatd::agent::objects
