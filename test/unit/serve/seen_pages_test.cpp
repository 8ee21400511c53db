#include "agent/serve/seen_pages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/base/log.h"
#include "agent/serve/zpages.h"

using namespace kubenatd::agent;
using namespace kubenatd::agent::serve;
using nlohmann::json;

namespace {

/// What answers, with a run loop that looks at questions when it is told to.
struct Pages {
  seen::Board board{{.node = "node-1", .mode = config::Config::Mode::kIptables, .objects_of = "x", .ipv6 = false}};
  std::unique_ptr<seen::Inquiries> inquiries = seen::Inquiries::open().value();
  std::map<std::string, HttpHandler> pages = seen_pages(board, *inquiries);

  HttpResponse ask(const std::string& path, HttpRequest request = {}) {
    if (request.method.empty()) request.method = "GET";
    request.path = path;
    return pages.at(path)(request);
  }
};

/// Answers questions as long as it lives.
class Loop {
 public:
  explicit Loop(seen::Inquiries& inquiries)
      : thread_([this, &inquiries] {
          while (!stop_) {
            inquiries.answer([&](const seen::ServicesQuery& query) {
              ++answered_;
              return seen::ServicesPage{.schema = seen::kServicesSchema, .services = query.limit, .rows = {}};
            });
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
        }) {}
  ~Loop() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] int answered() const { return answered_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> answered_ = 0;
  std::thread thread_;
};

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [known, value] : response.headers)
    if (known == name) return value;
  return {};
}

HttpRequest accepting(const std::string& accept) {
  return {.method = "GET", .path = "", .accept = accept};
}

}  // namespace

