#include "rules/walk/xt/save_lines.h"

#include <fmt/format.h>

namespace kubenatd::rules::walk::xt {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";  ///< U+FEFF in UTF-8
constexpr std::size_t kShown = 60;

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) { out.push_back(static_cast<char>(0x80U | (code >> shift & 0x3fU))); };
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xc0U | code >> 6U));
    tail(0);
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xe0U | code >> 12U));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xf0U | code >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string from_utf16(std::string_view text, bool big_endian) {
  const auto unit = [&](std::size_t at) {
    const auto first = static_cast<std::uint8_t>(text[at]), second = static_cast<std::uint8_t>(text[at + 1]);
    return static_cast<std::uint32_t>(big_endian ? first << 8U | second : second << 8U | first);
  };
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
    std::uint32_t code = unit(at);
    const bool high = code >= 0xd800 && code < 0xdc00;
    if (high && at + 3 < text.size() && (unit(at + 2) & 0xfc00U) == 0xdc00) {
      code = 0x10000 + ((code - 0xd800) << 10U) + (unit(at + 2) - 0xdc00);
      at += 2;
    } else if (code >= 0xd800 && code < 0xe000) {
      code = 0xfffd;  // half of a pair
    }
    // Two files, one behind the other, have a mark each.
    if (code != 0xfeff) append_utf8(out, code);
  }
  return out;
}

std::string_view trimmed(std::string_view line) {
  for (;;) {
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (!line.starts_with(kMark)) break;
    line.remove_prefix(kMark.size());
  }
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
  return line;
}

/// The name between "`" and "'".
std::string_view quoted_name(std::string_view line) {
  const auto begin = line.find('`');
  const auto end = begin == line.npos ? begin : line.find('\'', begin);
  return end == line.npos ? std::string_view() : line.substr(begin + 1, end - begin - 1);
}

class LineReader {
 public:
  [[nodiscard]] Result<SavedLines> read(std::string_view text) {
    while (!text.empty()) {
      ++number_;
      const auto end = text.find('\n');
      const std::string_view line = trimmed(text.substr(0, end));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
      if (auto taken = take(line); !taken) return std::unexpected(std::move(taken.error()));
    }
    return std::move(result_);
  }

 private:
  enum class Place : std::uint8_t { kOutside, kTable, kSkipped };

  [[nodiscard]] Status take(std::string_view line) {
    if (line.empty() || is_decoration(line)) return {};
    if (line.front() == '*') return begin_table(trimmed(line.substr(1)));
    if (line.front() == '#') return take_remark(line);
    if (line == "COMMIT") {
      if (place_ == Place::kTable) result_.tables.back().complete = true;
      place_ = Place::kOutside;
      return {};
    }
    const bool is_chain = line.front() == ':';
    const std::string_view rule = behind_counters(line);
    const bool is_rule = rule.starts_with("-A ") || rule.starts_with("-A\t");
    if (place_ == Place::kTable && (is_chain || is_rule)) {
      result_.tables.back().lines.push_back({line, number_});
      return {};
    }
    if (place_ == Place::kSkipped) return {};
    if (const auto advice = advice_for(line); !advice.empty()) return not_readable(number_, std::string(advice));
    if (const auto heading = heading_of(line)) return take_heading(*heading);
    if (!is_prompt(line))
      return not_readable(number_, fmt::format("this is not a line of iptables-save: {}", line.substr(0, kShown)));
    place_ = Place::kOutside;
    return {};
  }

  Status begin_table(std::string_view name) {
    if (name.empty()) return not_readable(number_, "a table without a name");
    place_ = Place::kSkipped;
    if (heading_.other_tool) {
      result_.not_looked_at.push_back(
          {fmt::format("table {} of arptables or ebtables", name.substr(0, kShown)), "only iptables' are read"});
    } else if (!is_iptables_table(name)) {
      result_.not_looked_at.push_back(
          {fmt::format("table {}", name.substr(0, kShown)), "no table of iptables is known by this name"});
    } else {
      place_ = Place::kTable;
      result_.tables.push_back({.name = name,
                                .number = number_,
                                .lines = {},
                                .heading = heading_,
                                .own_heading = has_heading_ && (fresh_ || heading_.lasting)});
    }
    fresh_ = false;
    return {};
  }

  Status take_remark(std::string_view line) {
    if (line.starts_with("# Table `")) {
      result_.not_looked_at.push_back(
          {fmt::format("table {}", quoted_name(line).substr(0, kShown)),
           "iptables-save could not print all of it, for there are rules of nft in it: ask with nft list ruleset"});
    } else if (line.starts_with("# Warning: ip6tables-legacy tables present")) {
      result_.warned[1] = true;
    } else if (line.starts_with("# Warning: iptables-legacy tables present")) {
      result_.warned[0] = true;
    } else if (const auto heading = heading_of(line)) {
      return take_heading(*heading);
    }
    return {};
  }

  Status take_heading(Heading heading) {
    place_ = Place::kOutside;
    if (fresh_ && heading_.typed && !heading.typed) {
      // What was typed and what it printed belong together.
      if (!heading.family && !heading.both_families) heading.family = heading_.family;
      const bool says_so = heading.backend == Backend::kNft || heading.backend == Backend::kLegacy;
      if (!says_so && heading_.backend != Backend::kUnknown) heading.backend = heading_.backend;
    }
    heading_ = heading;
    has_heading_ = fresh_ = true;
    return {};
  }

  SavedLines result_;
  std::size_t number_ = 0;
  Heading heading_;
  bool has_heading_ = false;
  bool fresh_ = false;  ///< no table stood behind the heading so far
  Place place_ = Place::kOutside;
};

}  // namespace

std::unexpected<Error> not_readable(std::size_t line, std::string cause) {
  return fail("saved rules", fmt::format("read line {}", line), std::move(cause));
}

std::string_view behind_counters(std::string_view line) {
  const auto end = line.starts_with('[') ? line.find(']') : line.npos;
  if (end == line.npos) return line;
  line.remove_prefix(end + 1);
  while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  return line;
}

std::string to_utf8(std::string_view text) {
  if (text.starts_with("\xff\xfe")) return from_utf16(text, false);
  if (text.starts_with("\xfe\xff")) return from_utf16(text, true);
  return std::string(text);
}

Result<SavedLines> take_apart(std::string_view text) {
  return LineReader().read(text);
}

}  // namespace kubenatd::rules::walk::xt
