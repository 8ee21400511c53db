#include "agent/api/json_stream.h"

#include <fmt/format.h>

#include <exception>
#include <iterator>
#include <optional>
#include <utility>

#include "agent/base/printable.h"
#include "agent/documents/document_builder.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;

/// Text that comes block by block, and how much of it belongs to the item being read.
class Blocks {
 public:
  explicit Blocks(const std::function<std::string_view()>& next) : next_(next) { refill(); }

  [[nodiscard]] bool at_end() const { return ended_; }
  [[nodiscard]] char current() const { return *position_; }
  void advance() {
    if (++position_ == end_) refill();
  }
  void begin_item() { item_bytes_ = -(position_ - block_); }
  /// An item went past what one may have; the text ends there.
  [[nodiscard]] bool too_large() const { return too_large_; }

 private:
  void refill() {
    item_bytes_ += end_ - block_;
    too_large_ = too_large_ || item_bytes_ > static_cast<std::ptrdiff_t>(kLargestObject);
    const std::string_view block = ended_ || too_large_ ? std::string_view() : next_();
    position_ = block_ = block.data();
    end_ = block.data() + block.size();
    ended_ = block.empty();
  }

  const std::function<std::string_view()>& next_;
  const char* block_ = nullptr;
  const char* position_ = nullptr;
  const char* end_ = nullptr;
  std::ptrdiff_t item_bytes_ = 0;  ///< of the item, in blocks before this one
  bool ended_ = false;
  bool too_large_ = false;
};

/// The parser takes iterators by value.
class BlockIterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = char;
  using iterator_category = std::input_iterator_tag;

  explicit BlockIterator(Blocks* blocks) : blocks_(blocks) {}
  reference operator*() const { return blocks_->current(); }
  BlockIterator& operator++() {
    blocks_->advance();
    return *this;
  }
  /// Only comparisons with the end (no blocks) are asked for.
  bool operator==(const BlockIterator& other) const {
    const Blocks* blocks = blocks_ != nullptr ? blocks_ : other.blocks_;
    return blocks == nullptr || blocks->at_end();
  }
  bool operator!=(const BlockIterator& other) const { return !(*this == other); }

 private:
  Blocks* blocks_;
};

/// Between the parser and the builder: leaves managedFields out, and remembers what a list says of itself.
class Pruner : public nlohmann::json_sax<json> {
 public:
  explicit Pruner(documents::DocumentBuilder& builder, std::string wanted_kind = {})
      : builder_(builder), wanted_kind_(std::move(wanted_kind)) {}
  std::string failure;
  ListHead list;

  [[nodiscard]] bool is_list() const { return saw_kind_ && saw_items_; }

  bool null() override {
    return value([this] { return builder_.scalar(nullptr); });
  }
  bool boolean(bool flag) override {
    return value([&] { return builder_.scalar(flag); });
  }
  bool number_integer(number_integer_t number) override {
    return value([&] { return builder_.scalar(number); });
  }
  bool number_unsigned(number_unsigned_t number) override {
    return value([&] { return builder_.scalar(number); });
  }
  bool number_float(number_float_t number, const string_t&) override {
    return value([&] { return builder_.scalar(number); });
  }
  bool binary(binary_t&) override { return false; }
  bool string(string_t& text) override {
    if (skipped_ == 0 && !note(text)) return false;
    return value([&] { return builder_.scalar(std::move(text)); });
  }
  bool key(string_t& text) override {
    if (skipped_ > 0) return true;
    if (depth_ == 1) {
      root_key_ = text;
      saw_items_ = saw_items_ || text == "items";
    }
    if (depth_ == 2) metadata_key_ = root_key_ == "metadata" ? text : std::string();
    // Only a list of that name is meant, not a label that somebody calls so.
    if (text == "managedFields") {
      held_key_ = std::move(text);
      return true;
    }
    return take(builder_.key(std::move(text)));
  }
  bool start_object(std::size_t) override {
    if (skipped_ > 0) {
      ++skipped_;
      return true;
    }
    ++depth_;
    return value([this] { return builder_.begin_map(); });
  }
  bool end_object() override { return end(); }
  bool start_array(std::size_t) override {
    if (skipped_ > 0 || held_key_) {
      held_key_.reset();
      ++skipped_;
      return true;
    }
    ++depth_;
    return value([this] { return builder_.begin_sequence(); });
  }
  bool end_array() override { return end(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& thrown) override {
    failure = thrown.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..."
    if (const auto prefix = failure.find("] "); prefix != std::string::npos) failure.erase(0, prefix + 2);
    return false;
  }

 private:
  template <class Step>
  bool value(Step step) {
    if (skipped_ > 0) return true;
    if (held_key_ && !take(builder_.key(*std::exchange(held_key_, std::nullopt)))) return false;
    return take(step());
  }
  bool end() {
    if (skipped_ > 0) {
      --skipped_;
      return true;
    }
    --depth_;
    return take(builder_.end_container());
  }
  bool take(documents::DocumentBuilder::Step step) {
    if (!step) failure = std::move(step.error());
    return step.has_value();
  }
  bool note(const std::string& text) {
    if (depth_ == 2 && root_key_ == "metadata") {
      if (metadata_key_ == "resourceVersion") list.resource_version = text;
      if (metadata_key_ == "continue") list.continue_token = text;
    }
    if (depth_ != 1 || root_key_ != "kind") return true;
    saw_kind_ = true;
    if (wanted_kind_.empty() || text == wanted_kind_) return true;
    failure = fmt::format("kind is {}, not {}", base::in_quotes(text), wanted_kind_);
    return false;
  }

  documents::DocumentBuilder& builder_;
  std::string wanted_kind_;
  bool saw_kind_ = false;
  bool saw_items_ = false;
  std::size_t depth_ = 0;
  std::size_t skipped_ = 0;  ///< nesting inside of what is left out
  std::string root_key_, metadata_key_;
  std::optional<std::string> held_key_;
};

constexpr std::size_t kLongestCause = 200;

}  // namespace

