#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::objects {

/// A document that was read but is of no use here: another kind, or one that is refused.
struct DecodedObject {
  std::optional<Object> object;  ///< none: passed over
  std::string passed_over;       ///< why, when there is no object ("kind ConfigMap is not used")
  /// Fields that were wrong and left out without refusing the object, one line each, naming object and field.
  std::vector<std::string> remarks;
};

/// Turns one Kubernetes object, already as JSON, into its typed form. An error names the object and the field
/// ("Service demo/web: spec.ports[1].port: 70000 is not in 1..65535") and refuses just this object.
/// Unknown fields are ignored: the API server has checked them, or nobody has.
[[nodiscard]] rules::Result<DecodedObject> decode_object(const nlohmann::json& document);

/// Whether objects of this kind are of any use, of some group.
[[nodiscard]] bool is_used_kind(std::string_view kind);

}  // namespace kubenatd::agent::objects
