#include "agent/dataplane/nftables/flowtable_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "agent/dataplane/nftables/live.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

/// The word that a device has gone comes at about the same time.
constexpr auto kFirstRetry = std::chrono::milliseconds(200);
constexpr auto kLongestRetry = std::chrono::seconds(60);

}  // namespace

void FlowtableDevices::want(const std::vector<config::Device>& devices) {
  if (devices == wanted_) return;
  wanted_ = devices;
  look_ = true;
  again_.reset();
  delay_ = {};
}

std::set<std::string> FlowtableDevices::wanted() const {
  std::set<std::string> names;
  for (const config::Device& device : wanted_) names.insert(device.name);
  return names;
}

std::optional<Time> FlowtableDevices::due() const {
  if (!look_) return std::nullopt;
  return again_ ? *again_ : Time{};
}

rules::Result<bool> FlowtableDevices::sync(NfSession& session, std::string_view flowtable, Time now,
                                           const std::function<bool()>& may_heal) {
  const auto read = [&]() -> rules::Status {
    auto flowtables = read_flowtables(session.kernel(), family_);
    if (!flowtables) return std::unexpected(flowtables.error());
    const auto found = flowtables->find(std::string(flowtable));
    live_ = found == flowtables->end() ? std::set<std::string>() : std::move(found->second.devices);
    return {};
  };
  if (auto done = read(); !done) return std::unexpected(done.error());
  const std::set<std::string> names = wanted();
  Changes changes;
  std::ranges::set_difference(names, live_, std::back_inserter(changes.added));
  std::ranges::set_difference(live_, names, std::back_inserter(changes.removed));
  look_ = false;
  again_.reset();
  if (changes.added.empty() && changes.removed.empty()) {
    suspected_ = false;
    delay_ = {};
    problem_.clear();
    return false;
  }
  // What is held comes back with the structure.
  if (suspected_ && !may_heal()) return false;
  problem_.clear();
  const bool is_single = changes.added.size() + changes.removed.size() == 1;
  if (!commit(session, flowtable, changes) && !is_single) commit_singly(session, flowtable, changes);
  if (auto done = read(); !done) return std::unexpected(done.error());
  if (live_ == names) {
    delay_ = {};
    problem_.clear();
    return std::exchange(suspected_, false);
  }
  delay_ =
      delay_ == Clock::duration{} ? Clock::duration(kFirstRetry) : std::min<Clock::duration>(2 * delay_, kLongestRetry);
  again_ = now + delay_;
  look_ = true;
  return false;
}

bool FlowtableDevices::commit(NfSession& session, std::string_view flowtable, const Changes& changes) {
  netlink::Batch batch;
  for (const std::string& device : changes.removed)
    netlink::nftables::remove_flowtable_device(batch, family_, flowtable, device);
  for (const std::string& device : changes.added)
    netlink::nftables::add_flowtable_device(batch, family_, flowtable, device);
  // Not guarded: whatever others write, these are to be there.
  const auto committed = session.commit(batch, false);
  // One that has gone meanwhile is not there to be told of.
  if (!committed && committed.error().error.code != ENOENT)
    problem_ = fmt::format("{}: {}", fmt::join(changes.added.empty() ? changes.removed : changes.added, ", "),
                           committed.error().error.cause);
  return committed.has_value();
}

void FlowtableDevices::commit_singly(NfSession& session, std::string_view flowtable, const Changes& changes) {
  std::string problem;
  const auto one_by_one = [&](const std::vector<std::string>& devices, bool adding) {
    for (const std::string& device : devices) {
      problem_.clear();
      (void)commit(session, flowtable,
                   {.added = adding ? std::vector{device} : std::vector<std::string>(),
                    .removed = adding ? std::vector<std::string>() : std::vector{device}});
      if (problem.empty()) problem = problem_;
    }
  };
  one_by_one(changes.removed, false);
  one_by_one(changes.added, true);
  problem_ = std::move(problem);
}

}  // namespace kubenatd::agent::dataplane::nftables
