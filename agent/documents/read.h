#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "rules/error.h"

namespace kubenatd::agent::documents {

/// A document that cannot be read. It costs only itself.
struct BadDocument {
  rules::Error error;  ///< names line and column in the whole text
  std::string kind;    ///< as far as it can be told without reading the document; may be empty
  std::string api_version;
};

/// Who takes what is read.
struct Taker {
  std::function<void(nlohmann::json&&)> document;
  std::function<void(BadDocument&&)> bad;
  std::function<void(std::string&&)> remark;  ///< "line 3: ...": read, but worth saying; may be none
};

/// Reads the documents of one text of YAML or JSON as kubectl does (k8s.io/apimachinery's YAMLOrJSONDecoder, v0.36):
/// several YAML documents with "---" between them, JSON values one after the other, UTF-8 or, with a byte order mark,
/// UTF-16. Kinds that end in List are unfolded. Each object is handed out as soon as it is complete, so memory holds
/// one object, not the whole file.
///
/// Failure: a document that cannot be read goes to `bad`, and the next one is read; objects of a list that came before
/// the error have been handed out. Cost: linear.
void read_documents(std::string_view text, const Taker& taker);

/// For who needs all of it: the first bad document is the error, and nothing behind it is read.
[[nodiscard]] rules::Status read_all(std::string_view text, const std::function<void(nlohmann::json&&)>& visit);

}  // namespace kubenatd::agent::documents
