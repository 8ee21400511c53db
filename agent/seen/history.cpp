#include "agent/seen/history.h"

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::seen {

std::string_view name_of(Happening::Kind kind) {
  using Kind = Happening::Kind;
  switch (kind) {
    case Kind::kDrift: return "drift";
    case Kind::kDisputed: return "disputed";
    case Kind::kRefused: return "refused";
    case Kind::kInForce: return "in-force";
    case Kind::kSyncFailed: return "sync-failed";
    case Kind::kSyncWorks: return "sync-works";
    case Kind::kSourceDown: return "source-down";
    case Kind::kSourceUp: return "source-up";
    case Kind::kOtherProxy: return "other-proxy";
    case Kind::kEventsLost: return "events-lost";
    case Kind::kFirstSync: return "first-sync";
  }
  return "";
}

void History::add(Happening happening) {
  happening.number = ++last_number_;
  happening.what = base::one_line(happening.what, kLongestText);
  if (happening.objects.size() > kNamedObjects) {
    happening.more_objects += happening.objects.size() - kNamedObjects;
    happening.objects.resize(kNamedObjects);
  }
  for (std::string& object : happening.objects) object = base::one_line(object, kLongestText);
  happenings_.push_back(std::move(happening));
  if (happenings_.size() > kMost) happenings_.pop_front();
}

std::vector<Happening> History::after(std::uint64_t number) const {
  const auto first = std::ranges::find_if(happenings_, [&](const Happening& one) { return one.number > number; });
  return {first, happenings_.end()};
}

}  // namespace kubenatd::agent::seen
