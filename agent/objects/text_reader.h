#pragma once

#include <optional>
#include <string_view>

#include "agent/objects/document_builder.h"
#include "rules/error.h"

/// The two readers behind read_documents(). Both stop at the first syntax error, with line and column, and catch every
/// exception of their library.
namespace kubenatd::agent::objects {

/// One or more JSON values, one after the other.
[[nodiscard]] rules::Status read_json(std::string_view text, DocumentBuilder& builder);

/// True when the text is JSON values from beginning to end; nothing is built.
[[nodiscard]] bool is_all_json(std::string_view text);

/// A stream of YAML documents.
[[nodiscard]] rules::Status read_yaml(std::string_view text, DocumentBuilder& builder);

}  // namespace kubenatd::agent::objects
