#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/base/printable.h"
#include "agent/documents/read.h"
#include "agent/documents/text_reader.h"
#include "agent/documents/unicode.h"

namespace kubenatd::agent::documents {
namespace {

/// A line that stands between two documents: "---", then nothing but blanks or a comment.
bool is_separator(std::string_view line) {
  if (!line.starts_with("---")) return false;
  line.remove_prefix(3);
  const auto first = line.find_first_not_of(" \t\r");
  return first == std::string_view::npos || line[first] == '#';
}

/// "%YAML 1.1" and the like: what begins a document, whose "---" is still to come.
bool is_directives(std::string_view text) {
  bool found = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') continue;
    if (line.front() != '%') return false;
    found = true;
  }
  return found;
}

/// The words of a line "NAME: word" anywhere in a text that cannot be read.
std::string find_field(std::string_view text, std::string_view name) {
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    const bool starts = at == 0 || std::string_view("\n{, \"'").find(text[at - 1]) != std::string_view::npos;
    std::string_view rest = text.substr(at + name.size());
    rest = rest.substr(std::min(rest.find_first_not_of("\"' "), rest.size()));
    if (!starts || !rest.starts_with(':')) continue;
    rest.remove_prefix(1);
    rest = rest.substr(std::min(rest.find_first_not_of(" \t\"'"), rest.size()));
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r\n\"',}#"));
    const bool is_name = std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
    });
    return is_name ? std::string(word) : std::string();
  }
  return {};
}

class Reader {
 public:
  explicit Reader(const Taker& taker)
      : taker_(taker),
        visit_([&taker](nlohmann::json&& document) { taker.document(std::move(document)); }),
        builder_(visit_) {}

  void read(std::string_view text) {
    std::size_t line = 1;
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && text[first] == '{') {
      line += static_cast<std::size_t>(std::ranges::count(text.substr(0, first), '\n'));
      text.remove_prefix(first);
      read_json_values(text, line);
    }
    read_yaml_documents(text, line);
  }

  /// All of it, whatever looks like a separator.
  void read_one(std::string_view text) { read_yaml(text, 1); }

 private:
  /// JSON in a file of YAML is common, is read much faster as what it is, and its lists can be unfolded early. What is
  /// no JSON is left.
  void read_json_values(std::string_view& text, std::size_t& line) {
    while (text.starts_with('{')) {
      const std::string_view before = text;
      if (!read_json_value(text, line, builder_)) return;
      tell_doubled(line);
      line += static_cast<std::size_t>(std::ranges::count(before.substr(0, before.size() - text.size()), '\n'));
    }
  }

  void read_yaml_documents(std::string_view text, std::size_t line) {
    std::size_t begin = 0;
    std::size_t begin_line = line;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      const std::size_t next = std::min(end + 1, text.size());
      if (is_separator(text.substr(at, end - at)) && !is_directives(text.substr(begin, at - begin))) {
        read_yaml(text.substr(begin, at - begin), begin_line);
        begin = next;
        begin_line = line + 1;
      }
      at = next;
      ++line;
    }
    read_yaml(text.substr(begin), begin_line);
  }

  void read_yaml(std::string_view text, std::size_t line) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
    auto read = read_yaml_document(text, line, builder_);
    tell_doubled(line);
    if (!read)
      taker_.bad({.error = std::move(read.error()),
                  .kind = base::one_line(find_field(text, "kind")),
                  .api_version = base::one_line(find_field(text, "apiVersion"))});
  }

  void tell_doubled(std::size_t line) {
    if (!taker_.remark) return;
    constexpr std::size_t kLongest = 300;
    for (const std::string& path : builder_.doubled())
      taker_.remark(fmt::format("the document that begins in line {}: {} is given twice, the last one counts", line,
                                base::one_line(path, kLongest)));
  }

  const Taker& taker_;
  DocumentBuilder::Visit visit_;
  DocumentBuilder builder_;
};

}  // namespace

void read_documents(std::string_view text, const Taker& taker) {
  Reader reader(taker);
  if (is_utf16(text)) {
    // Go looks for separators in bytes, and finds none: the text is one document.
    if (const auto converted = utf8_of_utf16(text)) return reader.read_one(*converted);
    return taker.bad(
        {.error = {"text", "read", "is no UTF-16, as its byte order mark says", 0}, .kind = {}, .api_version = {}});
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  reader.read(text);
}

rules::Status read_all(std::string_view text, const std::function<void(nlohmann::json&&)>& visit) {
  std::optional<rules::Error> error;
  read_documents(text, {.document =
                            [&](nlohmann::json&& document) {
                              if (!error) visit(std::move(document));
                            },
                        .bad =
                            [&](BadDocument&& bad) {
                              if (!error) error = std::move(bad.error);
                            },
                        .remark = {}});
  if (error) return std::unexpected(std::move(*error));
  return {};
}

}  // namespace kubenatd::agent::documents
