#include "rules/walk/conditions.h"

#include <algorithm>

namespace kubenatd::rules::walk {
namespace {

constexpr std::int64_t kDay = 86400;

/// Days since 1970, also of times before.
[[nodiscard]] std::int64_t days_of(std::int64_t stamp) {
  return (stamp - ((stamp % kDay) + kDay) % kDay) / kDay;
}

/// In the Gregorian calendar. Years are counted from March on, so that the day of leap years comes last.
[[nodiscard]] unsigned day_of_month(std::int64_t days_since_1970) {
  constexpr std::int64_t kDaysOf400Years = 146097;
  constexpr std::int64_t kFromMarchOfYear0 = 719468;
  const std::int64_t days = days_since_1970 + kFromMarchOfYear0;
  const std::int64_t of_era = ((days % kDaysOf400Years) + kDaysOf400Years) % kDaysOf400Years;
  const std::int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const std::int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const std::int64_t month = (5 * of_year + 2) / 153;
  return static_cast<unsigned>(of_year - (153 * month + 2) / 5 + 1);
}

}  // namespace

Holds judge_condition(const Condition& condition, const PacketState& state, const Drawn& drawn, Evaluator& evaluator) {
  evaluator.notes.maybe_absent = false;
  const Value value = evaluator.evaluate(condition.left, state, drawn);
  if (value.absent) return Holds::kNo;
  Holds result = holds(value, condition.ranges);
  if (condition.negate) result = opposite(result);
  return result == Holds::kYes && evaluator.notes.maybe_absent ? Holds::kMaybe : result;
}

Holds judge_condition(const AnyOf& any, const PacketState& state, const Drawn& drawn, Evaluator& evaluator) {
  Holds result = Holds::kNo;
  for (const Condition& condition : any.conditions) {
    result = std::max(result, judge_condition(condition, state, drawn, evaluator));
    if (result == Holds::kYes) break;
  }
  return any.negate ? opposite(result) : result;
}

Holds judge_condition(const InTime& time, const Surroundings& surroundings) {
  if (!surroundings.now) return Holds::kMaybe;
  std::int64_t stamp = *surroundings.now;
  if (time.local_time) stamp -= std::int64_t{60} * surroundings.minutes_west;
  const auto fits = [&] {
    if ((time.from && stamp < *time.from) || (time.until && stamp > *time.until)) return false;
    const auto second = static_cast<std::uint32_t>(((stamp % kDay) + kDay) % kDay);
    if (time.day_from < time.day_until) {
      if (second < time.day_from || second > time.day_until) return false;
    } else {
      if (second < time.day_from && second > time.day_until) return false;
      // With --contiguous the hours behind midnight belong to the day before.
      if (time.contiguous && second <= time.day_until) stamp -= kDay;
    }
    const std::int64_t day = days_of(stamp);
    const std::int64_t weekday = ((day + 3) % 7 + 7) % 7 + 1;  // 1970 began on a Thursday; Monday is 1
    if ((time.weekdays >> weekday & 1U) == 0) return false;
    const unsigned month_day = day_of_month(day);
    return (time.month_days >> month_day & 1U) != 0;
  }();
  return fits != time.negate ? Holds::kYes : Holds::kNo;
}

Holds judge_condition(const InIpset& match, const PacketState& state, const Surroundings& surroundings) {
  if (!surroundings.ipset_has) return Holds::kMaybe;
  if (state.last_destination || state.last_destination_port || state.own_destination) return Holds::kMaybe;
  Packet now = state.packet;
  if (state.source_changed) {
    if (!state.new_source) return Holds::kMaybe;
    now.source = *state.new_source;
  }
  if (state.source_port_unknown) now.source_port_known = false;
  const std::optional<bool> has = surroundings.ipset_has(match, now);
  if (!has) return Holds::kMaybe;
  return *has != match.negate ? Holds::kYes : Holds::kNo;
}

std::optional<double> odds_of(const Condition& condition, const Draw& draw) {
  const Expression* left = condition.left.get();
  bool network = false;
  if (const auto* swap = std::get_if<Swap>(&left->what)) {
    if (swap->unit != 4 || swap->of == nullptr) return std::nullopt;
    network = true;
    left = swap->of.get();
  }
  if (std::get_if<Draw>(&left->what) != &draw || draw.modulus == 0) return std::nullopt;
  const std::uint64_t lowest = draw.offset, highest = lowest + draw.modulus - 1;
  if (highest > 0xffffffffU) return std::nullopt;
  // Ranges of a set may touch or overlap: they are counted once.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [first, last] : condition.ranges) {
    if (first.size != 4 || last.size != 4) return std::nullopt;
    if (!network && first != last) return std::nullopt;
    const std::uint64_t from = network ? first.as_network() : first.as_host();
    const std::uint64_t until = network ? last.as_network() : last.as_host();
    if (std::max(from, lowest) <= std::min(until, highest))
      ranges.emplace_back(std::max(from, lowest), std::min(until, highest));
  }
  std::ranges::sort(ranges);
  std::uint64_t count = 0, next = 0;
  for (const auto& [from, until] : ranges) {
    const std::uint64_t begin = std::max(from, next);
    if (begin > until) continue;
    count += until - begin + 1;
    next = until + 1;
  }
  const double odds = static_cast<double>(count) / draw.modulus;
  return condition.negate ? 1 - odds : odds;
}

}  // namespace kubenatd::rules::walk
