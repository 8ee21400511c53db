#include "agent/explain/gateway_match.h"

#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/documents/read.h"
#include "agent/objects/decode.h"

namespace kubenatd::agent::test {
namespace {

using explain::Inventory;
using explain::RouteFound;

Inventory inventory_of(const std::string& text) {
  Inventory inventory;
  const auto read = documents::read_all(text, [&](nlohmann::json&& document) {
    auto decoded = objects::decode_object(document);
    INFO((decoded ? "" : decoded.error().to_string()));
    REQUIRE(decoded);
    for (const std::string& remark : decoded->remarks) FAIL_CHECK(remark);
    REQUIRE(decoded->object);
    const auto key = std::visit([](const auto& one) { return one.key; }, *decoded->object);
    inventory.take({objects::kind_of(*decoded->object), key,
                    std::make_shared<const objects::Object>(std::move(*decoded->object))});
  });
  REQUIRE(read);
  return inventory;
}

const std::string kVersion = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ";

/// Gateway infra/public with these listeners.
std::string gateway(const std::string& listeners) {
  return kVersion + "Gateway\nmetadata: {name: public, namespace: infra}\nspec: {gatewayClassName: any, listeners: [" +
         listeners + "]}\n";
}
const std::string kHttp = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}";

/// HTTPRoute demo/NAME at infra/public.
std::string route(const std::string& name, const std::string& hosts, const std::string& matches,
                  const std::string& created = "2026-05-01T12:00:00Z", const std::string& parent = "") {
  return kVersion + "HTTPRoute\nmetadata: {name: " + name + ", namespace: demo, creationTimestamp: '" + created +
         "'}\nspec:\n  parentRefs: [{name: public, namespace: infra" + parent + "}]\n  hostnames: [" + hosts +
         "]\n  rules: [{matches: [" + matches + "], backendRefs: [{name: " + name + ", port: 80}]}]\n";
}

std::string found(const std::string& objects, const std::string& host, const std::string& path, bool tls = false,
                  std::vector<std::uint16_t> ports = {}) {
  const Inventory inventory = inventory_of(objects);
  const RouteFound answer = explain::match_http_route(inventory, {host, path, tls, std::move(ports)});
  std::string text = answer.route == nullptr ? "none" : answer.route->key.name;
  if (answer.rule != nullptr && !answer.rule->backends.empty())
    CHECK(answer.rule->backends[0].service == objects::ObjectKey{"demo", answer.route->key.name});
  return answer.doubts.empty() ? text : text + " in doubt";
}

std::string prefix(const std::string& path) {
  return "{path: {type: PathPrefix, value: " + path + "}}";
}

}  // namespace

TEST_CASE("Gateway API: the most specific host name goes first and then the path") {
  const std::string objects = gateway(kHttp) + route("any", "", prefix("/")) + route("wild", "'*.local'", prefix("/")) +
                              route("shop", "shop.local", prefix("/")) + route("cart", "shop.local", prefix("/cart")) +
                              route("exact", "shop.local", "{path: {type: Exact, value: /cart}}") +
                              route("long", "'*.very.local'", prefix("/"));
  CHECK(found(objects, "other.example", "/cart") == "any");
  CHECK(found(objects, "a.local", "/cart") == "wild");
  CHECK(found(objects, "a.b.local", "/") == "wild");
  CHECK(found(objects, "local", "/") == "any");
  CHECK(found(objects, "a.very.local", "/") == "long");
  CHECK(found(objects, "shop.local", "/") == "shop");
  CHECK(found(objects, "shop.local", "/cart") == "exact");
  CHECK(found(objects, "shop.local", "/cart/7") == "cart");
  CHECK(found(objects, "shop.local", "/cartoon") == "shop");
}

TEST_CASE("Gateway API: of equal matches the older route wins and then the name") {
  const auto two = [](const std::string& first, const std::string& second) {
    return gateway(kHttp) + route("b", "", prefix("/"), first) + route("a", "", prefix("/"), second);
  };
  CHECK(found(two("2026-05-01T12:00:00Z", "2026-05-02T12:00:00Z"), "x", "/") == "b");
  CHECK(found(two("2026-05-02T12:00:00Z", "2026-05-01T12:00:00Z"), "x", "/") == "a");
  CHECK(found(two("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z"), "x", "/") == "a");
}

