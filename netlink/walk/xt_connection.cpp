#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of connection tracking.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;

constexpr std::pair<std::uint32_t, std::string_view> kStateNames[] = {
    {0x01, "INVALID"},    {0x08, "NEW"},  {0x04, "RELATED"}, {0x02, "ESTABLISHED"},
    {0x100, "UNTRACKED"}, {0x40, "SNAT"}, {0x80, "DNAT"}};

/// What is asked of the connection, and in what order, as iptables prints it.
class ConntrackReader {
 public:
  ConntrackReader(const XtInfo& info, const layout::Conntrack& wanted, XtWriter& out)
      : info_(info), wanted_(wanted), out_(out) {}

  void read() {
    constexpr std::uint16_t kState = 1U << 0U, kProtocol = 1U << 1U, kStatus = 1U << 6U, kExpires = 1U << 7U,
                            kDirection = 1U << 12U, kAlias = 1U << 13U;
    has_state_ = asks(kState);
    if (asks(kState)) {
      const bool alias = asks(kAlias);
      if (alias) out_.head("-m state");
      out_.say(negated(kState), "--{} {}", alias ? "state" : "ctstate", names_of(wanted_.states, kStateNames));
      out_.add(xt::connection_state(wanted_.states, negated(kState)));
    }
    if (asks(kProtocol)) {
      out_.say(negated(kProtocol), "--ctproto {}", wanted_.protocol);
      // No protocol has such a number: no port either.
      add(wanted_.protocol > 255
              ? xt::connection_ports(true, true, 1, 0, negated(kProtocol))
              : xt::connection_protocol(static_cast<std::uint8_t>(wanted_.protocol), negated(kProtocol)));
    }
    address("ctorigsrc", 1U << 2U, true, true, wanted_.origsrc, wanted_.origsrc_mask);
    address("ctorigdst", 1U << 3U, true, false, wanted_.origdst, wanted_.origdst_mask);
    address("ctreplsrc", 1U << 4U, false, true, wanted_.replsrc, wanted_.replsrc_mask);
    address("ctrepldst", 1U << 5U, false, false, wanted_.repldst, wanted_.repldst_mask);
    constexpr std::string_view kPorts[] = {"ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"};
    for (std::size_t i = 0; i < 4; ++i) port(kPorts[i], i);
    if (asks(kStatus)) {
      constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
          {1, "EXPECTED"}, {2, "SEEN_REPLY"}, {4, "ASSURED"}, {8, "CONFIRMED"}};
      out_.say(negated(kStatus), "--ctstatus {}",
               wanted_.status == 0 ? std::string("NONE") : names_of(wanted_.status, kNames));
      add(xt::connection_status(wanted_.status, negated(kStatus)));
    }
    if (asks(kExpires)) {
      out_.say(negated(kExpires), "--ctexpire {}", range_text(wanted_.expires_min, wanted_.expires_max));
      out_.unjudged(rules::walk::Part::kState);
    }
    if (asks(kDirection)) {
      out_.say(false, "--ctdir {}", negated(kDirection) ? "REPLY" : "ORIGINAL");
      add(xt::connection_direction(!negated(kDirection)));
    }
  }

 private:
  [[nodiscard]] bool asks(std::uint16_t flag) const { return (wanted_.match & flag) != 0; }
  [[nodiscard]] bool negated(std::uint16_t flag) const { return (wanted_.invert & flag) != 0; }

  /// A packet without a connection fits what has a state that fits, and nothing else.
  void add(const rules::walk::Statement& statement) {
    out_.add(has_state_ ? xt::or_without_connection(statement) : statement);
  }

  void address(std::string_view option, std::uint16_t flag, bool original, bool is_source, const layout::Address& bytes,
               const layout::Address& mask_bytes) {
    if (!asks(flag)) return;
    const rules::Address address = info_.address(bytes), mask = info_.address(mask_bytes);
    out_.say(negated(flag), "--{} {}{}", option, address.to_string(), mask_text(mask));
    add(xt::connection_address(original, is_source, address, mask, negated(flag)));
  }

  void port(std::string_view option, std::size_t which) {
    const auto flag = static_cast<std::uint16_t>(1U << (8U + which));
    if (!asks(flag)) return;
    std::uint16_t first = wanted_.ports[which], last = wanted_.last_ports[which];
    if (info_.revision < 3) {
      first = static_cast<std::uint16_t>(first << 8U | first >> 8U);
      last = first;
    }
    out_.say(negated(flag), "--{} {}", option, range_text(first, last));
    add(xt::connection_ports(which < 2, which % 2 == 0, first, last, negated(flag)));
  }

  const XtInfo& info_;
  const layout::Conntrack& wanted_;
  XtWriter& out_;
  bool has_state_ = false;
};

