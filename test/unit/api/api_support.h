#pragma once

#include <poll.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/api/api_source.h"
#include "test/server/scripted_server.h"
#include "test/unit/api/protobuf_writer.h"

namespace kubenatd::test {

inline const std::string kServices = "/api/v1/services";

/// A Service of namespace demo that differs by its address and version.
inline nlohmann::json service(const std::string& name, const std::string& address = "10.96.0.10",
                              const std::string& version = "10") {
  return {{"kind", "Service"},
          {"apiVersion", "v1"},
          {"metadata",
           {{"name", name},
            {"namespace", "demo"},
            {"resourceVersion", version},
            {"managedFields", nlohmann::json::array({{{"manager", "kubectl"}, {"fieldsV1", {{"f:spec", {}}}}}})}}},
          {"spec",
           {{"type", "ClusterIP"},
            {"clusterIP", address},
            {"clusterIPs", {address}},
            {"ipFamilies", {"IPv4"}},
            {"ports", {{{"name", "http"}, {"port", 80}, {"protocol", "TCP"}}}}}}};
}

inline std::string event(const std::string& type, const nlohmann::json& object) {
  return nlohmann::json{{"type", type}, {"object", object}}.dump();
}

inline std::string bookmark(const std::string& version, bool list_end = false) {
  nlohmann::json object = {{"kind", "Service"}, {"apiVersion", "v1"}, {"metadata", {{"resourceVersion", version}}}};
  if (list_end) object["metadata"]["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  return event("BOOKMARK", object);
}

inline std::string status(int code, const std::string& reason, const std::string& message) {
  return nlohmann::json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
                        {"code", code},     {"reason", reason},   {"message", message}}
      .dump();
}

inline std::string error_event(int code, const std::string& reason) {
  return event("ERROR", nlohmann::json::parse(status(code, reason, "said by the test")));
}

/// As API servers write it: kind first, elements without kind.
inline std::string list(std::vector<nlohmann::json> items, const std::string& version, const std::string& next = {}) {
  nlohmann::json metadata = {{"resourceVersion", version}};
  if (!next.empty()) metadata["continue"] = next;
  std::string text = R"({"kind":"ServiceList","apiVersion":"v1","metadata":)" + metadata.dump() + R"(,"items":[)";
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].erase("kind");
    items[i].erase("apiVersion");
    text += (i == 0 ? "" : ",") + items[i].dump();
  }
  return text + "]}";
}

/// The whole of a streamed list, and then nothing more.
inline void stream_list(Reply& reply, const std::vector<nlohmann::json>& items, const std::string& version) {
  reply.begin();
  for (const nlohmann::json& item : items) reply.line(event("ADDED", item));
  reply.line(bookmark(version, true));
}

inline void refuse_streaming(Reply& reply) {
  reply.answer(422, status(422, "Invalid",
                           "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"));
}

/// A server that speaks JSON, and in another run of the test case protobuf.
class BilingualServer : public ScriptedServer {
 public:
  BilingualServer() {
    if (GENERATE(false, true)) translate(protobuf_translation());
  }
};

/// Everything a hundred times as fast.
inline agent::api::ApiTiming quick() {
  using std::chrono::milliseconds;
  agent::api::ApiTiming timing;
  timing.backoff_first = milliseconds(5);
  timing.backoff_most = milliseconds(40);
  timing.backoff_forget = milliseconds(2000);
  timing.watch_least = milliseconds(60'000);
  timing.watch_most = milliseconds(60'001);
  timing.watch_margin = milliseconds(1000);
  timing.watch_short = milliseconds(1);
  timing.answer = milliseconds(5000);
  timing.stall = milliseconds(5000);
  timing.page = milliseconds(10'000);
  timing.initial_quiet = milliseconds(5000);
  timing.retry_after_most = milliseconds(50);
  timing.credentials = milliseconds(60'000);
  return timing;
}

/// Only Services of this server, without TLS.
inline agent::api::ApiOptions services_of(const ScriptedServer& server) {
  agent::api::ApiOptions options;
  options.access.origin = "test";
  options.access.server = {false, "127.0.0.1", server.port(), "", {}};
  options.endpoint_slices = options.node = options.service_cidrs = false;
  options.timing = quick();
  return options;
}

/// An HTTP proxy on this machine.
inline agent::api::Proxy http_proxy(std::uint16_t port) {
  agent::api::Proxy proxy;
  proxy.host = "127.0.0.1";
  proxy.port = port;
  return proxy;
}

/// What a source tells, added up.
class Follower {
 public:
  explicit Follower(agent::api::ApiOptions options) {
    auto opened = agent::api::ApiSource::open(std::move(options));
    INFO((opened ? "" : opened.error().to_string()));
    REQUIRE(opened);
    source_ = std::move(*opened);
  }

  /// Takes until the condition holds; fails the test when it does not for ten seconds.
  void until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) {
        for (const auto& line : problems) UNSCOPED_INFO(line);
        for (const auto& line : remarks) UNSCOPED_INFO(line);
        for (const auto& state : states) UNSCOPED_INFO(agent::api::describe(state));
        FAIL("the condition did not come about");
      }
      pollfd waiting{source_->fd(), POLLIN, 0};
      ::poll(&waiting, 1, 50);
      take();
    }
  }
  void take() {
    agent::api::ApiUpdate update = source_->take();
    for (auto& event : update.events) {
      ++events;
      ++events_of[event.key.to_string()];
      if (event.object)
        objects[event.key.to_string()] = event.object;
      else
        objects.erase(event.key.to_string());
    }
    std::move(update.problems.begin(), update.problems.end(), std::back_inserter(problems));
    std::move(update.remarks.begin(), update.remarks.end(), std::back_inserter(remarks));
    std::move(update.left_out.begin(), update.left_out.end(), std::back_inserter(left_out));
    states = std::move(update.states);
    synced = update.synced;
  }
  void until_synced() {
    until([this] { return synced; });
  }
  [[nodiscard]] std::string address_of(const std::string& name) const {
    const auto found = objects.find("demo/" + name);
    return found == objects.end() ? ""
                                  : std::get<agent::objects::Service>(*found->second).cluster_ips.at(0).to_string();
  }
  [[nodiscard]] bool said(const std::vector<std::string>& lines, const std::string& part) const {
    for (const std::string& line : lines)
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  [[nodiscard]] bool complained(const std::string& part) const { return said(problems, part); }
  [[nodiscard]] bool remarked(const std::string& part) const { return said(remarks, part); }

  std::map<std::string, agent::objects::ObjectPtr> objects;
  std::map<std::string, std::size_t> events_of;
  std::size_t events = 0;
  std::vector<std::string> problems, remarks;
  std::vector<agent::objects::PassedOver> left_out;
  std::vector<agent::api::WatchState> states;
  bool synced = false;

 private:
  std::unique_ptr<agent::api::ApiSource> source_;
};

}  // namespace kubenatd::test
