#include "agent/documents/document_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/json_members.h"
#include "agent/documents/yaml_scalar.h"

namespace kubenatd::agent::documents {
namespace {

using base::text_of;
using nlohmann::json;
using Step = DocumentBuilder::Step;

constexpr std::string_view kListSuffix = "List";

bool is_list_kind(std::string_view kind) {
  return kind.ends_with(kListSuffix);
}

/// What an element of a typed list may leave out.
void inherit(json& element, const DocumentBuilder::Root& list) {
  const std::string_view kind = std::string_view(list.kind).substr(0, list.kind.size() - kListSuffix.size());
  if (kind.empty() || !element.is_object()) return;
  if (!element.contains("kind")) element["kind"] = kind;
  if (!element.contains("apiVersion") && !list.api_version.empty()) element["apiVersion"] = list.api_version;
}

/// Hands out an object, or the elements of one that is a list. Recursion ends with kMaxDepth.
void unfold(json&& object, const DocumentBuilder::Visit& visit) {
  if (object.is_object()) {
    const DocumentBuilder::Root list{text_of(object, "kind"), text_of(object, "apiVersion")};
    const auto items = object.find("items");
    if (is_list_kind(list.kind) && items != object.end() && (items->is_array() || items->is_null())) {
      if (items->is_null()) return;
      for (json& element : *items) {
        inherit(element, list);
        unfold(std::move(element), visit);
      }
      return;
    }
  }
  visit(std::move(object));
}

/// Rough size of a value in memory, and its depth; the recursion is bounded by kMaxDepth.
std::pair<std::size_t, std::size_t> measure(const json& value) {
  constexpr std::size_t kMapNode = 64;  // red-black tree node of a map entry, without key text and value
  std::size_t bytes = sizeof(json);
  std::size_t depth = 0;
  if (value.is_string()) bytes += value.get_ref<const std::string&>().size();
  if (value.is_object()) {
    depth = 1;
    for (const auto& [name, member] : value.get_ref<const json::object_t&>()) {
      const auto [inner_bytes, inner_depth] = measure(member);
      bytes += inner_bytes + kMapNode + name.size();
      depth = std::max(depth, inner_depth + 1);
    }
  }
  if (value.is_array()) {
    depth = 1;
    for (const json& element : value) {
      const auto [inner_bytes, inner_depth] = measure(element);
      bytes += inner_bytes;
      depth = std::max(depth, inner_depth + 1);
    }
  }
  return {bytes, depth};
}

std::unexpected<std::string> stop(std::string cause) {
  return std::unexpected(std::move(cause));
}

}  // namespace

void DocumentBuilder::begin_document(Root root) {
  root_ = std::move(root);
  frames_.clear();
  document_ = nullptr;
  has_document_ = handed_out_ = false;
  values_ = alias_bytes_ = 0;
  anchors_.clear();
  doubled_.clear();
}

void DocumentBuilder::end_document() {
  anchors_.clear();
  if (has_document_ && !handed_out_ && !document_.is_null()) unfold(std::move(document_), visit_);
  document_ = nullptr;
}

bool DocumentBuilder::wants_key() const {
  return !frames_.empty() && frames_.back().value.is_object() && !frames_.back().has_key;
}

bool DocumentBuilder::needs_root() const {
  return frames_.size() == 1 && frames_.front().value.is_object() && frames_.front().key == "items" &&
         root_.kind.empty() && !frames_.front().value.contains("kind");
}

std::string DocumentBuilder::path_of(const std::string& key) const {
  std::string path;
  for (std::size_t i = 0; i + 1 < frames_.size(); ++i) {
    const json& value = frames_[i].value;
    if (value.is_object())
      path += (path.empty() ? "" : ".") + frames_[i].key;
    else
      path += fmt::format("[{}]", value.size());
  }
  return path.empty() ? key : path + "." + key;
}

Step DocumentBuilder::key(std::string text, bool merge, std::uint64_t anchor, const json& value) {
  if (const Step step = remember(anchor, value); !step) return step;
  Frame& frame = frames_.back();
  constexpr std::size_t kMostDoubled = 10;
  if (!merge && !frame.has_merged && doubled_.size() < kMostDoubled && frame.value.contains(text))
    doubled_.push_back(path_of(text));
  frame.key = std::move(text);
  frame.has_key = true;
  frame.merge_key = merge;
  frame.has_merged = frame.has_merged || merge;
  return {};
}

Step DocumentBuilder::scalar(json&& value, std::uint64_t anchor) {
  if (const Step step = remember(anchor, value); !step) return step;
  return add(std::move(value));
}

Step DocumentBuilder::begin_map(std::uint64_t anchor) {
  return begin_container(json::object(), anchor);
}

Step DocumentBuilder::begin_sequence(std::uint64_t anchor) {
  return begin_container(json::array(), anchor);
}

Step DocumentBuilder::begin_container(json&& value, std::uint64_t anchor) {
  if (frames_.size() >= kMaxDepth) return stop(fmt::format("nested deeper than {} levels", kMaxDepth));
  if (wants_key()) return stop("a key is not a scalar");
  bool hands_out = false;
  // An anchored list cannot leave piece by piece: an alias may ask for it. It is unfolded at the end instead.
  if (value.is_array() && anchor == 0 && frames_.size() == 1 && frames_.front().anchor == 0 &&
      frames_.front().value.is_object() && frames_.front().key == "items" && !frames_.front().merge_key) {
    if (const std::string kind = text_of(frames_.front().value, "kind"); !kind.empty())
      root_ = {kind, text_of(frames_.front().value, "apiVersion")};
    hands_out = is_list_kind(root_.kind);
    handed_out_ = handed_out_ || hands_out;
  }
  Frame frame;
  frame.value = std::move(value);
  frame.hands_out = hands_out;
  frame.anchor = anchor;
  frames_.push_back(std::move(frame));
  return {};
}

Step DocumentBuilder::end_container() {
  Frame frame = std::move(frames_.back());
  frames_.pop_back();
  if (const Step step = remember(frame.anchor, frame.value); !step) return step;
  return add(std::move(frame.value));
}

Step DocumentBuilder::alias(std::uint64_t anchor) {
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) return stop("an alias refers to a value that is not complete");
  if (wants_key()) {
    if (found->second.value.is_structured()) return stop("a key is not a scalar");
    auto text = key_of(found->second.value);
    if (!text) return stop(std::move(text.error()));
    return key(std::move(*text));
  }
  if (frames_.size() + found->second.depth > kMaxDepth)
    return stop(fmt::format("nested deeper than {} levels", kMaxDepth));
  alias_bytes_ += found->second.bytes;
  if (alias_bytes_ > kMaxAliasBytes) return stop("aliases expand to too much");
  json copy = found->second.value;
  return add(std::move(copy));
}

