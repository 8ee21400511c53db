#include "agent/report/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/printable.h"

namespace kubenatd::agent::report {
namespace {

constexpr std::size_t kLongestLine = 4096;

/// The whole lines of a text that fit.
std::string_view whole_lines(std::string_view text, std::size_t most, bool from_end) {
  if (text.size() <= most) return text;
  if (from_end) {
    const std::size_t start = text.find('\n', text.size() - most - 1);
    return start == std::string_view::npos ? std::string_view() : text.substr(start + 1);
  }
  const std::size_t end = most == 0 ? std::string_view::npos : text.rfind('\n', most - 1);
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

void append_lines(std::string& report, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line = base::one_line(text.substr(0, end), kLongestLine);
    report += line.empty() ? "\n" : "  " + line + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::string to_text(const std::vector<Section>& sections, const base::Secrets& secrets) {
  std::string report;
  for (const Section& section : sections) {
    report += fmt::format("{}== {} ==\n", report.empty() ? "" : "\n", base::one_line(section.title));
    if (!section.text) {
      append_lines(report, "not available: " + secrets.without(section.text.error().to_string()));
      continue;
    }
    if (section.text->empty()) report += "  nothing\n";
    const std::string_view shown = whole_lines(*section.text, section.most, section.from_end);
    const std::string note =
        fmt::format("({} of {} bytes are left out here)\n", section.text->size() - shown.size(), section.text->size());
    const bool is_cut = shown.size() < section.text->size();
    if (is_cut && section.from_end) append_lines(report, note);
    append_lines(report, secrets.without(shown));
    if (is_cut && !section.from_end) append_lines(report, note);
  }
  return report;
}

}  // namespace kubenatd::agent::report
