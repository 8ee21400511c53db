#include "agent/api/json_stream.h"

#include <nlohmann/json.hpp>

#include "test/fuzz/fuzz.h"

/// The text of an API server's answers, in whatever pieces it comes.
namespace kubenatd::fuzz {
namespace {

using agent::api::LineCutter;
using nlohmann::json;

struct List {
  bool read = false;
  agent::api::ListHead head;
  std::vector<std::string> items;
};

List list_of(const std::vector<std::string_view>& pieces) {
  List list;
  std::size_t next = 0;
  const auto next_block = [&]() -> std::string_view {
    // An empty block is the end.
    while (next < pieces.size() && pieces[next].empty()) ++next;
    return next < pieces.size() ? pieces[next++] : std::string_view();
  };
  const auto read =
      agent::api::read_list("Service", "v1", next_block, [&](json&& item) { list.items.push_back(item.dump()); });
  list.read = read.has_value();
  if (read) list.head = *read;
  if (!read) require_line(read.error());
  return list;
}

struct Lines {
  std::vector<std::string> lines;
  bool partial = false;
};

Lines lines_of(const std::vector<std::string_view>& pieces) {
  Lines lines;
  LineCutter cutter;
  for (const std::string_view piece : pieces) {
    const bool fits = cutter.add(piece, [&](std::string_view line) {
      lines.lines.emplace_back(line);
      return true;
    });
    require(fits, "a line of a small text fits");
  }
  lines.partial = cutter.partial();
  return lines;
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t seed = take_byte(input);
  const List whole = list_of({input}), parts = list_of(in_pieces(input, seed));
  require(whole.read == parts.read && whole.items == parts.items, "a list in pieces is the same list");
  require(whole.head.resource_version == parts.head.resource_version &&
              whole.head.continue_token == parts.head.continue_token,
          "a list in pieces has the same head");

  const Lines all = lines_of({input}), cut = lines_of(in_pieces(input, seed));
  require(all.lines == cut.lines && all.partial == cut.partial, "lines in pieces are the same lines");
  for (const std::string& line : all.lines) {
    const auto value = agent::api::read_value(line);
    if (!value) {
      require_line(value.error());
      continue;
    }
    // A list at the top is unfolded, and its last item is what is left.
    if (!value->is_object() || value->contains("items")) continue;
    const std::string text = value->dump();
    const auto again = agent::api::read_value(text);
    require(again && again->dump() == text, "a value that was written is read as it was", text);
  }
}

}  // namespace kubenatd::fuzz
