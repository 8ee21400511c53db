#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/base/printable.h"
#include "agent/documents/text_reader.h"
#include "agent/documents/yaml_scalar.h"

namespace kubenatd::agent::documents {
namespace {

using nlohmann::json;

/// libyaml's parser. go.yaml.in/yaml/v2 is a translation of it, so both take the same texts.
class Parser {
 public:
  explicit Parser(std::string_view text) {
    initialized_ = yaml_parser_initialize(&parser_) == 1;
    if (initialized_)
      yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() {
    if (initialized_) yaml_parser_delete(&parser_);
  }

  [[nodiscard]] bool parse(yaml_event_t& event) { return initialized_ && yaml_parser_parse(&parser_, &event) == 1; }
  [[nodiscard]] const yaml_parser_t& state() const { return parser_; }

 private:
  yaml_parser_t parser_{};
  bool initialized_ = false;
};

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }
  [[nodiscard]] yaml_event_t& get() { return event_; }

 private:
  yaml_event_t event_{};
};

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(text));
}

/// libyaml 0.2.5 refuses a plain scalar of a flow collection in which ":" stands before one of ",?[]{}" ("{ip:
/// fd00::}"), Go takes it. Such a ":" is replaced by a character that the text does not have, and put back in the
/// scalar.
class Colons {
 public:
  explicit Colons(std::string_view text) {
    constexpr std::string_view kStandIns[] = {"\uE03A", "\uE13A", "\uE23A", "\uE33A"};
    const auto* free =
        std::ranges::find_if(kStandIns, [&](std::string_view one) { return text.find(one) == std::string_view::npos; });
    if (free == std::end(kStandIns)) return;
    stand_in_ = *free;
    // Each one costs a look at all of the text before it.
    constexpr int kMost = 1000;
    for (int i = 0; i < kMost && has_candidate(text); ++i) {
      const auto place = find_refused(text);
      if (!place) return;
      if (replaced_.empty()) replaced_ = text;
      replaced_.replace(*place, 1, stand_in_);
      text = replaced_;
    }
  }
  [[nodiscard]] std::string_view text(std::string_view original) const {
    return replaced_.empty() ? original : std::string_view(replaced_);
  }
  [[nodiscard]] std::string restore(std::string_view scalar) const {
    std::string restored(scalar);
    if (replaced_.empty()) return restored;
    for (auto at = restored.find(stand_in_); at != std::string::npos; at = restored.find(stand_in_, at))
      restored.replace(at, stand_in_.size(), ":");
    return restored;
  }

 private:
  static bool has_candidate(std::string_view text) {
    for (auto at = text.find(':'); at != std::string_view::npos && at + 1 < text.size(); at = text.find(':', at + 1))
      if (std::string_view(",?[]{}").find(text[at + 1]) != std::string_view::npos) return true;
    return false;
  }
  /// The byte of the ":" at which the parser stops.
  static std::optional<std::size_t> find_refused(std::string_view text) {
    Parser parser(text);
    for (bool ended = false; !ended;) {
      Event event;
      if (!parser.parse(event.get())) {
        const yaml_parser_t& state = parser.state();
        if (state.problem == nullptr || std::string_view(state.problem) != "found unexpected ':'") return std::nullopt;
        return byte_of(text, state.problem_mark.index);
      }
      ended = event.get().type == YAML_DOCUMENT_END_EVENT || event.get().type == YAML_STREAM_END_EVENT;
    }
    return std::nullopt;
  }
  /// Marks count characters.
  static std::optional<std::size_t> byte_of(std::string_view text, std::size_t character) {
    std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    for (; at < text.size(); ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U) continue;
      if (character-- == 0) break;
    }
    return at < text.size() && text[at] == ':' ? std::optional(at) : std::nullopt;
  }

  std::string stand_in_;
  std::string replaced_;
};

/// Looks for "kind:" or "apiVersion:" of a root map in block style that begins in the first column: there, a line that
/// begins with the name can be nothing else, as all deeper content is indented.
std::string find_root_field(std::string_view text, std::string_view name) {
  for (std::string_view left = text; !left.empty();) {
    const auto end = left.find('\n');
    std::string_view rest = left.substr(0, end);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
    if (!rest.starts_with(name) || rest.substr(name.size(), 1) != ":") continue;
    rest.remove_prefix(name.size() + 1);
    rest = rest.substr(0, rest.find_first_of("\r\n"));
    const auto first = rest.find_first_not_of(" \t\"'");
    if (first == std::string_view::npos) break;
    rest.remove_prefix(first);
    rest = rest.substr(0, rest.find_first_of(" \t\"'"));
    const bool plain = std::ranges::all_of(rest, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
    });
    return plain ? std::string(rest) : std::string();
  }
  return {};
}

/// Gives the events of one document to the builder.
class Handler {
 public:
  using Step = DocumentBuilder::Step;

