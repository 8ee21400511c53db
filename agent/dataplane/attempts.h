#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane {

/// What one try to bring the kernel in line led to.
enum class Outcome : std::uint8_t { kDone, kAgain };

/// What the tries of a dataplane work with between them.
struct Attempts {
  NfSession& session;
  bool& audit;                   ///< set when somebody wrote while nobody listened
  std::set<std::string>& found;  ///< drift that was met; handed over with the report
  std::size_t most;
};

/// Tries until the kernel is in line. `attempt` is called with the number of tries before it and the report so far.
/// None: other programs kept writing.
template <class Attempt>
[[nodiscard]] rules::Result<std::optional<SyncReport>> attempt_until_done(const Attempts& tries, Attempt&& attempt) {
  SyncReport report;
  for (std::size_t before = 0; before < tries.most; ++before) {
    rules::Result<Outcome> outcome = attempt(before, report);
    if (tries.session.muted()) {
      auto alone = tries.session.unmute();
      if (!alone) {
        tries.audit = true;
        return std::unexpected(alone.error());
      }
      if (!*alone) {
        // Somebody wrote while nobody listened: look at everything once more.
        tries.audit = true;
        if (outcome) outcome = Outcome::kAgain;
      }
    }
    if (!outcome) return std::unexpected(outcome.error());
    if (*outcome == Outcome::kDone) {
      // What an audit healed without an event was found by it.
      tries.found.insert(report.healed.begin(), report.healed.end());
      report.found = {tries.found.begin(), tries.found.end()};
      tries.found.clear();
      return report;
    }
    ++report.retries;
  }
  return std::optional<SyncReport>();
}

}  // namespace kubenatd::agent::dataplane
