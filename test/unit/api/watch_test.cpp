#include <fmt/format.h>
#include <zlib.h>

#include <atomic>

#include "test/unit/api/api_support.h"

/// The way of a watch through what API servers do.
namespace kubenatd::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a streamed list and what comes after it") {
  BilingualServer server;
  server.on(kServices, {[](Reply& reply) {
              stream_list(reply, {service("a"), service("b")}, "20");
              reply.line(event("MODIFIED", service("a", "10.96.0.11", "21")));
              reply.line(event("DELETED", service("b", "10.96.0.10", "22")));
              reply.line(event("ADDED", service("c", "10.96.0.12", "23")));
              reply.hang();
            }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/c"); });
  CHECK(follower.synced);
  CHECK(follower.objects.size() == 2);
  CHECK(follower.address_of("a") == "10.96.0.11");
  CHECK(follower.problems.empty());
  REQUIRE(follower.states.size() == 1);
  CHECK(follower.states[0].phase == agent::api::WatchState::Phase::kWatching);

  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].query.at("sendInitialEvents") == "true");
  CHECK(asked[0].query.at("resourceVersionMatch") == "NotOlderThan");
  CHECK(asked[0].query.at("allowWatchBookmarks") == "true");
  CHECK(asked[0].query.at("timeoutSeconds") == "60");
  CHECK(asked[0].query.at("labelSelector") == "!service.kubernetes.io/service-proxy-name");
  CHECK(asked[0].query.at("fieldSelector") == "spec.clusterIP!=None");
  CHECK(asked[0].headers.at("accept") == "application/vnd.kubernetes.protobuf,application/json");
  CHECK_FALSE(asked[0].headers.contains("authorization"));
}

