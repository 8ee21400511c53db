#include "agent/dataplane/other_proxies.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/dataplane/table_owner.h"

namespace kubenatd::agent::dataplane {

using netlink::TableEvent;

OtherProxies::OtherProxies(rules::Family family, config::Config::Mode mode) : family_(family) {
  for (const LeftBehind what : left_behind_besides(mode)) known_.push_back({.what = what});
}

void OtherProxies::note(const TableEvent& event, Time now) {
  for (Known& known : known_) {
    if (event.kind == TableEvent::Kind::kGeneration) {
      if (std::exchange(known.in_transaction, false))
        known.writer = fmt::format("{} ({})", base::one_line(event.process_name), event.process_id);
      continue;
    }
    if (event.family != family_ || !concerns(known.what, event)) continue;
    known.in_transaction = true;
    known.written = now;
    if (known.left_since) {  // it is known to be alive; perhaps it took its rules away
      known.look_at = std::min(known.look_at.value_or(now + kAskAgain), now + kAskAgain);
      continue;
    }
    if (!known.suspected_since) known.suspected_since = now;
    known.look_at = std::min(now + kSettle, *known.suspected_since + kLongestSettle);
  }
}

void OtherProxies::suspect_all(Time now) {
  for (Known& known : known_)
    if (!known.left_since && (!known.look_at || *known.look_at > now)) known.look_at = now;
}

std::optional<Time> OtherProxies::due() const {
  std::optional<Time> first;
  for (const Known& known : known_)
    if (known.look_at && (!first || *known.look_at < *first)) first = known.look_at;
  return first;
}

std::vector<OtherProxies::News> OtherProxies::look(netlink::NfTables& kernel, const Answers& answers, Time now,
                                                   std::vector<rules::Error>& problems) {
  std::vector<News> told;
  for (Known& known : known_) {
    if (!known.look_at || *known.look_at > now) continue;
    known.look_at.reset();
    known.suspected_since.reset();
    if (const auto decided = decide(known, kernel, answers, now, told); !decided) {
      problems.push_back(decided.error());
      known.look_at = now + kAskAgain;
    }
  }
  return told;
}

rules::Status OtherProxies::decide(Known& known, netlink::NfTables& kernel, const Answers& answers, Time now,
                                   std::vector<News>& told) const {
  const auto there = stands(kernel, family_, known.what);
  if (!there) return std::unexpected(there.error());
  // At the start also what does not tell its maker is removed: single chains, entries of host ports.
  if (!*there && known.looked) {
    known.left_since.reset();
    known.comes_back = false;
    return {};
  }
  while (!known.removals.empty() && now - known.removals.front() > kPeriod) known.removals.pop_front();
  News news{.family = family_, .what = known.what, .kind = {}, .removed = {}, .where = {}, .writer = known.writer};
  if (*there) {
    const auto owner = owner_of(kernel, family_, known.what);
    if (!owner) return std::unexpected(owner.error());
    if (*owner) {
      news.kind = News::Kind::kOwned;
      if (!known.left_since) news.where = name_of_owner(**owner);
      leave(known, std::move(news), now + kOwnerAgain, now, told);
      return {};
    }
    if (const auto where = answers ? answers(known.what) : std::nullopt) {
      news.kind = News::Kind::kAnswers;
      news.where = *where;
      leave(known, std::move(news), now + kAskAgain, now, told);
      return {};
    }
    const Time quiet = known.written.value_or(now) + kPeriod;
    known.comes_back = known.comes_back || known.removals.size() >= kMost;
    if (known.comes_back && quiet > now) {
      news.kind = News::Kind::kComesBack;
      leave(known, std::move(news), quiet, now, told);
      return {};
    }
  }
  auto removed = remove(kernel, family_, known.what);
  if (!removed) return std::unexpected(removed.error());
  known.looked = true;
  known.left_since.reset();
  known.comes_back = false;
  if (removed->chains == 0 && removed->jumps == 0 && removed->tables == 0) return {};
  news.kind = known.removals.empty() ? News::Kind::kRemoved : News::Kind::kRemovedAgain;
  news.removed = std::move(*removed);
  known.removals.push_back(now);
  told.push_back(std::move(news));
  return {};
}

void OtherProxies::leave(Known& known, News news, Time until, Time now, std::vector<News>& told) const {
  known.look_at = until;
  if (known.left_since) return;  // told already
  known.left_since = now;
  told.push_back(std::move(news));
}

std::vector<LeftBehind> OtherProxies::left() const {
  std::vector<LeftBehind> all;
  for (const Known& known : known_)
    if (known.left_since) all.push_back(known.what);
  return all;
}

}  // namespace kubenatd::agent::dataplane