rules::Result<ListHead> read_list(const std::string& item_kind, const std::string& api_version,
                                  const std::function<std::string_view()>& next_block,
                                  const std::function<void(json&&)>& visit) {
  const std::string kind = item_kind + "List";
  std::size_t items = 0;
  const auto failed = [&](std::string_view cause) {
    return rules::fail(kind, fmt::format("read, after {} items", items), base::one_line(cause, kLongestCause));
  };
  try {
    Blocks blocks(next_block);
    const documents::DocumentBuilder::Visit hand_out = [&](json&& item) {
      blocks.begin_item();
      ++items;
      visit(std::move(item));
    };
    documents::DocumentBuilder builder(hand_out);
    builder.begin_document({kind, api_version});
    Pruner pruner(builder, kind);
    const bool whole = json::sax_parse(BlockIterator(&blocks), BlockIterator(nullptr), &pruner);
    if (blocks.too_large()) return failed(fmt::format("an item of more than {} bytes", kLargestObject));
    if (!whole) return failed(pruner.failure);
    // Without this any map that some server answers with would be a list without items: nothing is left.
    if (!pruner.is_list()) return failed("has no kind or no items");
    return std::move(pruner.list);
  } catch (const std::exception& thrown) {
    return failed(thrown.what());
  }
}

rules::Result<json> read_value(std::string_view text) {
  try {
    json result;
    const documents::DocumentBuilder::Visit keep = [&](json&& value) { result = std::move(value); };
    documents::DocumentBuilder builder(keep);
    builder.begin_document({});
    Pruner pruner(builder);
    if (!json::sax_parse(text, &pruner))
      return rules::fail("JSON", "read", base::one_line(pruner.failure, kLongestCause));
    builder.end_document();
    return result;
  } catch (const std::exception& thrown) {
    return rules::fail("JSON", "read", base::one_line(thrown.what(), kLongestCause));
  }
}

bool LineCutter::add(std::string_view block, const std::function<bool(std::string_view)>& visit) {
  while (!block.empty()) {
    const auto end = block.find('\n');
    const std::string_view part = block.substr(0, end);
    if (rest_.size() + part.size() > kLargestObject) return false;
    if (end == std::string_view::npos) {
      rest_.append(part);
      return true;
    }
    block.remove_prefix(end + 1);
    if (rest_.empty()) {
      if (!part.empty() && !visit(part)) return true;
      continue;
    }
    rest_.append(part);
    const bool more = visit(rest_);
    rest_.clear();
    if (rest_.capacity() > kLargestObject / 8) rest_.shrink_to_fit();
    if (!more) return true;
  }
  return true;
}

}  // namespace kubenatd::agent::api
