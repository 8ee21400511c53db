#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "netlink/walk/xt_reader.h"
#include "rules/address.h"
#include "rules/walk/statement.h"

/// What the readers of single matches and targets are made of.
namespace kubenatd::netlink::walk {

/// The bytes of one match or target.
struct XtInfo {
  std::string_view name;
  std::uint32_t revision = 0;
  std::string_view bytes;
  rules::Family family = rules::Family::kIpv4;

  /// As a structure; none when the size is another one.
  template <class Layout>
  [[nodiscard]] std::optional<Layout> as() const {
    static_assert(std::is_trivially_copyable_v<Layout>);
    if (bytes.size() != sizeof(Layout)) return std::nullopt;
    Layout layout;
    std::memcpy(&layout, bytes.data(), sizeof layout);
    return layout;
  }
  [[nodiscard]] rules::Address address(const std::array<std::uint8_t, 16>& bytes_of) const {
    rules::Address made;
    made.family = family;
    std::memcpy(made.bytes.data(), bytes_of.data(), made.octets().size());
    return made;
  }
};

/// Takes statements and words.
class XtWriter {
 public:
  explicit XtWriter(XtPart& part) : part_(part) {}

  void add(rules::walk::Statement statement) { part_.statements.push_back(std::move(statement)); }
  /// The part cannot be judged. Its text is the whole one, set in the end.
  void unjudged(rules::walk::Part part = rules::walk::Part::kOther) { add(rules::walk::Unjudged{{}, part}); }
  void never() { add(rules::walk::Never{}); }

  /// " --option value", or " ! --option value".
  template <class... Values>
  void say(bool negate, fmt::format_string<Values...> format, Values&&... values) {
    part_.text += negate ? " ! " : " ";
    fmt::format_to(std::back_inserter(part_.text), format, std::forward<Values>(values)...);
  }
  template <class... Values>
  void more(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(part_.text), format, std::forward<Values>(values)...);
  }
  /// A blank and the words, quoted when iptables does.
  void quoted(std::string_view words);
  /// Replaces "-m NAME" or "-j NAME", with which the text begins.
  void head(std::string_view text) { part_.text = text; }

 private:
  XtPart& part_;
};

/// Reads one kind of match or target; false: the bytes or the revision are not known.
using XtRead = bool (*)(const XtInfo&, XtWriter&);
struct XtKind {
  std::string_view name;
  std::uint32_t first_revision, last_revision;
  XtRead read;
};

[[nodiscard]] std::span<const XtKind> transport_matches();
[[nodiscard]] std::span<const XtKind> header_matches();
[[nodiscard]] std::span<const XtKind> extension_matches();
[[nodiscard]] std::span<const XtKind> connection_matches();
[[nodiscard]] std::span<const XtKind> node_matches();
[[nodiscard]] std::span<const XtKind> history_matches();
[[nodiscard]] std::span<const XtKind> limit_matches();
[[nodiscard]] std::span<const XtKind> content_matches();
[[nodiscard]] std::span<const XtKind> nat_targets();
[[nodiscard]] std::span<const XtKind> other_targets();
[[nodiscard]] std::span<const XtKind> header_targets();

// Words.

/// Up to the first zero byte.
template <std::size_t kSize>
[[nodiscard]] std::string_view text_of(const std::array<char, kSize>& name) {
  return std::string_view(name.data(), kSize).substr(0, std::string_view(name.data(), kSize).find('\0'));
}
/// "80" or "80:90".
[[nodiscard]] std::string range_text(std::uint64_t first, std::uint64_t last, char between = ':');
/// "0x10" or "0x10/0xff".
[[nodiscard]] std::string masked_text(std::uint32_t value, std::uint32_t mask);
/// "/24", or "/255.0.255.0" when it has holes; of all bits, nothing.
[[nodiscard]] std::string mask_text(const rules::Address& mask);
[[nodiscard]] inline std::uint16_t port_of(const std::array<std::uint8_t, 2>& network_order) {
  return static_cast<std::uint16_t>(network_order[0] << 8U | network_order[1]);
}
/// Joins the names of the bits that are set, with commas.
[[nodiscard]] std::string names_of(std::uint32_t bits,
                                   std::span<const std::pair<std::uint32_t, std::string_view>> names);

}  // namespace kubenatd::netlink::walk
