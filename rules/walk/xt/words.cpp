#include "rules/walk/xt/words.h"

#include <charconv>

namespace kubenatd::rules::walk::xt {

std::vector<Word> split_words(std::string_view line) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (at < line.size()) {
    if (line[at] == ' ' || line[at] == '\t') {
      ++at;
      continue;
    }
    Word word;
    word.begin = at;
    if (line[at] == '"') {
      word.quoted = true;
      for (++at; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] == '\\' && at + 1 < line.size()) ++at;
        word.text.push_back(line[at]);
      }
      if (at < line.size()) ++at;
    } else {
      for (; at < line.size() && line[at] != ' ' && line[at] != '\t'; ++at) word.text.push_back(line[at]);
    }
    word.end = at;
    words.push_back(std::move(word));
  }
  return words;
}

std::optional<std::uint32_t> read_number(std::string_view text, std::uint32_t most) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

}  // namespace kubenatd::rules::walk::xt
