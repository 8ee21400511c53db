#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::objects {

/// Where an object was before. It decides what is done about a value that the API server refuses today.
enum class Origin : std::uint8_t {
  kFolder,  ///< nobody has checked it: the object is refused, as the API server would refuse to create it
  kServer,  ///< it was stored when the rule was another one: what can be used is used, what cannot closes
};

/// A document that was read but is of no use here: another kind, or one that is refused.
struct DecodedObject {
  std::optional<Object> object;  ///< none: passed over
  std::string passed_over;       ///< why, when there is no object ("kind ConfigMap is not used")
  /// Fields that were wrong and left out without refusing the object, one line each, naming object and field.
  std::vector<std::string> remarks;
};

/// Turns one Kubernetes object, already as JSON, into its typed form, with the API's defaults. What the API server
/// would not decode or not create is refused with the API's words: an error names the object and the field
/// ("Service demo/web: spec.externalTrafficPolicy: Unsupported value: ...") and refuses just this object.
/// Only fields that are used are looked at; unknown ones are ignored.
[[nodiscard]] rules::Result<DecodedObject> decode_object(const nlohmann::json& document,
                                                         Origin origin = Origin::kFolder);

/// Whether objects of this kind are of any use, of some group.
[[nodiscard]] bool is_used_kind(std::string_view kind);

}  // namespace kubenatd::agent::objects
