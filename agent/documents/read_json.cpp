#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string>

#include "agent/base/printable.h"
#include "agent/documents/text_reader.h"

namespace kubenatd::agent::documents {
namespace {

using nlohmann::json;

/// Walks the text and leaves its position where others can read it: the parser takes iterators by value.
class TrackingIterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  TrackingIterator(const char* at, const char** position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  TrackingIterator& operator++() {
    *position_ = ++at_;
    return *this;
  }
  bool operator==(const TrackingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TrackingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** position_;
};

/// First look at a document: is it well-formed, and what are its root's kind and apiVersion? They usually come after
/// `items`, as writers sort the keys, and must be known before it.
class RootScanner : public nlohmann::json_sax<json> {
 public:
  DocumentBuilder::Root root;
  std::string failure;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool string(string_t& text) override {
    if (depth_ == 1 && wanted_ != nullptr) *wanted_ = text;
    wanted_ = nullptr;
    return true;
  }
  bool key(string_t& text) override {
    wanted_ = nullptr;
    if (depth_ == 1) wanted_ = text == "kind" ? &root.kind : text == "apiVersion" ? &root.api_version : nullptr;
    return true;
  }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& thrown) override {
    failure = thrown.what();
    return false;
  }

 private:
  bool open() {
    ++depth_;
    wanted_ = nullptr;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  std::size_t depth_ = 0;
  std::string* wanted_ = nullptr;
};

class BuildingHandler : public nlohmann::json_sax<json> {
 public:
  explicit BuildingHandler(DocumentBuilder& builder) : builder_(builder) {}
  std::string failure;

  bool null() override { return take(builder_.scalar(nullptr)); }
  bool boolean(bool value) override { return take(builder_.scalar(value)); }
  bool number_integer(number_integer_t value) override { return take(builder_.scalar(value)); }
  bool number_unsigned(number_unsigned_t value) override { return take(builder_.scalar(value)); }
  bool number_float(number_float_t value, const string_t&) override { return take(builder_.scalar(value)); }
  bool binary(binary_t&) override { return false; }
  bool string(string_t& text) override { return take(builder_.scalar(std::move(text))); }
  bool key(string_t& text) override { return take(builder_.key(std::move(text))); }
  bool start_object(std::size_t) override { return take(builder_.begin_map()); }
  bool end_object() override { return take(builder_.end_container()); }
  bool start_array(std::size_t) override { return take(builder_.begin_sequence()); }
  bool end_array() override { return take(builder_.end_container()); }
  bool parse_error(std::size_t, const std::string&, const json::exception& thrown) override {
    failure = thrown.what();
    return false;
  }

 private:
  bool take(DocumentBuilder::Step step) {
    if (!step) failure = std::move(step.error());
    return step.has_value();
  }

  DocumentBuilder& builder_;
};

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// Without the library's own prefix and position: "[json.exception.parse_error.101] parse error at line 1, column 2: ".
std::string plain_cause(std::string_view what) {
  constexpr std::string_view kPosition = "parse error at line ";
  if (const auto found = what.find(kPosition); found != std::string_view::npos)
    if (const auto colon = what.find(": ", found); colon != std::string_view::npos) what.remove_prefix(colon + 2);
  constexpr std::size_t kLongest = 200;
  return base::one_line(what, kLongest);
}

std::unexpected<rules::Error> failed_at(std::string_view text, const char* position, std::size_t first_line,
                                        std::string_view cause) {
  const char* begin = text.data();
  const auto lines = std::count(begin, position, '\n');
  const char* line = position;
  while (line != begin && line[-1] != '\n') --line;
  return rules::fail(fmt::format("line {}, column {}", static_cast<std::size_t>(lines) + first_line, position - line),
                     "read JSON", plain_cause(cause));
}

/// Runs the parser over the value that begins at `position`, which is moved behind it.
template <class Handler>
bool parse_value(const char*& position, const char* end, Handler& handler) {
  try {
    return json::sax_parse(TrackingIterator(position, &position), TrackingIterator(end, &position), &handler,
                           nlohmann::detail::input_format_t::json, false);
  } catch (const std::exception& thrown) {
    handler.failure = thrown.what();
    return false;
  }
}

const char* skip_blanks(const char* position, const char* end) {
  return std::find_if_not(position, end, is_blank);
}

}  // namespace

rules::Status read_json_value(std::string_view& text, std::size_t first_line, DocumentBuilder& builder) {
  const char* end = text.data() + text.size();
  const char* position = text.data();
  RootScanner scanner;
  if (!parse_value(position, end, scanner)) return failed_at(text, position, first_line, scanner.failure);
  builder.begin_document(std::move(scanner.root));
  position = text.data();
  BuildingHandler handler(builder);
  if (!parse_value(position, end, handler)) return failed_at(text, position, first_line, handler.failure);
  builder.end_document();
  position = skip_blanks(position, end);
  text.remove_prefix(static_cast<std::size_t>(position - text.data()));
  return {};
}

}  // namespace kubenatd::agent::documents