TEST_CASE("a watch that ends goes on where it was, also with a bookmark's version") {
  BilingualServer server;
  server.on(kServices, {[](Reply& reply) {
                          stream_list(reply, {service("a")}, "20");
                          reply.line(event("MODIFIED", service("a", "10.96.0.11", "21")));
                          reply.end();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(bookmark("35"));
                          reply.end();
                        },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("b", "10.96.0.12", "36")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/b"); });
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() == 3);
  CHECK_FALSE(asked[1].has("sendInitialEvents"));
  CHECK(asked[1].query.at("resourceVersion") == "21");
  CHECK(asked[2].query.at("resourceVersion") == "35");
  CHECK(follower.problems.empty());
}

TEST_CASE("a server without streamed lists is read in pages") {
  const int refusal = GENERATE(400, 405, 422);
  BilingualServer server;
  server.always([&](Reply& reply) {
    if (reply.ask.has("sendInitialEvents")) return reply.answer(refusal, status(refusal, "Invalid", "no such thing"));
    if (reply.ask.has("watch")) {
      reply.begin();
      return reply.hang();
    }
    const std::string next = reply.ask.has("continue") ? reply.ask.query.at("continue") : "0";
    const int page = std::stoi(next);
    std::vector<nlohmann::json> items;
    for (int i = page * 500; i < (page + 1) * 500; ++i)
      items.push_back(service(fmt::format("s{}", i), fmt::format("10.97.{}.{}", i / 250, i % 250)));
    reply.answer(200, list(items, "77", page < 3 ? std::to_string(page + 1) : ""));
  });
  Follower follower(services_of(server));
  follower.until_synced();
  CHECK(follower.objects.size() == 2000);
  CHECK(follower.events == 2000);
  CHECK(follower.address_of("s1999") == "10.97.7.249");
  CHECK(follower.remarked("lists are read in pages"));
  follower.until([&] { return server.asked(kServices).back().has("watch"); });
  const auto asked = server.asked(kServices);
  CHECK(asked.back().query.at("resourceVersion") == "77");
  CHECK(asked[asked.size() - 2].query.at("limit") == "500");
  CHECK(asked[asked.size() - 2].query.at("continue") == "3");
  CHECK(follower.problems.empty());
}

/// As a server packs a body.
std::string in_gzip(const std::string& text) {
  z_stream stream{};
  constexpr int kGzip = 16;
  REQUIRE(deflateInit2(&stream, 4, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string long_list(const std::string& version) {
  std::vector<nlohmann::json> items;
  for (int i = 0; i < 3000; ++i)
    items.push_back(service(fmt::format("s{}", i), fmt::format("10.97.{}.{}", i / 250, i % 250)));
  return list(items, version);
}

TEST_CASE("a list in gzip") {
  ScriptedServer server;
  server.on(kServices, {refuse_streaming,
                        [](Reply& reply) { reply.answer(200, in_gzip(long_list("77")), "Content-Encoding: gzip\r\n"); },
                        [](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("later", "10.96.0.12", "78")));
                          reply.hang();
                        }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/later"); });
  CHECK(follower.objects.size() == 3001);
  CHECK(follower.problems.empty());
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() == 3);
  CHECK(asked[1].headers.at("accept-encoding") == "gzip");
  CHECK(asked[2].query.at("resourceVersion") == "77");
}

TEST_CASE("a list in gzip that is broken is asked for again") {
  std::string packed = in_gzip(long_list("77"));
  SECTION("cut") {
    packed.resize(packed.size() / 2);
  }
  SECTION("its sum cut off") {
    packed.resize(packed.size() - 6);
  }
  SECTION("another sum") {
    packed[packed.size() - 6] ^= 1;
  }
  SECTION("something behind it") {
    packed += "more";
  }
  SECTION("no gzip at all") {
    packed = long_list("77");
  }
  SECTION("nothing") {
    packed.clear();
  }
  ScriptedServer server;
  server.on(kServices,
            {refuse_streaming, [&](Reply& reply) { reply.answer(200, packed, "Content-Encoding: gzip\r\n"); },
             [](Reply& reply) { reply.answer(200, list({service("a")}, "78")); }});
  Follower follower(services_of(server));
  follower.until_synced();
  CHECK(follower.complained("the body is no gzip, or not all of it"));
  CHECK(follower.objects.contains("demo/a"));
}

TEST_CASE("only the first list may be as old as the server's cache") {
  BilingualServer server;
  server.on(kServices, {refuse_streaming, [](Reply& reply) { reply.answer(200, list({service("a")}, "30")); },
                        [](Reply& reply) { reply.answer(410, status(410, "Expired", "too old")); },
                        [](Reply& reply) { reply.answer(200, list({service("b")}, "40")); }});
  Follower follower(services_of(server));
  follower.until([&] { return follower.objects.contains("demo/b"); });
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() >= 4);
  CHECK(asked[1].query.at("resourceVersion") == "0");
  CHECK_FALSE(asked[1].has("limit"));
  CHECK_FALSE(asked[3].has("resourceVersion"));
  CHECK(asked[3].query.at("limit") == "500");
}

TEST_CASE("a server that ignores the wish for a streamed list") {
  BilingualServer server;
  server.on(kServices, {[](Reply& reply) {
                          reply.begin();
                          reply.line(event("ADDED", service("a")));
                          reply.hang();
                        },
                        [](Reply& reply) {
                          reply.answer(200, list({service("a"), service("b")}, "30"));
                        }});
  auto options = services_of(server);
  options.timing.initial_quiet = milliseconds(100);
  Follower follower(options);
  follower.until_synced();
  CHECK(follower.objects.size() == 2);
  CHECK(follower.events_of["demo/a"] == 1);
}

TEST_CASE("a server that accepts the wish for a streamed list and then cannot: pages, at once") {
  const bool some_came = GENERATE(true, false);
  BilingualServer server;
  server.on(kServices, {[some_came](Reply& reply) {
                          reply.begin();
                          if (some_came) reply.line(event("ADDED", service("gone-meanwhile")));
                          reply.line(error_event(500, "InternalError"));
                          reply.end();
                        },
                        [](Reply& reply) {
                          reply.answer(200, list({service("a"), service("b")}, "30"));
                        }});
  Follower follower(services_of(server));
  follower.until_synced();
  CHECK(follower.objects.size() == 2);
  CHECK(follower.remarked("lists are read in pages"));
  CHECK(follower.problems.empty());
  const auto asked = server.asked(kServices);
  REQUIRE(asked.size() >= 2);
  CHECK(asked[0].has("sendInitialEvents"));
  CHECK(asked[1].query.at("resourceVersion") == "0");  // the server's cache, in one piece
}

TEST_CASE("a server without ServiceCIDRs, or with an older version of them, holds nothing up") {
  const std::string path = "/apis/networking.k8s.io/v1/servicecidrs";
  const std::string older = "/apis/networking.k8s.io/v1beta1/servicecidrs";
  const bool has_older = GENERATE(true, false);
  const int refusal = GENERATE(404, 403);
  BilingualServer server;
  server.always([&](Reply& reply) {
    if (!has_older || reply.ask.path != older) return reply.answer(refusal, status(refusal, "NotFound", "no such"));
    if (reply.ask.has("sendInitialEvents")) return reply.answer(400, status(400, "Invalid", "no streams"));
    if (reply.ask.has("watch")) {
      reply.begin();
      return reply.hang();
    }
    reply.answer(200, R"({"kind":"ServiceCIDRList","apiVersion":"networking.k8s.io/v1beta1",)"
                      R"("metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"kubernetes"},)"
                      R"("spec":{"cidrs":["10.96.0.0/16","fd00:10:96::/112"]}}]})");
  });
  auto options = services_of(server);
  options.services = false;
  options.service_cidrs = true;
  Follower follower(options);
  follower.until_synced();
  CHECK(follower.problems.empty());
  CHECK(follower.objects.size() == (has_older ? 1 : 0));
  CHECK(server.asked(path).size() == 1);
  if (has_older) {
    const auto& object = *follower.objects.begin()->second;
    CHECK(std::get<agent::objects::ServiceCidr>(object).cidrs.size() == 2);
  }
}

TEST_CASE("a place in a list that is gone: the list begins again") {
  BilingualServer server;
  server.on(kServices, {refuse_streaming, [](Reply& reply) { reply.answer(200, list({service("a")}, "30", "more")); },
                        [](Reply& reply) { reply.answer(410, status(410, "Expired", "too old")); },
                        [](Reply& reply) { reply.answer(200, list({service("b")}, "40")); }});
  Follower follower(services_of(server));
  follower.until_synced();
  follower.until([&] { return server.asked(kServices).size() == 5; });
  CHECK(follower.objects.size() == 1);
  CHECK(follower.objects.contains("demo/b"));
  CHECK(server.asked(kServices)[4].query.at("resourceVersion") == "40");
}

}  // namespace
}  // namespace kubenatd::test