/// Standard error leads nowhere as long as it lives.
class Quiet {
 public:
  Quiet() : kept_(::dup(STDERR_FILENO)) {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    REQUIRE(::dup2(nowhere, STDERR_FILENO) == STDERR_FILENO);
    ::close(nowhere);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() {
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
  }

 private:
  int kept_;
};

TEST_CASE("The last lines of the log are told without what looks like a secret, newest last") {
  Pages pages;
  base::log_warning("first of two", {{"url", "https://kate:zebra@host"}});
  base::log_warning("second of two");
  const HttpResponse page = pages.ask(kLogPath);
  CHECK(page.status == 200);
  CHECK(page.content_type.starts_with("text/plain"));
  CHECK(page.body.find("zebra") == std::string::npos);
  const std::size_t first = page.body.find("first of two");
  REQUIRE(first != std::string::npos);
  CHECK(page.body.find("second of two") > first);
  CHECK(page.body.ends_with("\n"));

  {
    const Quiet quiet;
    for (int i = 0; i < 300; ++i) base::log_warning("one of many", {{"text", std::string(3000, 'x')}});
  }
  const std::string many = pages.ask(kLogPath).body;
  CHECK(std::ranges::count(many, '\n') == 200);
  CHECK(many.size() < 300 * 1024);
  CHECK(pages.ask(kLogPath, {.method = "POST", .path = {}}).status == 405);
  CHECK(pages.ask(kLogPath, {.method = "GET", .path = {}, .host = "evil.example"}).status == 403);
}

TEST_CASE("a document is sent once and then 304 until something changes") {
  Pages pages;
  const HttpResponse first = pages.ask(kStatusPath);
  CHECK(first.status == 200);
  CHECK(json::parse(first.body).at("node") == "node-1");
  const std::string tag = header(first, "ETag");
  REQUIRE_FALSE(tag.empty());
  const HttpResponse again = pages.ask(kStatusPath, {.method = "GET", .path = "", .if_none_match = tag});
  CHECK(again.status == 304);
  CHECK(again.body.empty());
  CHECK(header(again, "ETag") == tag);
  pages.board.note_waiting("something");
  const HttpResponse other = pages.ask(kStatusPath, {.method = "GET", .path = "", .if_none_match = tag});
  CHECK(other.status == 200);
  CHECK(header(other, "ETag") != tag);
}

TEST_CASE("questions about Services go to the run loop and nowhere when nothing changed") {
  Pages pages;
  const Loop loop(*pages.inquiries);
  const HttpResponse first = pages.ask(kServicesPath, {.method = "GET", .path = "", .query = "limit=7"});
  REQUIRE(first.status == 200);
  CHECK(json::parse(first.body).at("services") == 7);
  CHECK(loop.answered() == 1);
  CHECK(
      pages
          .ask(kServicesPath, {.method = "GET", .path = "", .query = "limit=7", .if_none_match = header(first, "ETag")})
          .status == 304);
  CHECK(loop.answered() == 1);
  CHECK(pages.ask(kServicesPath, {.method = "GET", .path = "", .query = "limit=x"}).status == 400);
  CHECK(loop.answered() == 1);
}

TEST_CASE("who asks a loop that has ended is told so at once") {
  Pages pages;
  std::thread ends([&] { pages.inquiries->close(); });
  CHECK(pages.ask(kServicesPath).status == 503);
  ends.join();
}

TEST_CASE("a busy loop is said to be busy and the question is forgotten") {
  Pages pages;
  const auto asked = pages.inquiries->ask({}, std::chrono::milliseconds(5));
  REQUIRE_FALSE(asked);
  CHECK(asked.error() == seen::Inquiries::Failure::kBusy);
  int answers = 0;
  pages.inquiries->answer([&](const seen::ServicesQuery&) {
    ++answers;
    return seen::ServicesPage{};
  });
  CHECK(answers == 0);
}

TEST_CASE("only GET and HEAD, and no host but an address or localhost") {
  Pages pages;
  CHECK(pages.ask(kStatusPath, {.method = "POST", .path = ""}).status == 405);
  CHECK(pages.ask(kStatusPath, {.method = "DELETE", .path = ""}).status == 405);
  CHECK(pages.ask(kStatusPath, {.method = "HEAD", .path = ""}).status == 200);
  for (const char* host : {"evil.example", "evil.example:10249", "localhost.evil.example", "[::1",
                           "1.2.3.4.evil.example", "127.0.0.1.", "[evil]:80"}) {
    CAPTURE(host);
    CHECK(pages.ask(kStatusPath, {.method = "GET", .path = "", .host = host}).status == 403);
  }
  for (const char* host :
       {"", "localhost", "localhost:10249", "127.0.0.1:1", "[::1]:10249", "[fd00::7]", "192.0.2.1"}) {
    CAPTURE(host);
    CHECK(pages.ask(kStatusPath, {.method = "GET", .path = "", .host = host}).status == 200);
  }
}

TEST_CASE("the history is told from a number on") {
  Pages pages;
  pages.board.note_source({.resource = "services", .up = false, .failure = "away"});
  const json all = json::parse(pages.ask(kHistoryPath).body);
  REQUIRE(all.at("happenings").size() == 1);
  CHECK(all.at("last") == 1);
  CHECK(json::parse(pages.ask(kHistoryPath, {.method = "GET", .path = "", .query = "after=1"}).body)
            .at("happenings")
            .empty());
  for (const char* query : {"after=x", "before=1", "after=%"})
    CHECK(pages.ask(kHistoryPath, {.method = "GET", .path = "", .query = query}).status == 400);
}

TEST_CASE("statusz and flagz are text for people and JSON for who asks for it as for other components") {
  const auto pages = zpages({.started = std::chrono::system_clock::now() - std::chrono::seconds(3723),
                             .paths = {"/metrics", "/kubenatd/v1/status", "/kubenatd/v1/history"},
                             .flags = {{"config", "/x\n"}, {"v", "2"}}});
  for (const char* accept : {"", "*/*", "text/plain", "text/html, text/*;q=0.3"}) {
    CAPTURE(accept);
    const HttpResponse text = pages.at("/statusz")(accepting(accept));
    CHECK(text.status == 200);
    CHECK(text.content_type == "text/plain; charset=utf-8");
    CHECK(text.body.starts_with("\nkubenatd statusz\nWarning: "));
    CHECK(text.body.contains("\nUp: 1 hr 02 min 03 sec\n"));
    CHECK(text.body.contains("\nEmulation version: 1.36\n"));
    CHECK(text.body.contains("\nPaths: /flagz /kubenatd /metrics /statusz\n"));
  }
  CHECK(pages.at("/flagz")(accepting("")).body.ends_with("\nconfig=/x\\n\nv=2\n"));

  const HttpResponse statusz = pages.at("/statusz")(accepting("application/json;v=v1beta1;g=config.k8s.io;as=Statusz"));
  REQUIRE(statusz.status == 200);
  CHECK(statusz.content_type == "application/json");
  const json told = json::parse(statusz.body);
  CHECK(told.at("kind") == "Statusz");
  CHECK(told.at("apiVersion") == "config.k8s.io/v1beta1");
  CHECK(told.at("uptimeSeconds") >= 3723);
  CHECK(told.at("startTime").get<std::string>().ends_with("Z"));
  CHECK(told.at("paths").size() == 4);
  CHECK(header(statusz, "Warning").empty());
  const HttpResponse flagz =
      pages.at("/flagz")(accepting("text/html, application/json; v=v1alpha1; g=config.k8s.io; as=Flagz"));
  REQUIRE(flagz.status == 200);
  CHECK(json::parse(flagz.body).at("flags").at("v") == "2");
  CHECK(header(flagz, "Warning").starts_with("299 "));

  for (const char* accept :
       {"application/json", "application/yaml;v=v1beta1;g=config.k8s.io;as=Statusz", "image/png",
        "application/json;v=v9;g=config.k8s.io;as=Statusz", "application/json;v=v1beta1;g=config.k8s.io;as=Flagz"}) {
    CAPTURE(accept);
    CHECK(pages.at("/statusz")(accepting(accept)).status == 406);
  }
}
