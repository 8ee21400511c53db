#include "agent/api/event_recorder.h"

#include <atomic>
#include <mutex>

#include "test/unit/api/api_support.h"

/// Events from the recorder to the server.
namespace kubenatd::test {
namespace {

using agent::api::ClusterEvent;
using nlohmann::json;

const std::string kEvents = "/apis/events.k8s.io/v1/namespaces/default/events";

ClusterEvent starting() {
  return {.warning = false,
          .kind = "Node",
          .about = {"", "node-1"},
          .reason = "Starting",
          .action = "StartKubeProxy",
          .note = ""};
}

ClusterEvent failed(int number) {
  return {.warning = true,
          .kind = "Service",
          .about = {"demo", "web"},
          .reason = "FailedToStartServiceHealthcheck",
          .action = "Listen",
          .note = "number " + std::to_string(number)};
}

class Recording {
 public:
  explicit Recording(const ScriptedServer& server) {
    auto opened =
        agent::api::EventRecorder::open(services_of(server).access, "node-1", quick(), [this](const std::string& line) {
          const std::scoped_lock lock(mutex_);
          problems_.push_back(line);
        });
    REQUIRE(opened);
    recorder = std::move(*opened);
  }
  [[nodiscard]] std::vector<std::string> problems() const {
    const std::scoped_lock lock(mutex_);
    return problems_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> problems_;

 public:
  std::unique_ptr<agent::api::EventRecorder> recorder;  ///< goes first: it calls back
};

/// What was asked at any path, once there are so many; fewer after ten seconds.
std::vector<Ask> wait_for(const ScriptedServer& server, std::size_t count) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (server.all_asked().size() < count && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return server.all_asked();
}

TEST_CASE("an event is written as the API wants it") {
  ScriptedServer server;
  server.always([](Reply& reply) { reply.answer(201, reply.ask.body); });
  const Recording recording(server);
  recording.recorder->record(starting());
  recording.recorder->record(failed(1));
  const auto asked = wait_for(server, 2);
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].method == "POST");
  CHECK(asked[0].path == kEvents);
  CHECK(asked[0].headers.at("content-type") == "application/json");
  const json event = json::parse(asked[0].body);
  CHECK(event.at("apiVersion") == "events.k8s.io/v1");
  CHECK(event.at("metadata").at("namespace") == "default");
  CHECK(event.at("metadata").at("name").get<std::string>().starts_with("node-1."));
  CHECK(event.at("type") == "Normal");
  CHECK(event.at("reason") == "Starting");
  CHECK(event.at("action") == "StartKubeProxy");
  CHECK(event.at("reportingController") == "kubenatd");
  CHECK(event.at("reportingInstance") == "kubenatd-node-1");
  CHECK(event.at("regarding") == json({{"kind", "Node"}, {"apiVersion", "v1"}, {"name", "node-1"}, {"uid", "node-1"}}));
  CHECK_FALSE(event.contains("note"));
  // "2025-07-01T10:00:00.123456Z"
  const std::string time = event.at("eventTime");
  CHECK(time.size() == 27);
  CHECK(time.at(19) == '.');
  CHECK(time.back() == 'Z');

  CHECK(asked[1].path == "/apis/events.k8s.io/v1/namespaces/demo/events");
  const json warning = json::parse(asked[1].body);
  CHECK(warning.at("type") == "Warning");
  CHECK(warning.at("note") == "number 1");
  CHECK(warning.at("regarding").at("namespace") == "demo");
  CHECK(recording.problems().empty());
}

TEST_CASE("repetitions are counted in a series, patched at most once a minute") {
  ScriptedServer server;
  server.always([](Reply& reply) { reply.answer(reply.ask.method == "POST" ? 201 : 200, reply.ask.body); });
  const Recording recording(server);
  for (int i = 0; i < 20; ++i) recording.recorder->record(failed(1));
  recording.recorder->record(starting());
  const auto asked = wait_for(server, 3);
  REQUIRE(asked.size() == 3);
  CHECK(asked[1].method == "PATCH");
  CHECK(asked[1].headers.at("content-type") == "application/merge-patch+json");
  const std::string name = json::parse(asked[0].body).at("metadata").at("name");
  CHECK(asked[1].path == "/apis/events.k8s.io/v1/namespaces/demo/events/" + name);
  const json series = json::parse(asked[1].body).at("series");
  CHECK(series.at("count") == 2);
  CHECK(series.contains("lastObservedTime"));
  CHECK(asked[2].path == kEvents);
}

TEST_CASE("an event that is gone is written anew") {
  ScriptedServer server;
  server.always([](Reply& reply) { reply.answer(reply.ask.method == "POST" ? 201 : 404, "{}"); });
  const Recording recording(server);
  recording.recorder->record(failed(1));
  recording.recorder->record(failed(1));
  const auto asked = wait_for(server, 3);
  REQUIRE(asked.size() == 3);
  CHECK(asked[2].method == "POST");
}

TEST_CASE("a server that cannot at present is asked again, one that refuses is not; told once") {
  const int status = GENERATE(429, 503, 401, 403, 422);
  ScriptedServer server;
  std::atomic<int> left{3};
  server.always([&](Reply& reply) {
    if (reply.ask.body.find("Starting") == std::string::npos && left-- > 0) return reply.answer(status, "{}");
    reply.answer(201, "{}");
  });
  const Recording recording(server);
  recording.recorder->record(failed(1));
  recording.recorder->record(starting());
  const std::size_t tries = status == 403 || status == 422 ? 1 : 4;
  const auto asked = wait_for(server, tries + 1);
  REQUIRE(asked.size() == tries + 1);
  CHECK(asked.back().path == kEvents);
  CHECK(recording.problems().size() == 1);
}

TEST_CASE("too many events are left out, and that is told once") {
  ScriptedServer server;
  server.always([](Reply& reply) { reply.answer(201, "{}"); });
  const Recording recording(server);
  for (int i = 0; i < 60; ++i) recording.recorder->record(failed(i));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (recording.problems().empty() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(recording.problems().size() == 1);
  const auto asked = server.all_asked().size();
  CHECK(asked >= 25);
  CHECK(asked < 40);
}

TEST_CASE("a server that is away holds nobody up, neither at once nor at the end") {
  std::unique_ptr<Recording> recording;
  {
    const ScriptedServer server;
    recording = std::make_unique<Recording>(server);
  }
  for (int i = 0; i < 1000; ++i) recording->recorder->record(failed(i));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (recording->problems().empty() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(recording->problems().size() == 1);
  recording.reset();
}

}  // namespace
}  // namespace kubenatd::test
