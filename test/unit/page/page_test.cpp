#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/page/explainer.h"
#include "agent/page/files.h"
#include "agent/page/guard.h"
#include "agent/page/pages.h"
#include "agent/page/picture.h"

using namespace kubenatd::agent;
using namespace kubenatd::agent::page;
using kubenatd::rules::Address;
using kubenatd::rules::Protocol;
using nlohmann::json;
using serve::HttpRequest;
using serve::HttpResponse;

namespace {

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [known, value] : response.headers)
    if (known == name) return value;
  return {};
}

HttpRequest get(const std::string& query = "", const std::string& host = "127.0.0.1:10249") {
  return {.method = "GET", .path = "", .query = query, .host = host};
}

/// A Service with two endpoints, as a model has it.
dataplane::Model model(config::Config::Mode mode) {
  config::Environment environment;
  environment.node_name = "node-1";
  environment.has_nfacct = false;
  config::Config config = config::default_config();
  config.mode = mode;
  dataplane::Model model(config, environment);
  objects::Service service;
  service.key = {"demo", "web"};
  service.cluster_ips = {Address::parse("10.96.0.80").value()};
  service.ports = {{"http", Protocol::kTcp, 80, 0, ""}};
  objects::Service other = service;
  other.key.name = "other";
  other.cluster_ips = {Address::parse("10.96.0.81").value()};
  objects::EndpointSlice slice;
  slice.key = {"demo", "web-1"};
  slice.service = "web";
  slice.ports = {{"http", 8080, Protocol::kTcp}};
  for (const char* address : {"10.244.1.11", "10.244.1.12"}) {
    objects::SliceEndpoint endpoint;
    endpoint.address = Address::parse(address).value();
    endpoint.ready = endpoint.serving = true;
    slice.endpoints.push_back(endpoint);
  }
  const auto put = [](const auto& object) -> objects::ObjectEvent {
    return {objects::kind_of(objects::Object(object)), object.key, std::make_shared<const objects::Object>(object)};
  };
  (void)model.apply({put(service), put(other), put(slice)});
  return model;
}

/// The page, and a run loop that answers.
class Pages {
 public:
  explicit Pages(Explain explain = {})
      : pages_(ui_pages(board, *inquiries_, {.node = "Node-1", .counts = false, .explain = std::move(explain)})),
        loop_([this] {
          while (!stop_) {
            inquiries_->answer(
                [this](const seen::ServicesQuery& query) {
                  ++asked;
                  return list_services(model_, {}, query);
                },
                &model_);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
        }) {}
  ~Pages() {
    stop_ = true;
    loop_.join();
  }

  HttpResponse ask(const std::string& path, HttpRequest request = get()) {
    request.path = path;
    return pages_.at(path)(request);
  }
  [[nodiscard]] const std::map<std::string, serve::HttpHandler>& all() const { return pages_; }

  seen::Board board{{.node = "node-1", .mode = config::Config::Mode::kIptables, .objects_of = "x", .ipv6 = false}};
  std::atomic<int> asked = 0;

 private:
  dataplane::Model model_ = model(config::Config::Mode::kIptables);
  std::unique_ptr<seen::Inquiries> inquiries_ = seen::Inquiries::open().value();
  std::map<std::string, serve::HttpHandler> pages_;
  std::atomic<bool> stop_ = false;
  std::thread loop_;
};

/// Answers when it is let.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;
  std::atomic<int> begun = 0;

  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
  Explain explain(const std::shared_ptr<Gate>& self) {
    return [self](const std::string& to, const std::string& from) -> Explained {
      ++self->begun;
      std::unique_lock lock(self->mutex);
      self->changed.wait(lock, [&] { return self->is_open; });
      if (to == "rubbish") return {.understood = false, .json = {}, .error = "it is no address"};
      if (to == "broken") throw std::runtime_error("out of luck");
      return {.json = json{{"to", to}, {"from", from}}.dump(), .error = {}};
    };
  }
};