bool read_conntrack(const XtInfo& info, XtWriter& out) {
  const std::size_t size = info.revision == 1   ? layout::kConntrackSize1
                           : info.revision == 2 ? layout::kConntrackSize2
                                                : sizeof(layout::Conntrack);
  if (info.bytes.size() != size) return false;
  layout::Conntrack wanted{};
  std::memcpy(&wanted, info.bytes.data(), size);
  if (info.revision == 1) {
    const auto states = static_cast<std::uint8_t>(info.bytes[offsetof(layout::Conntrack, states)]);
    const auto status = static_cast<std::uint8_t>(info.bytes[offsetof(layout::Conntrack, states) + 1]);
    wanted.states = states;
    wanted.status = status;
  }
  ConntrackReader(info, wanted, out).read();
  return true;
}

bool read_state(const XtInfo& info, XtWriter& out) {
  const auto state = info.as<layout::State>();
  if (!state) return false;
  constexpr std::uint32_t kUntracked = 1U << 6U, kUntrackedOfConntrack = 1U << 8U;
  std::uint32_t states = state->states & 0x0fU;
  if ((state->states & kUntracked) != 0) states |= kUntrackedOfConntrack;
  out.say(false, "--state {}", names_of(states, kStateNames));
  out.add(xt::connection_state(static_cast<std::uint16_t>(states), false));
  return true;
}

bool read_connmark(const XtInfo& info, XtWriter& out) {
  const auto mark = info.as<known::Mark>();
  if (!mark) return false;
  out.say(mark->invert != 0, "--mark {}", masked_text(mark->value, mark->mask));
  out.add(xt::connmark(mark->value, mark->mask, mark->invert != 0));
  return true;
}

bool read_connlabel(const XtInfo& info, XtWriter& out) {
  const auto label = info.as<layout::Connlabel>();
  if (!label) return false;
  out.say((label->options & 1U) != 0, "--label \"{}\"", label->bit);
  if ((label->options & 2U) != 0) out.say(false, "--set");
  out.unjudged();
  return true;
}

bool read_connbytes(const XtInfo& info, XtWriter& out) {
  const auto bytes = info.as<layout::Connbytes>();
  if (!bytes || bytes->what > 2 || bytes->direction > 2) return false;
  constexpr std::string_view kWhat[] = {"packets", "bytes", "avgpkt"};
  constexpr std::string_view kDirections[] = {"original", "reply", "both"};
  // Negation is an upper limit below the lower one.
  if (bytes->from > bytes->until) {
    out.say(true, "--connbytes {}:{}", bytes->until, bytes->from);
  } else {
    out.say(false, "--connbytes {}:{}", bytes->from, bytes->until);
  }
  out.say(false, "--connbytes-mode {} --connbytes-dir {}", kWhat[bytes->what], kDirections[bytes->direction]);
  out.unjudged();
  return true;
}

bool read_helper(const XtInfo& info, XtWriter& out) {
  const auto helper = info.as<layout::Helper>();
  if (!helper) return false;
  out.say(helper->invert != 0, "--helper");
  out.quoted(text_of(helper->name));
  // Only a connection that a helper foresaw has a master, and such a one is not new.
  out.add(xt::expected_connection(helper->invert != 0));
  return true;
}

}  // namespace

std::span<const XtKind> connection_matches() {
  static constexpr XtKind kKinds[] = {{"conntrack", 1, 3, read_conntrack}, {"state", 0, 0, read_state},
                                      {"connmark", 1, 1, read_connmark},   {"connlabel", 0, 0, read_connlabel},
                                      {"connbytes", 0, 0, read_connbytes}, {"helper", 0, 0, read_helper}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