  Handler(std::string_view text, const Colons& colons, DocumentBuilder& builder)
      : text_(text), colons_(colons), builder_(builder) {}

  [[nodiscard]] bool ended() const { return ended_; }

  [[nodiscard]] Step take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT: builder_.begin_document({}); return {};
      case YAML_DOCUMENT_END_EVENT:
        builder_.end_document();
        ended_ = true;
        return {};
      case YAML_STREAM_END_EVENT: ended_ = true; return {};
      case YAML_ALIAS_EVENT: return alias(text_of(event.data.alias.anchor));
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        if (builder_.needs_root() && root_in_first_column_)
          builder_.set_root({find_root_field(text_, "kind"), find_root_field(text_, "apiVersion")});
        return open(builder_.begin_sequence(anchor(event.data.sequence_start.anchor)));
      case YAML_MAPPING_START_EVENT:
        if (depth_ == 0)
          root_in_first_column_ =
              event.start_mark.column == 0 && event.data.mapping_start.style != YAML_FLOW_MAPPING_STYLE;
        return open(builder_.begin_map(anchor(event.data.mapping_start.anchor)));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: --depth_; return builder_.end_container();
      default: return {};
    }
  }

 private:
  Step open(Step step) {
    ++depth_;
    return step;
  }

  /// A name that comes again is another anchor.
  std::uint64_t anchor(const yaml_char_t* name) {
    if (name == nullptr) return 0;
    return anchors_[std::string(text_of(name))] = ++last_anchor_;
  }

  Step alias(std::string_view name) {
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) return std::unexpected(fmt::format("there is no anchor {}", base::in_quotes(name)));
    return builder_.alias(found->second);
  }

  Step scalar(const yaml_event_t& event) {
    const auto& data = event.data.scalar;
    const std::string text = colons_.restore({reinterpret_cast<const char*>(data.value), data.length});
    const std::string_view tag = text_of(data.tag);
    const bool plain = tag.empty() && data.plain_implicit == 1;
    std::expected<json, std::string> value = plain         ? resolve_plain_scalar(text)
                                             : tag.empty() ? json(text)
                                                           : resolve_tagged_scalar(tag, text);
    if (!value) return std::unexpected(std::move(value.error()));
    const std::uint64_t mark = anchor(data.anchor);
    if (!builder_.wants_key()) {
      if (value->is_number_float() && !std::isfinite(value->get<double>()))
        return std::unexpected(fmt::format("{} is no number of JSON", text));
      return builder_.scalar(std::move(*value), mark);
    }
    if (text == "<<" && (plain || tag == "tag:yaml.org,2002:merge")) return builder_.key("<<", true);
    auto key = key_of(*value);
    if (!key) return std::unexpected(std::move(key.error()));
    return builder_.key(std::move(*key), false, mark, *value);
  }

  std::string_view text_;
  const Colons& colons_;
  DocumentBuilder& builder_;
  std::map<std::string, std::uint64_t, std::less<>> anchors_;
  std::uint64_t last_anchor_ = 0;
  std::size_t depth_ = 0;
  bool root_in_first_column_ = false;
  bool ended_ = false;
};

std::unexpected<rules::Error> failed_at(const yaml_mark_t& mark, std::size_t first_line, std::string_view cause) {
  constexpr std::size_t kLongest = 200;
  return rules::fail(fmt::format("line {}, column {}", mark.line + first_line, mark.column + 1), "read YAML",
                     base::one_line(cause, kLongest));
}

std::unexpected<rules::Error> syntax_error(const yaml_parser_t& parser, std::size_t first_line) {
  const std::string_view problem = parser.problem == nullptr ? "out of memory" : parser.problem;
  std::string cause(problem);
  if (parser.context != nullptr) cause = fmt::format("{}, {}", parser.context, problem);
  // What is wrong with bytes has an offset, but no line.
  const bool has_mark = parser.error == YAML_SCANNER_ERROR || parser.error == YAML_PARSER_ERROR;
  return failed_at(has_mark ? parser.problem_mark : parser.mark, first_line, cause);
}

}  // namespace

rules::Status read_yaml_document(std::string_view text, std::size_t first_line, DocumentBuilder& builder) {
  try {
    const Colons colons(text);
    Parser parser(colons.text(text));
    Handler handler(text, colons, builder);
    while (!handler.ended()) {
      Event event;
      if (!parser.parse(event.get())) return syntax_error(parser.state(), first_line);
      if (auto step = handler.take(event.get()); !step)
        return failed_at(event.get().start_mark, first_line, step.error());
    }
    return {};
  } catch (const std::exception& thrown) {
    return rules::fail(fmt::format("line {}", first_line), "read YAML", base::one_line(thrown.what()));
  }
}

}  // namespace kubenatd::agent::documents
