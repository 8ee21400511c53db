#include <fmt/format.h>

#include <atomic>

#include "test/unit/api/api_support.h"

/// What goes wrong with a watch, and what is still known then.
namespace kubenatd::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("410 Gone: a new list replaces what is known, and only differences are told") {
  const bool as_event = GENERATE(true, false);
  BilingualServer server;
  server.on(kServices, {[as_event](Reply& reply) {
              stream_list(reply, {service("a"), service("b"), service("c")}, "20");
              reply.line(bookmark("21"));
              if (as_event) reply.line(error_event(410, "Expired"));
              reply.end();
            }});
  if (!as_event) server.on(kServices, {[](Reply& reply) { reply.answer(410, status(410, "Gone", "too old")); }});
  server.on(
      kServices, {[](Reply& reply) {
        stream_list(reply, {service("a", "10.96.0.10", "90"), service("b", "10.96.0.99", "91"), service("d")}, "100");
        reply.hang();
      }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/d") && !follower.objects.contains("demo/c"); });
  CHECK(follower.events_of["demo/a"] == 1);
  CHECK(follower.address_of("b") == "10.96.0.99");
  CHECK(follower.objects.size() == 3);
  CHECK(follower.problems.empty());
  CHECK(server.asked(kServices).back().has("sendInitialEvents"));
}

TEST_CASE("an ERROR event of another kind: the watch goes on, and by a list when it comes again") {
  BilingualServer server;
  server.on(kServices, {[](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          reply.line(error_event(500, "InternalError"));
                          reply.end();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(error_event(500, "InternalError"));
                          reply.end();
                        },
                        [](Reply& reply) {
                          stream_list(reply, {service("a"), service("b")}, "30");
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.size() == 2; });
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() == 3);
  CHECK(asked[1].query.at("resourceVersion") == "20");
  CHECK(asked[2].has("sendInitialEvents"));
  CHECK(follower.complained("InternalError"));
}

TEST_CASE("429 and 503 with Retry-After, before a list and before a watch") {
  BilingualServer server;
  const Step busy = [](Reply& reply) {
    reply.answer(429, status(429, "TooManyRequests", "later"), "Retry-After: 1\r\n");
  };
  const Step away = [](Reply& reply) { reply.answer(503, "not JSON at all", "Retry-After: 86400000\r\n"); };
  server.on(kServices, {busy, away,
                        [](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          reply.end();
                        },
                        busy,
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("b", "10.96.0.12", "36")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.size() == 2; });
  CHECK(follower.complained("the API server answers 429: later"));
  CHECK(follower.complained("the API server answers 503: not JSON at all"));
  CHECK(follower.complained("in 0.1 s"));  // what was asked for, up to the limit
  CHECK(follower.events_of["demo/a"] == 1);
}

TEST_CASE("a connection that is cut within an event loses nothing") {
  ScriptedServer server;
  server.on(kServices, {[](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          reply.line(event("MODIFIED", service("a", "10.96.0.11", "21")));
                          reply.chunk(event("ADDED", service("b", "10.96.0.12", "22")).substr(0, 40));
                          reply.cut();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          const std::string text = event("ADDED", service("b", "10.96.0.12", "22")) + "\n";
                          reply.raw(fmt::format("{:x}\r\n{}", text.size(), text.substr(0, 10)));
                          reply.cut();
                        },
                        [](Reply& reply) { reply.cut(); },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("b", "10.96.0.12", "22")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.size() == 2; });
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() >= 4);
  for (std::size_t i = 1; i < asked.size(); ++i) CHECK(asked[i].query.at("resourceVersion") == "21");
  CHECK(follower.complained("the watch broke off"));
  CHECK(follower.address_of("a") == "10.96.0.11");
}

TEST_CASE("a half-open connection is given up") {
  BilingualServer server;
  server.on(kServices, {[](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          reply.hang();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("b")));
                          reply.hang();
                        }});
  auto options = services_of(server);
  options.timing.watch_least = milliseconds(100);
  options.timing.watch_most = milliseconds(200);
  options.timing.watch_margin = milliseconds(100);
  Follower follower(options);
  follower.until([&] { return follower.objects.size() == 2; });
  CHECK(follower.complained("half-open"));
}

