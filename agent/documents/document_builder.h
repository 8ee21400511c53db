#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kubenatd::agent::documents {

/// Depth of nesting that a document may have. Kubernetes objects stay below 20; Go's reader takes 10 000.
inline constexpr std::size_t kMaxDepth = 400;
/// Values in one object. The API server's limit of 3 MiB per request allows far fewer.
inline constexpr std::size_t kMaxValues = 1'000'000;
/// Memory that anchors and the expansion of aliases may take in one document.
inline constexpr std::size_t kMaxAliasBytes = 8U << 20;

/// Builds objects from the events of a YAML or JSON reader and hands out each one as soon as it is complete.
///
/// A document whose kind ends in "List" is not built as a whole. Each element of its top-level `items` is handed out
/// and then forgotten. For this the kind must be known when `items` begins, because it came first or was given to
/// begin_document; otherwise the document is unfolded at its end. Elements of a typed list (ServiceList) that lack kind
/// or apiVersion get them from the list.
///
/// Of a key that comes twice, the last value counts, as in Go; doubled() tells of it.
///
/// Threading: none of its own. Failure: a document that breaks a rule (too deep, too large, aliases that expand without
/// end) gives the cause as an error; the reader knows the position. Cost: memory of one object.
class DocumentBuilder {
 public:
  using json = nlohmann::json;
  using Visit = std::function<void(json&&)>;
  using Step = std::expected<void, std::string>;

  /// Kind and apiVersion of a document, when a reader knows them beforehand.
  struct Root {
    std::string kind;
    std::string api_version;
  };

  explicit DocumentBuilder(const Visit& visit) : visit_(visit) {}

  void begin_document(Root root);
  /// Hands out the document, unless it was a list or has no content.
  void end_document();

  /// True where the next scalar is the key of a map.
  [[nodiscard]] bool wants_key() const;
  /// True when a sequence that begins now is the root's `items` and the root's kind has not been seen.
  [[nodiscard]] bool needs_root() const;
  /// Takes what a reader found about the root ahead of its place.
  void set_root(Root root) { root_ = std::move(root); }

  /// `merge` is YAML's "<<": the value is a map, or maps, whose entries replace those before, and are replaced by those
  /// behind, as go.yaml.in/yaml/v2 has it.
  /// `anchor` names `value`, the scalar that the key was.
  [[nodiscard]] Step key(std::string text, bool merge = false, std::uint64_t anchor = 0, const json& value = nullptr);
  /// Paths of keys that came twice in one map of the present document; a few of them.
  [[nodiscard]] const std::vector<std::string>& doubled() const { return doubled_; }
  /// `anchor` other than 0 names the value for aliases of the same document.
  [[nodiscard]] Step scalar(json&& value, std::uint64_t anchor = 0);
  [[nodiscard]] Step begin_map(std::uint64_t anchor = 0);
  [[nodiscard]] Step begin_sequence(std::uint64_t anchor = 0);
  [[nodiscard]] Step end_container();
  [[nodiscard]] Step alias(std::uint64_t anchor);

 private:
  struct Frame {
    json value;
    std::string key;
    bool has_key = false;
    bool merge_key = false;
    bool has_merged = false;  ///< a key may be there by "<<"
    bool hands_out = false;   ///< elements are handed out at once
    std::uint64_t anchor = 0;
  };
  struct Anchored {
    json value;
    std::size_t bytes = 0;
    std::size_t depth = 0;
  };

  [[nodiscard]] Step begin_container(json&& value, std::uint64_t anchor);
  [[nodiscard]] Step add(json&& value);
  [[nodiscard]] Step remember(std::uint64_t anchor, const json& value);
  [[nodiscard]] std::string path_of(const std::string& key) const;
  [[nodiscard]] static Step merge(Frame& frame, json&& value);
  void hand_out(json&& element);

  const Visit& visit_;
  Root root_;
  std::vector<Frame> frames_;
  json document_;
  bool has_document_ = false;
  bool handed_out_ = false;
  std::size_t values_ = 0;
  std::size_t alias_bytes_ = 0;
  std::map<std::uint64_t, Anchored> anchors_;
  std::vector<std::string> doubled_;
};

}  // namespace kubenatd::agent::documents