Step DocumentBuilder::remember(std::uint64_t anchor, const json& value) {
  if (anchor == 0) return {};
  const auto [bytes, depth] = measure(value);
  alias_bytes_ += bytes;
  if (alias_bytes_ > kMaxAliasBytes) return stop("anchors hold too much");
  anchors_[anchor] = {value, bytes, depth};
  return {};
}

Step DocumentBuilder::add(json&& value) {
  if (++values_ > kMaxValues) return stop(fmt::format("an object of more than {} values", kMaxValues));
  if (frames_.empty()) {
    document_ = std::move(value);
    has_document_ = true;
    return {};
  }
  Frame& frame = frames_.back();
  if (frame.hands_out) {
    hand_out(std::move(value));
    return {};
  }
  if (frame.value.is_array()) {
    frame.value.get_ref<json::array_t&>().push_back(std::move(value));
    return {};
  }
  frame.has_key = false;
  if (!frame.merge_key) {
    frame.value.get_ref<json::object_t&>().insert_or_assign(std::move(frame.key), std::move(value));
    return {};
  }
  frame.merge_key = false;
  return merge(frame, std::move(value));
}

Step DocumentBuilder::merge(Frame& frame, json&& value) {
  if (value.is_object()) value = json::array({std::move(value)});
  if (!value.is_array()) return stop("the value of \"<<\" is not a map");
  // Of several maps, the first one counts.
  auto& maps = value.get_ref<json::array_t&>();
  for (auto map = maps.rbegin(); map != maps.rend(); ++map) {
    if (!map->is_object()) return stop("the value of \"<<\" is not a map");
    for (auto& [name, member] : map->get_ref<json::object_t&>())
      frame.value.get_ref<json::object_t&>().insert_or_assign(name, std::move(member));
  }
  return {};
}

void DocumentBuilder::hand_out(json&& element) {
  values_ = 0;
  inherit(element, root_);
  unfold(std::move(element), visit_);
}

}  // namespace kubenatd::agent::documents