TEST_CASE("Gateway API: a match with a method goes before one without") {
  const std::string get = gateway(kHttp) + route("a", "", prefix("/")) + route("b", "", "{method: GET}");
  CHECK(found(get, "x", "/") == "b");
  CHECK(found(gateway(kHttp) + route("b", "", "{method: POST}"), "x", "/") == "none");
}

TEST_CASE("Gateway API: what a URL does not tell is a doubt where it could decide") {
  const std::string all = gateway(kHttp) + route("all", "", prefix("/"));
  CHECK(found(all + route("header", "", "{headers: [{name: a, value: b}]}"), "x", "/") == "all in doubt");
  CHECK(found(all + route("query", "", "{queryParams: [{name: a, value: b}]}"), "x", "/") == "all in doubt");
  CHECK(found(all + route("regular", "", "{path: {type: RegularExpression, value: /x.*}}"), "x", "/") ==
        "all in doubt");
  CHECK(found(gateway(kHttp) + route("header", "", "{headers: [{name: a, value: b}]}"), "x", "/") == "none in doubt");
  // One that stands behind cannot decide.
  const std::string behind = "{path: {type: PathPrefix, value: /}, headers: [{name: a, value: b}]}";
  CHECK(found(gateway(kHttp) + route("exact", "", "{path: {type: Exact, value: /}}") + route("header", "", behind), "x",
              "/") == "exact");
  const std::string selected =
      "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}";
  CHECK(found(gateway(selected) + route("all", "", prefix("/")), "x", "/") == "none in doubt");
}

TEST_CASE("Gateway API: the listener decides whom it lets in") {
  const std::string all = route("all", "", prefix("/"));
  CHECK(found(gateway("{name: http, port: 80, protocol: HTTP}") + all, "x", "/") == "none");  // of its own namespace
  CHECK(found(gateway(kHttp) + all, "x", "/", true) == "none");
  CHECK(found(gateway(kHttp) + all, "x", "/", false, {80, 8080}) == "all");
  CHECK(found(gateway(kHttp) + all, "x", "/", false, {8080}) == "none");
  CHECK(found(gateway(kHttp) + route("all", "", prefix("/"), "2026-05-01T12:00:00Z", ", sectionName: other"), "x",
              "/") == "none");
  CHECK(found(gateway(kHttp) + route("all", "", prefix("/"), "2026-05-01T12:00:00Z", ", port: 81"), "x", "/") ==
        "none");
  const std::string hosts =
      "{name: any, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}, "
      "{name: shop, port: 80, protocol: HTTP, hostname: shop.local, allowedRoutes: {namespaces: {from: All}}}";
  const std::string at_any = route("all", "", prefix("/"), "2026-05-01T12:00:00Z", ", sectionName: any");
  CHECK(found(gateway(hosts) + at_any, "x.local", "/") == "all");
  CHECK(found(gateway(hosts) + at_any, "shop.local", "/") == "none in doubt");
  CHECK(found(gateway("{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}], namespaces: "
                      "{from: All}}}") +
                  all,
              "x", "/") == "none");
}

TEST_CASE("Gateway API: both versions are read and other people's Gateways are not") {
  const auto kind_of_text = [](const std::string& text) {
    std::string kind;
    const auto read = documents::read_all(text, [&](nlohmann::json&& document) {
      const auto decoded = objects::decode_object(document);
      REQUIRE(decoded);
      kind = decoded->object ? std::string(name_of(objects::kind_of(*decoded->object))) : decoded->passed_over;
    });
    REQUIRE(read);
    return kind;
  };
  CHECK(kind_of_text("{apiVersion: gateway.networking.k8s.io/v1beta1, kind: HTTPRoute, metadata: {name: a}}") ==
        "HTTPRoute");
  CHECK(kind_of_text("{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: a}}") ==
        "GatewayClass");
  CHECK_THAT(kind_of_text("{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: a}}"),
             Catch::Contains("is not used"));
}

}  // namespace kubenatd::agent::test