TEST_CASE("a server that does not answer, or stops within a list, or trickles") {
  ScriptedServer server;
  server.on(kServices, {refuse_streaming, [](Reply& reply) { reply.hang(); },
                        [](Reply& reply) {
                          reply.begin();
                          reply.chunk(list({service("a")}, "30").substr(0, 100));
                          reply.hang();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.chunk(R"({"kind":"ServiceList","apiVersion":"v1","metadata":{"x":")");
                          while (reply.pause(milliseconds(20))) reply.chunk("x");
                        },
                        [](Reply& reply) { reply.answer(200, list({service("a")}, "30")); }});
  auto options = services_of(server);
  options.timing.answer = options.timing.stall = milliseconds(150);
  options.timing.page = milliseconds(400);
  Follower follower(options);
  follower.until_synced();
  CHECK(follower.complained("no answer in time"));
  CHECK(follower.complained("the list came too slowly"));
  CHECK(follower.objects.size() == 1);
}

TEST_CASE("a list byte by byte") {
  ScriptedServer server;
  server.on(kServices, {refuse_streaming, [](Reply& reply) {
                          reply.begin();
                          for (const char c : list({service("a"), service("b", "10.96.0.11")}, "30"))
                            reply.chunk(std::string_view(&c, 1));
                          reply.end();
                        }});
  Follower follower(services_of(server));
  follower.until_synced();
  CHECK(follower.objects.size() == 2);
  CHECK(follower.problems.empty());
}

