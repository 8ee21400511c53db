#include "agent/base/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/base/file.h"

namespace kubenatd::agent::base {
namespace {

/// The agent has 178 mappings there in 135 kB (Linux 6.18).
constexpr std::size_t kLongestFile = 4 << 20;

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool is_code_or_constants = false;  ///< of a file, private, and not to be written to
};

std::string_view cut_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

/// "55e0c0000000-55e0c0021000 r-xp 00002000 fe:00 1234  /usr/sbin/kubenatd"; none: a line about the mapping before.
std::optional<Mapping> read_mapping(std::string_view line) {
  const std::string_view range = cut_word(line);
  Mapping mapping;
  const char* const end = range.data() + range.size();
  const auto begins = std::from_chars(range.data(), end, mapping.begin, 16);
  if (begins.ec != std::errc{} || begins.ptr == end || *begins.ptr != '-') return std::nullopt;
  const auto ends = std::from_chars(begins.ptr + 1, end, mapping.end, 16);
  if (ends.ec != std::errc{} || ends.ptr != end) return std::nullopt;
  const std::string_view rights = cut_word(line);
  (void)cut_word(line);  // offset
  (void)cut_word(line);  // device
  const std::string_view inode = cut_word(line);
  mapping.is_code_or_constants = (rights == "r-xp" || rights == "r--p") && inode != "0";
  return mapping;
}

}  // namespace

void give_back_heap() {
  ::malloc_trim(0);
}

void give_back_memory() {
  give_back_heap();
  const auto text = read_file("/proc/self/smaps", kLongestFile, "read the mappings");
  if (!text) return;
  std::optional<Mapping> mapping;
  for (std::string_view left = *text; !left.empty();) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(line.size() + 1, left.size()));
    if (const auto next = read_mapping(line)) mapping = next;
    // Private pages are relocations, or a debugger's or tracer's: they are nowhere but here.
    if (!mapping || !mapping->is_code_or_constants || !line.starts_with("Anonymous:")) continue;
    std::string_view value = line.substr(line.find(':') + 1);
    if (cut_word(value) != "0") continue;
    (void)::madvise(reinterpret_cast<void*>(mapping->begin), mapping->end - mapping->begin, MADV_DONTNEED);
  }
}

}  // namespace kubenatd::agent::base
