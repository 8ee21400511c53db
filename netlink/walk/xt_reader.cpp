#include "netlink/walk/xt_reader.h"

#include <algorithm>

#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::netlink::walk {
namespace {

const XtKind* find(std::initializer_list<std::span<const XtKind>> groups, std::string_view name,
                   std::uint32_t revision) {
  for (const auto& group : groups)
    for (const XtKind& kind : group)
      if (kind.name == name && revision >= kind.first_revision && revision <= kind.last_revision) return &kind;
  return nullptr;
}

/// What cannot be judged is named by the whole part.
void name_parts(XtPart& part, std::string_view head) {
  const std::string_view text = std::string_view(part.text).starts_with(head)
                                    ? std::string_view(part.text).substr(head.size())
                                    : std::string_view(part.text);
  for (rules::walk::Statement& statement : part.statements) {
    std::visit(
        [&text](auto& one) {
          if constexpr (requires { one.text; })
            if (one.text.empty()) one.text = text;
        },
        statement);
  }
}

/// A name as the kernel keeps it; of hostile bytes, what can be shown.
std::string shown(std::string_view name) {
  std::string text(name.substr(0, 32));
  std::ranges::replace_if(
      text, [](char c) { return c <= ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

XtPart read_xt_match(std::string_view name, std::uint32_t revision, std::string_view info, rules::Family family) {
  const XtKind* kind = find({transport_matches(), header_matches(), connection_matches(), history_matches(),
                             node_matches(), limit_matches(), content_matches(), extension_matches()},
                            name, revision);
  XtPart part;
  part.text = "-m " + shown(name);
  XtWriter out(part);
  if (kind == nullptr || !kind->read({name, revision, info, family}, out)) {
    part = {};
    part.text = fmt::format("-m {} (revision {}, not understood)", shown(name), revision);
    part.statements.emplace_back(rules::walk::Unjudged{});
  }
  name_parts(part, "");
  return part;
}

XtPart read_xt_target(std::string_view name, std::uint32_t revision, std::string_view info, rules::Family family) {
  const XtKind* kind = find({nat_targets(), other_targets(), header_targets()}, name, revision);
  XtPart part;
  part.text = "-j " + shown(name);
  XtWriter out(part);
  if (kind == nullptr || !kind->read({name, revision, info, family}, out)) {
    part = {};
    part.text = fmt::format("-j {} (revision {}, not understood)", shown(name), revision);
    part.statements.push_back(rules::walk::xt::other_target(name, part.text.substr(3)));
  }
  name_parts(part, "-j ");
  return part;
}

}  // namespace kubenatd::netlink::walk
