#include "test/soak/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "test/soak/objects.h"
#include "test/support/traffic.h"

namespace kubenatd::soak {

using nlohmann::json;

namespace {

constexpr const char* kAddress = "10.96.250.201";
constexpr std::chrono::milliseconds kPace{25};
constexpr std::chrono::milliseconds kWait{200};

}  // namespace

Probe::Probe(test::ApiServer& server, const test::Lab& lab, Figures& figures)
    : server_(server), lab_(lab), figures_(figures) {
  json service = {{"kind", "Service"},
                  {"apiVersion", "v1"},
                  {"metadata", {{"name", "probe"}, {"namespace", kSpace}}},
                  {"spec", {{"type", "ClusterIP"}, {"clusterIP", kAddress}}}};
  service["spec"]["clusterIPs"] = json::array({kAddress});
  service["spec"]["ipFamilies"] = json::array({"IPv4"});
  service["spec"]["ports"].push_back({{"name", "http"}, {"port", 80}, {"protocol", "TCP"}});
  server_.put(service);
  server_.put(slice("probe", false, {test::kPodA}));
  thread_ = std::thread([this] { look(); });
}

Probe::~Probe() {
  stopping_ = true;
  thread_.join();
}

void Probe::turn() {
  const std::scoped_lock lock(mutex_);
  right_ = right_ == "pod-a" ? "pod-b" : "pod-a";
  server_.put(slice("probe", false, {right_ == "pod-a" ? test::kPodA : test::kPodB}));
  turned_ = Clock::now();
}

void Probe::look() {
  std::optional<Time> wrong_since;
  std::string how;
  bool seen_right = false;  // before the first sync nothing is right
  std::uint16_t port = 10'000;
  while (!stopping_) {
    std::this_thread::sleep_for(kPace);
    port = port >= 21'000 ? 10'000 : static_cast<std::uint16_t>(port + 1);
    const Time begun = Clock::now();
    const test::Outcome outcome = test::Conversation(lab_.client, test::Transport::kTcp, kAddress, 80, port).ask(kWait);
    const std::scoped_lock lock(mutex_);
    if (turned_ > begun) continue;  // both are right
    if (outcome.answered() && outcome.by == right_) {
      if (wrong_since && seen_right) figures_.wrong_from(*wrong_since, begun, how);
      wrong_since.reset();
      seen_right = true;
    } else if (!wrong_since) {
      wrong_since = outcome.answered() ? turned_ : begun;
      how = outcome.answered() ? "answered by the pod of before" : "not answered";
    }
  }
}

}  // namespace kubenatd::soak
