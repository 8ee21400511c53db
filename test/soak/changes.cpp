#include "test/soak/changes.h"

#include <chrono>

#include "test/soak/objects.h"

namespace kubenatd::soak {
namespace {

constexpr unsigned kTargets = 8;
constexpr unsigned kPods = 60;
constexpr int kFirstHostPort = 9180;

}  // namespace

Changes::Changes(const Options& options, test::ApiServer& server, const test::Lab& lab, Ways& ways)
    : options_(options), server_(server), dice_(options.seed, 1), second_(server, lab, ways) {
  for (unsigned i = 0; i < kTargets; ++i) targets_.push_back(std::make_unique<Target>(server, lab, i, ways));
  int port = kFirstHostPort;
  for (const char* pod : {"pod-a", "pod-b"})
    pods_.push_back(std::make_unique<HostPortPod>(server, lab, pod, ++port, ways));
  for (unsigned i = 0; i < options_.services; ++i) {
    server_.put(random_service(i, dice_));
    for (const bool ipv6 : {false, true}) server_.put(random_slice(i, ipv6, dice_));
  }
  for (unsigned i = 0; i < kPods; i += 2) server_.put(random_pod(i, dice_));
}

Changes::~Changes() {
  stop();
}

void Changes::start(Probe& probe) {
  thread_ = std::thread([this, &probe] { run(probe); });
}

void Changes::stop() {
  stopping_ = true;
  if (!thread_.joinable()) return;
  thread_.join();
  second_.end();
}

void Changes::run(Probe& probe) {
  while (!stopping_) {
    {
      const std::scoped_lock lock(mutex_);
      change(probe);
    }
    // Uneven: bursts and pauses.
    const auto pace = std::chrono::milliseconds(1000 / std::max(options_.rate, 1));
    if (!dice_.one_in(4)) continue;
    std::this_thread::sleep_for(dice_.between(pace * 2, pace * 6));
  }
}

void Changes::change(Probe& probe) {
  ++count_;
  for (const auto& target : targets_) target->go_on();
  for (const auto& pod : pods_) pod->go_on();
  second_.go_on();
  const unsigned kind = dice_.below(1000);
  if (kind < 50) return dice_.one_of(targets_)->change(dice_);
  if (kind < 55) return dice_.one_of(pods_)->change();
  if (kind < 63) return second_.change(dice_);
  if (kind < 75) return probe.turn();
  change_background();
}

void Changes::change_background() {
  const unsigned number = dice_.below(options_.services);
  const unsigned kind = dice_.below(100);
  if (kind < 5) return server_.remove(test::kServicesPath, kSpace, random_service_name(number));
  if (kind < 25) return server_.put(random_service(number, dice_));
  if (kind < 30)
    return server_.remove(test::kSlicesPath, kSpace, slice_name(random_service_name(number), dice_.one_in(2)));
  if (kind < 33) return server_.remove(test::kPodsPath, kSpace, random_pod_name(dice_.below(kPods)));
  if (kind < 37) return server_.put(random_pod(dice_.below(kPods), dice_));
  server_.put(random_slice(number, dice_.one_in(2), dice_));
}

}  // namespace kubenatd::soak