HttpResponse answer_of(Explainer& explainer, const std::string& query) {
  while (true) {
    HttpResponse response = explainer.answer(get(query));
    if (response.status != 202 && response.status != 429) return response;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

TEST_CASE("the page is small and of its own files alone") {
  std::size_t size = 0;
  for (const File& file : files()) {
    INFO(file.name);
    size += file.content.size();
    CHECK_FALSE(file.content.contains("innerHTML"));
    CHECK_FALSE(file.content.contains("eval("));
    CHECK_FALSE(file.content.contains("https://"));
    CHECK_FALSE(file.content.contains(" style=\""));
  }
  CHECK(files().size() > 6);
  CHECK(size > 20'000);
  CHECK(size <= 100'000);
}

TEST_CASE("every file has its type and its tag and forbids what is of others") {
  Pages pages;
  for (const auto& [path, type] : std::map<std::string, std::string>{{"/ui/", "text/html; charset=utf-8"},
                                                                     {"/ui/app.js", "text/javascript; charset=utf-8"},
                                                                     {"/ui/style.css", "text/css; charset=utf-8"}}) {
    INFO(path);
    const HttpResponse first = pages.ask(path);
    CHECK(first.status == 200);
    CHECK(first.content_type == type);
    CHECK(header(first, "Content-Security-Policy").starts_with("default-src 'self';"));
    CHECK(header(first, "X-Content-Type-Options") == "nosniff");
    CHECK(header(first, "Access-Control-Allow-Origin").empty());
    HttpRequest again = get();
    again.if_none_match = header(first, "ETag");
    CHECK(pages.ask(path, again).status == 304);
  }
  const HttpResponse lead = pages.ask("/ui");
  CHECK(lead.status == 308);
  CHECK(header(lead, "Location") == "/ui/");
}

TEST_CASE("the page is for those who ask by an address or a name of the node") {
  Pages pages;
  for (const char* host :
       {"", "127.0.0.1:10249", "[::1]:10249", "192.0.2.7", "localhost:8080", "node-1:10249", "NODE-1", "node-1."}) {
    INFO(host);
    CHECK(pages.ask("/ui/", get("", host)).status == 200);
    CHECK(pages.ask("/ui/api/now", get("view=packet", host)).status == 200);
  }
  for (const char* host :
       {"evil.example", "node-1.evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example"}) {
    for (const auto& [path, page] : pages.all()) {
      INFO(host << path);
      const HttpResponse refused = pages.ask(path, get("", host));
      CHECK(refused.status == 421);
      CHECK(refused.body.contains("by an address"));
    }
  }
}

TEST_CASE("only GET and HEAD are answered and no page of another site") {
  Pages pages;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    HttpRequest request = get();
    request.method = method;
    const HttpResponse refused = pages.ask("/ui/api/now", request);
    CHECK(refused.status == 405);
    CHECK(header(refused, "Allow") == "GET, HEAD");
  }
  for (const char* site : {"cross-site", "same-site"}) {
    HttpRequest request = get("view=packet");
    request.fetch_site = site;
    CHECK(pages.ask("/ui/api/now", request).status == 403);
    CHECK(pages.ask("/ui/", request).status == 200);  // a link may lead here
  }
}

TEST_CASE("the document has what its view shows and is the same until something changes") {
  Pages pages;
  pages.board.note_waiting("nothing yet");
  const HttpResponse first = pages.ask("/ui/api/now", get("view=services&limit=100000"));
  REQUIRE(first.status == 200);
  const json document = json::parse(first.body);
  CHECK(document.at("schema") == "kubenatd.page/v1");
  CHECK(document.at("status").at("node") == "node-1");
  CHECK(document.at("services").at("matching") == 2);
  CHECK_FALSE(document.contains("history"));
  CHECK_FALSE(document.contains("families"));
  const int asked = pages.asked;
  HttpRequest again = get("view=services&limit=100000");
  again.if_none_match = header(first, "ETag");
  const HttpResponse same = pages.ask("/ui/api/now", again);
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(pages.asked == asked);  // the run loop was left alone
  pages.board.note_waiting("something else");
  CHECK(pages.ask("/ui/api/now", again).status == 200);
  const json history = json::parse(pages.ask("/ui/api/now", get("view=history&after=0")).body);
  CHECK(history.at("history").at("happenings").is_array());
  CHECK_FALSE(history.contains("services"));
}

TEST_CASE("questions that are none are refused") {
  Pages pages;
  for (const char* query : {"view=nothing", "view=services&order=x", "after=x", "after=-1", "view=service", "%",
                            "limit=x", "view=service&namespace=demo", "more=1"}) {
    INFO(query);
    CHECK(pages.ask("/ui/api/now", get(query)).status == 400);
  }
}

TEST_CASE("what is wanted for a Service is told apart from what is of all") {
  for (const auto mode : {config::Config::Mode::kIptables, config::Config::Mode::kNftables}) {
    const dataplane::Model all = model(mode);
    const auto wanted = wanted_of(all, "demo", "web");
    REQUIRE(wanted->error.empty());
    CHECK(wanted->iptables == (mode == config::Config::Mode::kIptables));
    REQUIRE(wanted->families.size() == 1);
    const auto& family = wanted->families.front();
    CHECK(family.ports.size() == 1);
    const auto size = [](const kubenatd::rules::walk::Ruleset& rules) {
      std::size_t count = 0;
      for (const auto& table : rules.tables()) {
        count += table.chains.size();
        for (const auto& [name, set] : table.sets) count += set.elements.size();
      }
      return count;
    };
    CHECK(size(family.rules) > size(family.none));
    CHECK(wanted_of(all, "demo", "none")->families.empty());
    CHECK(wanted_of(all, "demo", "we")->families.empty());
  }
}

TEST_CASE("a question is answered by a thread of its own") {
  const auto gate = std::make_shared<Gate>();
  gate->open();
  Explainer explainer(gate->explain(gate));
  const HttpResponse begun = explainer.answer(get("to=10.96.0.80:80&from=node&ask=1"));
  CHECK(begun.status == 202);
  CHECK(header(begun, "Retry-After") == "1");
  const HttpResponse answer = answer_of(explainer, "to=10.96.0.80:80&from=node&ask=1");
  CHECK(answer.status == 200);
  CHECK(json::parse(answer.body) == json{{"to", "10.96.0.80:80"}, {"from", "node"}});
  CHECK(explainer.answer(get("to=10.96.0.80:80&from=node&ask=1")).status == 200);
  CHECK(gate->begun == 1);
  CHECK(explainer.answer(get("to=10.96.0.80:80&from=node&ask=2")).status == 429);  // too soon after it
  CHECK(answer_of(explainer, "to=rubbish").status == 400);
  CHECK(answer_of(explainer, "to=broken").body == "out of luck\n");
}

TEST_CASE("one question at a time") {
  const auto gate = std::make_shared<Gate>();
  Explainer explainer(gate->explain(gate));
  CHECK(explainer.answer(get("to=a&ask=1")).status == 202);
  for (int i = 0; i < 100; ++i) CHECK(explainer.answer(get("to=b&ask=" + std::to_string(i))).status == 429);
  CHECK(explainer.answer(get("to=a&ask=1")).status == 202);
  gate->open();
  CHECK(answer_of(explainer, "to=a&ask=1").status == 200);
  CHECK(gate->begun == 1);
  for (const std::string& query : {std::string(), std::string("to="), std::string("x=1"), std::string("to=%"),
                                   "to=" + std::string(Explainer::kLongestQuestion + 1, 'a')})
    CHECK(explainer.answer(get(query)).status == 400);
}

TEST_CASE("a question that takes long is left behind") {
  const auto gate = std::make_shared<Gate>();
  {
    Explainer explainer(gate->explain(gate));
    CHECK(explainer.answer(get("to=a")).status == 202);
  }
  CHECK(gate->begun <= 1);
  gate->open();  // it ends with what it holds
}
