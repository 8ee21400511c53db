#include <utility>

#include "rules/text.h"
#include "rules/walk/xt/expressions.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::rules::walk::xt {
namespace {

/// Turns one rule of the model into statements.
class ModelReader {
 public:
  ModelReader(Family family, std::vector<Statement>& statements) : family_(family), out_(statements) {}

  void read(const Rule& rule) {
    if (rule.source) out_.push_back(source(rule.source->prefix, rule.source->negate));
    if (rule.destination) out_.push_back(destination(rule.destination->prefix, rule.destination->negate));
    if (const auto& in = rule.in_interface) out_.push_back(in_interface(in->name, in->prefix, in->negate));
    if (const auto& to = rule.out_interface) out_.push_back(out_interface(to->name, to->prefix, to->negate));
    if (rule.protocol) out_.push_back(protocol(static_cast<std::uint8_t>(*rule.protocol), family_, false));
    for (const Match& match : rule.matches) std::visit(*this, match);
    std::visit(*this, rule.target);
  }

  void operator()(const CommentMatch&) {}
  void operator()(const PortMatch& match) {
    if (match.destination) out_.push_back(ports(false, {{*match.destination, *match.destination}}, false));
  }
  void operator()(const MarkMatch& match) { out_.push_back(mark(match.value, match.mask, match.negate)); }
  void operator()(const ConntrackMatch& match) { out_.push_back(connection_state(match.states, match.negate)); }
  void operator()(const AddrTypeMatch& match) {
    constexpr std::uint16_t kLocal = 1U << 2U;  // RTN_LOCAL
    if (match.source_local) out_.push_back(address_type(true, kLocal, false, false, false, family_));
    if (match.destination_local) out_.push_back(address_type(false, kLocal, false, false, false, family_));
  }
  void operator()(const StatisticMatch& match) {
    out_.emplace_back(Chance{match.probability / static_cast<double>(1U << 31U)});
  }
  void operator()(const RecentMatch& match) {
    if (match.action == RecentMatch::Action::kCheck) out_.emplace_back(Remembered{match.name, false});
  }
  void operator()(const NfacctMatch& match) { out_.push_back(accounting(match.name)); }
  void operator()(const MultiportMatch& match) {
    PortRanges ranges;
    for (const std::uint16_t port : match.destinations) ranges.emplace_back(port, port);
    out_.push_back(ports(false, ranges, false));
  }

  void operator()(const NoTarget&) {}
  void operator()(rules::Verdict verdict) {
    Verdict walked = Verdict::kAccept;
    switch (verdict) {
      case rules::Verdict::kAccept: break;
      case rules::Verdict::kDrop: walked = Verdict::kDrop; break;
      case rules::Verdict::kReturn: walked = Verdict::kReturn; break;
    }
    out_.emplace_back(ToVerdict{walked, {}});
  }
  void operator()(const Jump& jump) {
    out_.emplace_back(ToVerdict{jump.is_goto ? Verdict::kGoto : Verdict::kJump, jump.chain});
  }
  void operator()(const MarkTarget& target) { out_.push_back(set_mark(target.value, target.mask)); }
  void operator()(const MasqueradeTarget& target) {
    out_.push_back(nat(Nat::Kind::kMasquerade, {}, {}, {}, {}, target.random_fully, false));
  }
  void operator()(const DnatTarget& target) {
    const auto port = target.port == 0 ? std::nullopt : std::optional(target.port);
    out_.push_back(nat(Nat::Kind::kDestination, target.address, {}, port, {}, false, false));
  }
  void operator()(const RejectTarget&) {
    out_.emplace_back(Refuse{family_ == Family::kIpv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable"});
  }

 private:
  Family family_;
  std::vector<Statement>& out_;
};

}  // namespace

WalkRule walk_rule(Rule rule, Family family) {
  WalkRule made;
  made.text = to_text(rule, family);
  made.comment = comment_of(rule);
  if (!rule.opaque.empty()) {
    made.statements.emplace_back(Unjudged{rule.opaque, Part::kOther});
    made.statements.emplace_back(OtherTarget{rule.opaque});
    return made;
  }
  ModelReader(family, made.statements).read(rule);
  made.model = std::move(rule);
  return made;
}

}  // namespace kubenatd::rules::walk::xt
