#include "agent/objects/decode.h"
#include "agent/objects/document_builder.h"
#include "agent/objects/text_reader.h"

namespace kubenatd::agent::objects {

rules::Status read_documents(std::string_view text, bool is_json, const std::function<void(nlohmann::json&&)>& visit) {
  DocumentBuilder builder(visit);
  // JSON in a file that is called YAML is common, is read much faster as what it is, and its lists can be unfolded
  // early.
  if (is_json || is_all_json(text)) return read_json(text, builder);
  return read_yaml(text, builder);
}

}  // namespace kubenatd::agent::objects
