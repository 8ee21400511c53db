#include "rules/former_walk/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace kubenatd::rules::former_walk {
namespace {

/// Gathers what the parts of one rule say.
class Judge {
 public:
  Judge(const PacketNow& now, const Surroundings& surroundings) : now_(now), surroundings_(surroundings) {}

  [[nodiscard]] Judgement judge(const WalkRule& rule) {
    const Rule& model = rule.rule;
    if (!rule.never.empty()) fail(Part::kOther);
    if (model.source) need(model.source->prefix.contains(now_.packet.source) != model.source->negate, Part::kSource);
    if (model.destination)
      need(model.destination->prefix.contains(now_.packet.destination) != model.destination->negate,
           Part::kDestination);
    interface(model.in_interface, now_.in_interface, Part::kInInterface);
    interface(model.out_interface, now_.out_interface, Part::kOutInterface);
    if (model.protocol) need(*model.protocol == now_.packet.protocol, Part::kProtocol);
    for (const PortsMatch& match : rule.ports) ports(match);
    for (const Match& match : model.matches) std::visit(*this, match);
    if (!rule.unknown.empty()) unknown(Part::kOther);
    return failed_ ? *failed_ : unknown_ ? *unknown_ : result_;
  }

  void operator()(const CommentMatch&) {}
  void operator()(const NfacctMatch&) {}
  void operator()(const PortMatch& match) {
    need(match.protocol == now_.packet.protocol, Part::kProtocol);
    if (match.destination) need(*match.destination == now_.packet.destination_port, Part::kDestinationPort);
  }
  void operator()(const MarkMatch& match) {
    if ((now_.unknown_mark & match.mask) != 0) return unknown(Part::kMark);
    need(((now_.packet.mark & match.mask) == match.value) != match.negate, Part::kMark);
  }
  void operator()(const ConntrackMatch& match) {
    need(((now_.states & match.states) != 0) != match.negate, Part::kState);
  }
  void operator()(const AddrTypeMatch& match) {
    if (match.source_local) need(surroundings_.is_local(now_.packet.source), Part::kSourceType);
    if (match.destination_local) need(surroundings_.is_local(now_.packet.destination), Part::kDestinationType);
  }
  void operator()(const StatisticMatch& match) {
    // xt_statistic matches when 31 random bits are below the value.
    const double odds = std::min(1.0, match.probability / static_cast<double>(1U << 31));
    if (odds >= 1) return;
    if (odds <= 0) return fail(Part::kOther);
    if (result_.fit == Fit::kYes) result_.fit = Fit::kByChance;
    result_.odds *= odds;
  }
  void operator()(const RecentMatch& match) {
    if (match.action == RecentMatch::Action::kCheck) result_.fit = Fit::kIfRemembered;
  }
  void operator()(const MultiportMatch& match) {
    need(std::ranges::find(match.destinations, now_.packet.destination_port) != match.destinations.end(),
         Part::kDestinationPort);
  }

 private:
  void need(bool holds, Part part) {
    if (!holds) fail(part);
  }
  void fail(Part part) {
    if (!failed_) failed_ = Judgement{.fit = Fit::kNo, .part = part};
  }
  void unknown(Part part) {
    if (!unknown_) unknown_ = Judgement{.fit = Fit::kUnknown, .part = part};
  }

  void interface(const std::optional<InterfaceMatch>& match, const std::optional<std::string>& name, Part part) {
    if (!match) return;
    if (!name) return unknown(part);
    const bool fits = match->prefix ? name->starts_with(match->name) : *name == match->name;
    need((fits && !name->empty()) != match->negate, part);
  }

  void ports(const PortsMatch& match) {
    const std::uint16_t port = match.source ? now_.packet.source_port : now_.packet.destination_port;
    const bool fits = std::ranges::any_of(
        match.ranges, [&](const auto& range) { return range.first <= port && port <= range.second; });
    need(fits != match.negate, match.source ? Part::kSourcePort : Part::kDestinationPort);
  }

  const PacketNow& now_;
  const Surroundings& surroundings_;
  std::optional<Judgement> failed_;
  std::optional<Judgement> unknown_;
  Judgement result_;
};

}  // namespace

bool Surroundings::is_local(const Address& address) const {
  return address.is_loopback() || std::ranges::find(local, address) != local.end();
}

std::optional<std::string> Surroundings::interface_to(const Address& address) const {
  if (is_local(address)) return "lo";
  const Route* best = nullptr;
  for (const Route& route : routes)
    if (route.destination.contains(address) && (best == nullptr || route.destination.length > best->destination.length))
      best = &route;
  if (best == nullptr) return std::nullopt;
  return best->interface;
}

Judgement judge(const WalkRule& rule, const PacketNow& now, const Surroundings& surroundings) {
  return Judge(now, surroundings).judge(rule);
}

std::string describe_mismatch(Part part, std::uint32_t mark) {
  switch (part) {
    case Part::kNone: return "";
    case Part::kSource: return "the source address does not fit";
    case Part::kDestination: return "the destination address does not fit";
    case Part::kInInterface: return "the packet comes in by another interface";
    case Part::kOutInterface: return "the packet goes out by another interface";
    case Part::kProtocol: return "the protocol is another one";
    case Part::kSourcePort: return "the source port does not fit";
    case Part::kDestinationPort: return "the destination port does not fit";
    case Part::kMark: return fmt::format("the mark is {:#x}", mark);
    case Part::kState: return "the connection is in another state";
    case Part::kSourceType: return "the source is no address of this node";
    case Part::kDestinationType: return "the destination is no address of this node";
    case Part::kOther: return "another part of the rule does not fit";
  }
  return "";
}

}  // namespace kubenatd::rules::former_walk
