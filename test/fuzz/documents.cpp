#include <nlohmann/json.hpp>
#include <variant>

#include "agent/documents/read.h"
#include "agent/objects/decode.h"
#include "agent/sources/manifest_file.h"
#include "test/fuzz/fuzz.h"

/// A manifest: YAML or JSON into documents, and these into objects.
namespace kubenatd::fuzz {
namespace {

using agent::objects::Origin;
using nlohmann::json;

/// As kubectl's reader has it: what is written as JSON is read back as it was.
void check_written_again(const json& document) {
  if (!document.is_object()) return;
  const auto kind = document.find("kind");
  if (kind != document.end() && kind->is_string() && kind->get_ref<const std::string&>().ends_with("List")) return;
  const std::string text = document.dump();
  std::size_t count = 0;
  const auto read = agent::documents::read_all(text, [&](json&& again) {
    ++count;
    require(again.dump() == text, "a document that was written is read as it was", text);
  });
  require(read.has_value(), "a document that was written can be read", text);
  require(count == 1, "a document that was written is one document", text);
}

void check_decoded(const json& document) {
  const auto folder = agent::objects::decode_object(document, Origin::kFolder);
  const auto server = agent::objects::decode_object(document, Origin::kServer);
  for (const auto* decoded : {&folder, &server}) {
    if (!*decoded) {
      require_line(decoded->error());
      continue;
    }
    require_line((*decoded)->passed_over);
    require_lines((*decoded)->remarks);
  }
  // What a folder may hold, a server may hold. Of podIP and podCIDR, which only a folder may have otherwise than their
  // plural, another one counts there.
  if (!folder || !folder->object) return;
  require(server && server->object, "an object of a folder may come from a server", document.dump());
  const auto kind = kind_of(*folder->object);
  if (kind == agent::objects::Kind::kPod || kind == agent::objects::Kind::kNode) return;
  require(server->object == folder->object, "an object of a folder is the same from a server", document.dump());
}

}  // namespace

void check(std::string_view input) {
  agent::documents::read_documents(input, {.document =
                                               [](json&& document) {
                                                 check_written_again(document);
                                                 check_decoded(document);
                                               },
                                           .bad = [](auto&& bad) { require_line(bad.error); },
                                           .remark = [](std::string&& remark) { require_line(remark); }});
  const auto keep = [](agent::objects::Object&& object) {
    return std::make_shared<const agent::objects::Object>(std::move(object));
  };
  const auto file = agent::sources::parse_manifest("folder/file.yaml", input, keep);
  require_lines(file.problems);
  require_lines(file.remarks);
  require_lines(file.passed_over);
}

}  // namespace kubenatd::fuzz
