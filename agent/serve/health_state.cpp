#include "agent/serve/health_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace kubenatd::agent::serve {
namespace {

/// Go's zero time.
constexpr std::string_view kNever = "0001-01-01T00:00:00Z";

std::string text_or_never(const std::optional<base::WallTime>& time) {
  return time ? base::to_rfc3339(*time) : std::string(kNever);
}

std::string to_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Moment Moment::now() {
  return {.steady = std::chrono::steady_clock::now(), .wall = std::chrono::system_clock::now()};
}

void HealthState::queued(rules::Family family, Moment now) {
  const base::MutexLock lock(mutex_);
  FamilyHealth& health = families_[static_cast<std::size_t>(family)];
  if (!health.queued) health.queued = now;
}

void HealthState::updated(rules::Family family, Moment now) {
  const base::MutexLock lock(mutex_);
  FamilyHealth& health = families_[static_cast<std::size_t>(family)];
  health.updated = now;
  health.queued.reset();
}

void HealthState::set_node_eligible(bool eligible) {
  const base::MutexLock lock(mutex_);
  node_eligible_ = eligible;
}

void HealthState::refused(std::vector<std::string> names) {
  if (names.size() > kMostRefused) names.resize(kMostRefused);
  const base::MutexLock lock(mutex_);
  refused_ = std::move(names);
}

void HealthState::held_by(rules::Family family, std::string program) {
  const base::MutexLock lock(mutex_);
  families_[static_cast<std::size_t>(family)].held_by = std::move(program);
}

bool HealthState::healthy(const FamilyHealth& family, Moment now) const {
  return !family.updated || !family.queued || now.steady - family.queued->steady < timeout_;
}

bool HealthState::all_healthy(Moment now) const {
  return std::ranges::all_of(families_, [&](const FamilyHealth& family) { return healthy(family, now); });
}

bool HealthState::healthy(Moment now) const {
  const base::MutexLock lock(mutex_);
  return all_healthy(now);
}

HealthState::Answer HealthState::healthz(Moment now) const {
  return answer(now, true);
}

HealthState::Answer HealthState::livez(Moment now) const {
  return answer(now, false);
}

HealthState::Answer HealthState::answer(Moment now, bool with_node) const {
  const base::MutexLock lock(mutex_);
  const bool is_healthy = all_healthy(now);
  const bool good = is_healthy && (!with_node || node_eligible_);

  std::optional<base::WallTime> last;
  std::string status;
  for (const rules::Family family : rules::kFamilies) {
    const FamilyHealth& health = families_[static_cast<std::size_t>(family)];
    if (!health.updated) continue;
    last = last ? std::max(*last, health.updated->wall) : health.updated->wall;
    status += fmt::format(R"({}"{}":{{"lastUpdated":"{}","healthy":{}}})", status.empty() ? "" : ",", name_of(family),
                          base::to_rfc3339(health.updated->wall), healthy(health, now));
  }
  std::string body = fmt::format(R"({{"lastUpdated":"{}","currentTime":"{}")", text_or_never(good ? now.wall : last),
                                 base::to_rfc3339(now.wall));
  if (with_node) body += fmt::format(R"(,"nodeEligible":{})", node_eligible_);
  body += fmt::format(R"(,"healthy":{})", is_healthy);
  if (!status.empty()) body += fmt::format(R"(,"status":{{{}}})", status);
  if (with_node && !refused_.empty()) body += R"(,"refused":)" + to_json(refused_);
  const auto held = std::ranges::find_if(families_, [](const FamilyHealth& family) { return !family.held_by.empty(); });
  if (with_node && held != families_.end()) body += R"(,"tableOwnedBy":)" + to_json(held->held_by);
  body += "}";
  return {.good = good, .body = std::move(body)};
}

}  // namespace kubenatd::agent::serve
