#include "test/soak/api_faults.h"

#include <utility>
#include <vector>

namespace kubenatd::soak {

using std::chrono::milliseconds;
using test::Reply;

namespace {

constexpr const char* kName = "API server ";
constexpr const char* kServerNames = "IP:127.0.0.1";

}  // namespace

test::KeyPair ApiFaults::good_certificate(const test::Authority& authority) {
  return authority.issue("server", kServerNames);
}

void ApiFaults::make(Dice& dice) {
  const milliseconds time = dice.between(milliseconds(300), milliseconds(4000));
  switch (dice.below(12)) {
    case 0: return away(dice);
    case 1: return certificate(dice);
    case 2: {
      const auto window = faults_.begin(kName + std::string("cut"), Harm::kNews);
      server_.cut();
      return;
    }
    case 3:
      return trouble("cut in mid-body", time, [](Reply& reply) {
        reply.begin();
        reply.chunk(reply.ask.has("watch") ? R"({"type":"ADDED","object":{"kind":"Ser)"
                                           : R"({"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceV)");
        reply.cut();
        return true;
      });
    case 4: return trouble("slow", time, [](Reply& reply) { return !reply.pause(milliseconds(1500)); });
    case 5: {
      const auto window = faults_.begin(kName + std::string("410 Gone"), Harm::kNews);
      server_.forget_history();
      server_.cut();
      return;
    }
    case 6:
      return trouble("429", time, [](Reply& reply) {
        reply.answer(429, R"({"kind":"Status","apiVersion":"v1","status":"Failure","code":429})", "Retry-After: 1\r\n");
        return true;
      });
    case 7:
      return trouble("500", time, [](Reply& reply) {
        reply.answer(500, "the server has no time");
        return true;
      });
    case 8:
      return trouble("garbage", time, [](Reply& reply) {
        reply.answer(200, std::string("\x00\xff{[\"\\u", 7) + std::string(5000, '['));
        return true;
      });
    case 9: {
      const auto window = faults_.begin(kName + std::string("garbage in a watch"), Harm::kNews);
      static const std::vector<std::string> kLines{
          "{\"type\":",
          "\x01\x02\x03",
          R"({"type":"ADDED","object":{"kind":"Service","metadata":{"name":7}}})",
          R"({"type":"DELETED"})",
          R"({"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}})",
          R"({"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"x"}}})",
          std::string(100'000, 'x')};
      static const std::vector<std::string> kPaths{test::kServicesPath, test::kSlicesPath, test::kNodesPath,
                                                   test::kPodsPath};
      server_.say(dice.one_of(kPaths), dice.one_of(kLines));
      return;
    }
    case 10:
      return trouble("silent", time, [](Reply& reply) {
        static_cast<void>(reply.pause(milliseconds(8000)));
        reply.cut();
        return true;
      });
    default:
      return trouble("lists empty bodies", time, [](Reply& reply) {
        reply.answer(200, "");
        return true;
      });
  }
}

void ApiFaults::away(Dice& dice) {
  const auto window = faults_.begin(kName + std::string("away"), Harm::kNews);
  server_.go_away();
  rest_(dice.between(milliseconds(100), milliseconds(4000)));
  server_.come_back();
}

void ApiFaults::certificate(Dice& dice) {
  const bool past = dice.one_in(2);
  const auto window =
      faults_.begin(kName + std::string(past ? "certificate expired" : "certificate not valid yet"), Harm::kNews);
  server_.go_away();
  server_.set_certificate(
      authority_.issue("server", kServerNames,
                       past ? test::Validity{.from = -7200, .to = -60} : test::Validity{.from = 3600, .to = 7200}));
  server_.come_back();
  rest_(dice.between(milliseconds(500), milliseconds(4000)));
  server_.go_away();
  server_.set_certificate(good_certificate(authority_));
  server_.come_back();
}

void ApiFaults::trouble(const std::string& kind, milliseconds time, std::function<bool(Reply&)> trouble) {
  const auto window = faults_.begin(kName + kind, Harm::kNews);
  server_.set_trouble(std::move(trouble));
  server_.cut();
  rest_(time);
  server_.set_trouble(nullptr);
}

}  // namespace kubenatd::soak
