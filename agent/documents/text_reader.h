#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "agent/documents/document_builder.h"
#include "rules/error.h"

/// The two readers behind read_documents(). Both end at the first syntax error, with line and column, and catch every
/// exception of their library.
namespace kubenatd::agent::documents {

/// The JSON value that `text` begins with; `text` loses it, and the blanks behind it. After an error it is as it was.
/// `first_line` is the number of the text's first line.
[[nodiscard]] rules::Status read_json_value(std::string_view& text, std::size_t first_line, DocumentBuilder& builder);

/// The first document of a text of YAML; what is behind it does not count, as with Go's yaml.Unmarshal.
[[nodiscard]] rules::Status read_yaml_document(std::string_view text, std::size_t first_line, DocumentBuilder& builder);

}  // namespace kubenatd::agent::documents
