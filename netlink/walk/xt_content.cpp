#include <algorithm>

#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"

/// Matches of the content of packets. A walk has no content, so they cannot be judged.
namespace kubenatd::netlink::walk {
namespace {

bool read_u32(const XtInfo& info, XtWriter& out) {
  const auto u32 = info.as<layout::U32>();
  if (!u32 || u32->count > u32->tests.size()) return false;
  constexpr std::string_view kOperations[] = {"&", "<<", ">>", "@"};
  std::string text;
  for (std::size_t i = 0; i < u32->count; ++i) {
    const layout::U32::Test& test = u32->tests[i];
    if (test.numbers > test.locations.size() || test.values > test.ranges.size()) return false;
    if (i != 0) text += "&&";
    for (std::size_t j = 0; j < test.numbers; ++j) {
      if (j != 0) {
        if (test.locations[j].next >= std::size(kOperations)) return false;
        text += kOperations[test.locations[j].next];
      }
      text += fmt::format("{:#x}", test.locations[j].number);
    }
    text += '=';
    for (std::size_t j = 0; j < test.values; ++j) {
      const layout::U32::Range& range = test.ranges[j];
      text += fmt::format("{}{:#x}", j == 0 ? "" : ",", range.first);
      if (range.last != range.first) text += fmt::format(":{:#x}", range.last);
    }
  }
  out.say(u32->invert != 0, "--u32 \"{}\"", text);
  out.unjudged();
  return true;
}

void write_program(XtWriter& out, std::span<const layout::BpfInstruction> program) {
  out.say(false, "--bytecode \"{}", program.size());
  for (const layout::BpfInstruction& one : program)
    out.more(",{} {} {} {}", one.code, one.jump_true, one.jump_false, one.number);
  out.more("\"");
  out.unjudged();
}

bool read_bpf(const XtInfo& info, XtWriter& out) {
  if (info.revision == 0) {
    const auto bpf = info.as<layout::Bpf0>();
    if (!bpf || bpf->count > bpf->program.size()) return false;
    write_program(out, std::span(bpf->program).first(bpf->count));
    return true;
  }
  const auto bpf = info.as<layout::Bpf1>();
  if (!bpf || bpf->count > bpf->program.size()) return false;
  if (bpf->mode == 0) {
    write_program(out, std::span(bpf->program).first(bpf->count));
    return true;
  }
  std::array<char, sizeof bpf->program> path;
  std::memcpy(path.data(), bpf->program.data(), path.size());
  out.say(false, "--object-pinned {}", text_of(path));
  out.unjudged();
  return true;
}

bool read_string(const XtInfo& info, XtWriter& out) {
  const auto string = info.as<layout::String>();
  if (!string || string->length > string->pattern.size()) return false;
  const std::string_view pattern(string->pattern.data(), string->length);
  const bool negate = (string->flags & 1U) != 0;
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (std::ranges::all_of(pattern, printable)) {
    std::string quoted;
    for (const char c : pattern) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    out.say(negate, "--string \"{}\"", quoted);
  } else {
    std::string hex;
    for (const char c : pattern) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    out.say(negate, "--hex-string \"|{}|\"", hex);
  }
  out.say(false, "--algo {}", text_of(string->algorithm));
  constexpr std::uint16_t kEnd = 0xffff;
  if (string->from != 0) out.say(false, "--from {}", string->from);
  if (string->until != 0 && string->until != kEnd) out.say(false, "--to {}", string->until);
  if ((string->flags & 2U) != 0 && info.revision > 0) out.say(false, "--icase");
  out.unjudged();
  return true;
}

}  // namespace

std::span<const XtKind> content_matches() {
  static constexpr XtKind kKinds[] = {{"u32", 0, 0, read_u32}, {"bpf", 0, 1, read_bpf}, {"string", 0, 1, read_string}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
