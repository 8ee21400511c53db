#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/emitterstyle.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <string>

#include "agent/base/printable.h"
#include "agent/objects/text_reader.h"
#include "agent/objects/yaml_scalar.h"

namespace kubenatd::agent::objects {
namespace {

using nlohmann::json;

/// Reads from memory without a copy, and no further than is sane ahead of what the parser has made of it: yaml-cpp 0.7
/// holds all tokens of a nested flow collection ("[[1, 2, ...") before it tells of the first one, at some 300 bytes for
/// each "[" or ",". Past the limit the text seems to end, and overrun() says so.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) : text_(text) {}
  void note_progress() { tokens_ahead_ = 0; }
  [[nodiscard]] bool overrun() const { return overrun_; }

 protected:
  int_type underflow() override {
    constexpr std::size_t kBlock = 16U << 10;
    constexpr std::size_t kMostTokensAhead = 200'000;
    overrun_ = overrun_ || tokens_ahead_ > kMostTokensAhead;
    if (supplied_ == text_.size() || overrun_) return traits_type::eof();
    const std::string_view block = text_.substr(supplied_, kBlock);
    supplied_ += block.size();
    tokens_ahead_ += static_cast<std::size_t>(std::count_if(block.begin(), block.end(), begins_token));
    char* begin = const_cast<char*>(block.data());  // the get area is only read; the interface lacks const
    setg(begin, begin, begin + block.size());
    return traits_type::to_int_type(*begin);
  }

 private:
  static bool begins_token(char c) {
    return c == '[' || c == ']' || c == '{' || c == '}' || c == ',' || c == ':' || c == '?' || c == '&' || c == '*' ||
           c == '!';
  }

  std::string_view text_;
  std::size_t supplied_ = 0;
  std::size_t tokens_ahead_ = 0;
  bool overrun_ = false;
};

/// Ends the parsing from inside a handler, which has no other way; never leaves read_yaml().
struct Stopped {
  YAML::Mark mark;
  std::string cause;
};

constexpr std::string_view kOverrun = "a flow collection or scalar that is too large";

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

json resolve(const std::string& tag, const std::string& value) {
  if (tag == "?") return resolve_plain_scalar(value);
  const std::string_view view(tag);
  if (!view.starts_with(kTagPrefix)) return value;  // quoted ("!") or of a private type
  const std::string_view type = view.substr(kTagPrefix.size());
  if (type == "int" || type == "float" || type == "bool" || type == "null") return resolve_plain_scalar(value);
  return value;
}

/// Looks ahead for "kind:" or "apiVersion:" of a root map in block style that begins in the first column: there, a
/// line that begins with the name can be nothing else, as all deeper content is indented.
std::string find_root_field(std::string_view text, std::size_t from, std::string_view name) {
  for (std::size_t line = text.find('\n', std::min(from, text.size())); line != std::string_view::npos;
       line = text.find('\n', line + 1)) {
    std::string_view rest = text.substr(line + 1);
    if (rest.starts_with("---") || rest.starts_with("...")) break;
    if (!rest.starts_with(name) || rest.substr(name.size(), 1) != ":") continue;
    rest.remove_prefix(name.size() + 1);
    rest = rest.substr(0, rest.find_first_of("\r\n"));
    const auto first = rest.find_first_not_of(" \t\"'");
    if (first == std::string_view::npos) break;
    rest.remove_prefix(first);
    rest = rest.substr(0, rest.find_first_of(" \t\"'"));
    const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
    });
    return plain ? std::string(rest) : std::string();
  }
  return {};
}

class Handler : public YAML::EventHandler {
 public:
  Handler(std::string_view text, ViewBuffer& buffer, DocumentBuilder& builder)
      : text_(text), buffer_(buffer), builder_(builder) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp 0.7 leaves a token that begins no node where it is, and finds an empty document there for ever.
    if (mark.pos == document_pos_) throw Stopped{mark, "text that belongs to no document"};
    document_pos_ = mark.pos;
    advance(mark);
    depth_ = 0;
    builder_.begin_document({});
  }
  void OnDocumentEnd() override {
    if (buffer_.overrun()) throw Stopped{mark_, std::string(kOverrun)};
    builder_.end_document();
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    advance(mark);
    if (builder_.wants_key()) throw Stopped{mark, "a key is empty"};
    take(builder_.scalar(nullptr, anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    advance(mark);
    take(builder_.alias(anchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    advance(mark);
    if (!builder_.wants_key()) return take(builder_.scalar(resolve(tag, value), anchor));
    if (anchor != 0) throw Stopped{mark, "a key with an anchor is not supported"};
    if (tag == "?" && value == "<<") return take(builder_.key(value, true));
    // As Kubernetes' reader: a key that is a boolean becomes its word, a number stays as it is written.
    const json key = resolve(tag, value);
    take(builder_.key(key.is_boolean() ? (key.get<bool>() ? "true" : "false") : value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    advance(mark);
    if (builder_.needs_root() && root_in_first_column_) {
      const auto from = static_cast<std::size_t>(std::max(mark.pos - 1, 0));
      builder_.set_root({find_root_field(text_, from, "kind"), find_root_field(text_, from, "apiVersion")});
    }
    ++depth_;
    take(builder_.begin_sequence(anchor));
  }
  void OnSequenceEnd() override {
    --depth_;
    take(builder_.end_container());
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    advance(mark);
    if (depth_ == 0) root_in_first_column_ = mark.column == 0 && style == YAML::EmitterStyle::Block;
    ++depth_;
    take(builder_.begin_map(anchor));
  }
  void OnMapEnd() override {
    --depth_;
    take(builder_.end_container());
  }

 private:
  void advance(const YAML::Mark& mark) {
    mark_ = mark;
    if (buffer_.overrun()) throw Stopped{mark, std::string(kOverrun)};
    buffer_.note_progress();
  }
  void take(DocumentBuilder::Step step) const {
    if (!step) throw Stopped{mark_, std::move(step.error())};
  }

  std::string_view text_;
  ViewBuffer& buffer_;
  DocumentBuilder& builder_;
  YAML::Mark mark_;
  int document_pos_ = -1;
  std::size_t depth_ = 0;
  bool root_in_first_column_ = false;
};

std::unexpected<rules::Error> failed_at(const YAML::Mark& mark, std::string cause) {
  return rules::fail(fmt::format("line {}, column {}", mark.line + 1, mark.column + 1), "read YAML", std::move(cause));
}

}  // namespace

rules::Status read_yaml(std::string_view text, DocumentBuilder& builder) {
  ViewBuffer buffer(text);
  try {
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    Handler handler(text, buffer, builder);
    while (parser.HandleNextDocument(handler)) {
    }
    if (buffer.overrun()) return rules::fail("text", "read YAML", std::string(kOverrun));
    return {};
  } catch (const Stopped& stopped) {
    return failed_at(stopped.mark, stopped.cause);
  } catch (const YAML::Exception& thrown) {
    constexpr std::size_t kLongest = 200;
    return failed_at(thrown.mark, buffer.overrun() ? std::string(kOverrun) : base::one_line(thrown.msg, kLongest));
  } catch (const std::exception& thrown) {
    return rules::fail("text", "read YAML", base::one_line(thrown.what()));
  }
}

}  // namespace kubenatd::agent::objects