TEST_CASE("a bad object is named and the rest applied") {
  nlohmann::json bad = service("bad");
  bad["spec"]["ports"][0]["port"] = 70000;
  nlohmann::json bad_a = service("a", "10.96.0.11", "21");
  bad_a["spec"]["ports"] = "none";
  const nlohmann::json pod = {
      {"kind", "Pod"}, {"apiVersion", "v1"}, {"metadata", {{"name", "p"}, {"namespace", "demo"}}}};
  ScriptedServer server;
  server.on(kServices, {refuse_streaming,
                        [&](Reply& reply) {
                          reply.answer(200, list({service("a"), bad, service("b")}, "30"));
                        },
                        [&](Reply& reply) {
                          reply.begin();
                          reply.line(event("MODIFIED", bad_a));
                          reply.line(event("ADDED", pod));
                          reply.line(event("ADDED", nlohmann::json(17)));
                          reply.hang();
                        },
                        [&](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("c", "10.96.0.13", "25")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/c"); });
  CHECK(follower.objects.size() == 3);
  CHECK(follower.address_of("a") == "10.96.0.10");
  CHECK(follower.complained("Service demo/bad: spec.ports[0].port: Invalid value: 70000"));
  REQUIRE_FALSE(follower.left_out.empty());
  CHECK(follower.left_out[0].object == "Service demo/bad");
  CHECK(follower.left_out[0].reason.starts_with("spec.ports[0].port: Invalid value: 70000"));
  CHECK(follower.left_out[0].addresses.size() == 1);
  CHECK(follower.complained("Service demo/a: spec.ports: "));
  CHECK(follower.complained("it stays as it was"));
  CHECK(follower.complained("of kind \"Pod\""));
  CHECK(follower.complained("without an object"));
}

TEST_CASE("garbage in a list does not take anything away") {
  ScriptedServer server;
  server.on(
      kServices,
      {[](Reply& reply) {
         stream_list(reply, {service("a")}, "20");
         reply.line(error_event(410, "Expired"));
         reply.end();
       },
       refuse_streaming,
       [](Reply& reply) { reply.answer(200, R"({"kind":"ServiceList","items":[{"metadata":nonsense)"); },
       [](Reply& reply) { reply.answer(200, R"({"hello":"world"})"); },
       [](Reply& reply) { reply.answer(200, "<html>please log in</html>"); },
       [](Reply& reply) { reply.answer(200, R"({"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[]})"); },
       [](Reply& reply) { reply.answer(200, list({}, "")); },
       [](Reply& reply) {
         reply.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nxxxxxx");
         reply.cut();
       },
       [](Reply& reply) {
         reply.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
         reply.cut();
       },
       [](Reply& reply) {
         reply.raw("SSH-2.0-OpenSSH\r\n\r\n");
         reply.cut();
       },
       [](Reply& reply) { reply.answer(302, "", "Location: http://127.0.0.1:1/\r\n"); },
       [](Reply& reply) {
         reply.answer(200, list({service("a"), service("b")}, "30"));
       }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.size() == 2; });
  CHECK(follower.events_of["demo/a"] == 1);
  CHECK(follower.complained("ServiceList: read, after 0 items"));
  CHECK(follower.complained("has no kind or no items"));
  CHECK(follower.complained("kind is \"PodList\", not ServiceList"));
  CHECK(follower.complained("no usable resourceVersion"));
  CHECK(follower.complained("answers 302"));
}

TEST_CASE("an event that is no JSON, or without an end") {
  const bool endless = GENERATE(true, false);
  ScriptedServer server;
  server.on(kServices, {[endless](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          if (!endless) reply.line("{\"type\":\"ADDED\",\"object\":{");
                          const std::string filler(64 << 10, 'x');
                          for (int i = 0; endless && i < 100; ++i) reply.chunk(filler);
                          reply.hang();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("b")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.size() == 2; });
  CHECK(server.asked(kServices)[1].query.at("resourceVersion") == "20");
  CHECK(follower.complained(endless ? "an event of more than" : "an event that is no JSON"));
}

TEST_CASE("an older server that does not know the field selector") {
  BilingualServer server;
  server.always([](Reply& reply) {
    if (reply.ask.has("fieldSelector"))
      return reply.answer(400, status(400, "BadRequest", "field label not supported: spec.clusterIP"));
    stream_list(reply, {service("a")}, "20");
    reply.hang();
  });
  Follower follower(services_of(server));
  follower.until_synced();
  CHECK(follower.remarked("asked without field selector"));
  CHECK(server.asked(kServices).back().has("sendInitialEvents"));
  CHECK(server.asked(kServices).back().has("labelSelector"));
}

TEST_CASE("a server that is away: what is known stays, and it is found again") {
  auto server = std::make_unique<ScriptedServer>();
  server->on(kServices, {[](Reply& reply) {
               stream_list(reply, {service("a")}, "20");
               reply.hang();
             }});
  Follower follower(services_of(*server));
  follower.until_synced();
  server->stop();
  follower.until(
      [&] { return follower.complained("the watch broke off") && follower.complained("Connection refused"); });
  CHECK(follower.synced);
  CHECK(follower.objects.size() == 1);
  CHECK(follower.states[0].phase != agent::api::WatchState::Phase::kWatching);
  CHECK_FALSE(follower.states[0].failure.empty());
}

TEST_CASE("all resources with their selectors; synced when the last list is in") {
  ScriptedServer server;
  std::atomic<bool> node_may_come{false};
  server.always([&](Reply& reply) {
    const bool node = reply.ask.path == "/prefix/api/v1/nodes";
    while (node && !node_may_come && reply.pause(milliseconds(5))) continue;
    stream_list(reply, {}, "20");
    reply.hang();
  });
  auto options = services_of(server);
  options.endpoint_slices = options.node = options.pods = true;
  options.node_name = "node-1";
  options.access.server.path = "/prefix";
  Follower follower(options);
  follower.until([&] {
    return follower.states.size() == 4 && follower.states[0].synced && follower.states[1].synced &&
           follower.states[3].synced;
  });
  CHECK_FALSE(follower.synced);
  node_may_come = true;
  follower.until_synced();
  CHECK(server.asked("/prefix/apis/discovery.k8s.io/v1/endpointslices").at(0).query.at("labelSelector") ==
        "!service.kubernetes.io/headless");
  CHECK(server.asked("/prefix/api/v1/nodes").at(0).query.at("fieldSelector") == "metadata.name=node-1");
  CHECK(server.asked("/prefix/api/v1/pods").at(0).query.at("fieldSelector") == "spec.nodeName=node-1");
}

TEST_CASE("changes that nobody takes are one for each object, in an order that can be applied") {
  auto queue = agent::api::EventQueue::open({"services"});
  REQUIRE(queue);
  agent::api::WatchSink& sink = (*queue)->sink(0);
  const auto object = [](const std::string& name) {
    agent::objects::Service service;
    service.key = {"demo", name};
    return std::make_shared<const agent::objects::Object>(std::move(service));
  };
  sink.changed({agent::objects::Kind::kEndpointSlice, {"demo", "a"}, nullptr});
  for (int i = 0; i < 100; ++i) sink.changed({agent::objects::Kind::kService, {"demo", "b"}, object("b")});
  sink.changed({agent::objects::Kind::kService, {"demo", "a"}, object("a")});
  sink.changed({agent::objects::Kind::kService, {"demo", "a"}, nullptr});
  for (int i = 0; i < 1000; ++i) sink.problem(fmt::format("line {}", i / 2));
  agent::api::ApiUpdate update = (*queue)->take();
  REQUIRE(update.events.size() == 3);
  CHECK(update.events[0].key.name == "a");
  CHECK(update.events[0].object == nullptr);
  CHECK(update.events[1].object != nullptr);
  CHECK(update.events[2].kind == agent::objects::Kind::kEndpointSlice);
  CHECK(update.problems.size() == 201);
  CHECK(update.problems.back() == "and 600 lines more");
  CHECK_FALSE(update.synced);
  CHECK((*queue)->take().events.empty());
}

}  // namespace
}  // namespace kubenatd::test
