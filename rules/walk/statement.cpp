#include "rules/walk/statement.h"

#include <algorithm>
#include <type_traits>

namespace kubenatd::rules::walk {
namespace {

[[nodiscard]] bool equal(const Condition& one, const Condition& other) {
  return one.negate == other.negate && one.ranges == other.ranges && same(one.left, other.left);
}
[[nodiscard]] bool equal(const InSet& one, const InSet& other) {
  return one.negate == other.negate && one.set == other.set && same(one.key, other.key);
}
[[nodiscard]] bool equal(const AnyOf& one, const AnyOf& other) {
  return one.negate == other.negate &&
         std::ranges::equal(one.conditions, other.conditions,
                            [](const Condition& left, const Condition& right) { return equal(left, right); });
}
[[nodiscard]] bool equal(const InIpset& one, const InIpset& other) {
  return one.name == other.name && one.source == other.source && one.negate == other.negate;
}
[[nodiscard]] bool equal(const InTime& one, const InTime& other) {
  return one.from == other.from && one.until == other.until && one.day_from == other.day_from &&
         one.day_until == other.day_until && one.month_days == other.month_days && one.weekdays == other.weekdays &&
         one.local_time == other.local_time && one.contiguous == other.contiguous && one.negate == other.negate;
}
[[nodiscard]] bool equal(const Chance& one, const Chance& other) {
  return one.odds == other.odds;
}
[[nodiscard]] bool equal(const Remembered& one, const Remembered& other) {
  return one.list == other.list && one.negate == other.negate;
}
// What is not understood is the same only when its text is: there is nothing else to tell it by.
[[nodiscard]] bool equal(const Unjudged& one, const Unjudged& other) {
  return one.text == other.text;
}
[[nodiscard]] bool equal(const OtherTarget& one, const OtherTarget& other) {
  return one.text == other.text;
}
[[nodiscard]] bool equal(const Never& /*one*/, const Never& /*other*/) {
  return true;
}
[[nodiscard]] bool equal(const NoEffect& /*one*/, const NoEffect& /*other*/) {
  return true;
}
[[nodiscard]] bool equal(const SetMeta& one, const SetMeta& other) {
  return one.key == other.key && same(one.value, other.value);
}
[[nodiscard]] bool equal(const SetCt& one, const SetCt& other) {
  return one.key == other.key && same(one.value, other.value);
}
[[nodiscard]] bool equal(const SetPayload& one, const SetPayload& other) {
  return one.where == other.where && same(one.value, other.value);
}
[[nodiscard]] bool equal(const NoTrack& /*one*/, const NoTrack& /*other*/) {
  return true;
}
[[nodiscard]] bool equal(const ToVerdict& one, const ToVerdict& other) {
  return one == other;
}
[[nodiscard]] bool equal(const VerdictMap& one, const VerdictMap& other) {
  return one.map == other.map && same(one.key, other.key);
}
[[nodiscard]] bool equal(const Refuse& one, const Refuse& other) {
  return one.with == other.with;
}
[[nodiscard]] bool equal(const Nat& one, const Nat& other) {
  return one.kind == other.kind && one.netmap == other.netmap && one.random == other.random &&
         one.persistent == other.persistent && same(one.address, other.address) &&
         same(one.last_address, other.last_address) && same(one.port, other.port) &&
         same(one.last_port, other.last_port);
}
[[nodiscard]] bool equal(const Tproxy& one, const Tproxy& other) {
  return one.mark == other.mark && one.mark_mask == other.mark_mask && same(one.address, other.address) &&
         same(one.port, other.port);
}
[[nodiscard]] bool equal(const UpdateSet& one, const UpdateSet& other) {
  return one.set == other.set && one.condition == other.condition && same(one.key, other.key);
}

}  // namespace

bool same(const Statement& one, const Statement& other) {
  if (one.index() != other.index()) return false;
  return std::visit([&](const auto& left) { return equal(left, std::get<std::decay_t<decltype(left)>>(other)); }, one);
}

}  // namespace kubenatd::rules::walk
