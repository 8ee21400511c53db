#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/objects/api_words.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr std::string_view kGroup = "gateway.networking.k8s.io";
constexpr std::array<std::string_view, 4> kFrom{"All", "None", "Selector", "Same"};
constexpr std::array<std::string_view, 3> kPathTypes{"Exact", "PathPrefix", "RegularExpression"};

std::string text(const Field& of, const char* name) {
  return of.member(name, Wrong::kLeave).text(Wrong::kLeave);
}

/// What is absent means `usual`.
std::string text(const Field& of, const char* name, std::string_view usual) {
  const Field field = of.member(name, Wrong::kLeave);
  return field.present() ? field.text(Wrong::kLeave) : std::string(usual);
}

std::uint16_t port(const Field& of, const char* name) {
  return of.member(name, Wrong::kLeave).port(Wrong::kLeave);
}

/// For fields with a few words; absent means `usual`.
template <std::size_t kCount>
std::string word(const Field& field, std::string_view usual, const std::array<std::string_view, kCount>& words) {
  if (!field.present()) return std::string(usual);
  std::string written = field.text(Wrong::kLeave);
  if (std::ranges::find(words, written) == words.end()) field.disallow(not_supported(written, words));
  return written;
}

/// Routes that may attach; what cannot be read lets nobody in.
void read_allowed(const Field& field, GatewayListener& listener) {
  const std::string from = word(field.member("namespaces", Wrong::kLeave).member("from", Wrong::kLeave), "Same", kFrom);
  listener.from = from == "Same"       ? GatewayListener::From::kSame
                  : from == "All"      ? GatewayListener::From::kAll
                  : from == "Selector" ? GatewayListener::From::kSelector
                                       : GatewayListener::From::kNone;
  const auto kinds = field.member("kinds", Wrong::kLeave).elements(Wrong::kLeave);
  listener.takes_http = kinds.empty() || std::ranges::any_of(kinds, [](const Field& kind) {
                          return text(kind, "kind") == "HTTPRoute" && text(kind, "group", kGroup) == kGroup;
                        });
}

GatewayListener read_listener(const Field& field) {
  GatewayListener listener;
  listener.name = text(field, "name");
  listener.hostname = text(field, "hostname");
  listener.port = port(field, "port");
  listener.protocol = text(field, "protocol");
  read_allowed(field.member("allowedRoutes", Wrong::kLeave), listener);
  return listener;
}

void read_addresses(const Field& of, std::vector<rules::Address>& addresses) {
  for (const Field& element : of.member("addresses", Wrong::kLeave).elements(Wrong::kLeave)) {
    if (text(element, "type", "IPAddress") != "IPAddress") continue;
    if (const auto address = element.member("value", Wrong::kLeave).address(Wrong::kRemark))
      addresses.push_back(*address);
  }
}

RouteMatch read_match(const Field& field) {
  RouteMatch match;
  const Field path = field.member("path", Wrong::kLeave);
  const std::string type = word(path.member("type", Wrong::kLeave), "PathPrefix", kPathTypes);
  // A type that is not known may match anything, like an expression that is not understood.
  match.path_type = type == "PathPrefix" ? RouteMatch::Path::kPrefix
                    : type == "Exact"    ? RouteMatch::Path::kExact
                                         : RouteMatch::Path::kRegularExpression;
  match.path = text(path, "value", "/");
  match.method = text(field, "method");
  match.headers = field.member("headers", Wrong::kLeave).elements(Wrong::kLeave).size();
  match.parameters = field.member("queryParams", Wrong::kLeave).elements(Wrong::kLeave).size();
  return match;
}

RouteBackend read_backend(const Field& field, const std::string& ns) {
  RouteBackend backend;
  const bool is_service = text(field, "group").empty() && text(field, "kind", "Service") == "Service";
  if (is_service) backend.service = {text(field, "namespace", ns), text(field, "name")};
  backend.port = port(field, "port");
  constexpr std::uint32_t kHeaviest = 1'000'000;  // of the API's schema
  backend.weight = field.member("weight", Wrong::kLeave).number(0, kHeaviest, Wrong::kLeave).value_or(1);
  return backend;
}

RouteRule read_rule(const Field& field, const std::string& ns) {
  RouteRule rule;
  for (const Field& match : field.member("matches", Wrong::kLeave).elements(Wrong::kLeave))
    rule.matches.push_back(read_match(match));
  for (const Field& backend : field.member("backendRefs", Wrong::kLeave).elements(Wrong::kLeave))
    rule.backends.push_back(read_backend(backend, ns));
  for (const Field& filter : field.member("filters", Wrong::kLeave).elements(Wrong::kLeave)) {
    const std::string type = text(filter, "type");
    rule.redirects = rule.redirects || type == "RequestRedirect";
    rule.extended = rule.extended || type == "ExtensionRef";
  }
  return rule;
}

}  // namespace

GatewayClass decode_gateway_class(const Field& root, ObjectKey key) {
  return {.key = std::move(key), .controller = text(root.member("spec", Wrong::kLeave), "controllerName")};
}

Gateway decode_gateway(const Field& root, ObjectKey key) {
  Gateway gateway;
  gateway.key = std::move(key);
  const Field spec = root.member("spec", Wrong::kLeave);
  gateway.class_name = text(spec, "gatewayClassName");
  for (const Field& listener : spec.member("listeners", Wrong::kLeave).elements(Wrong::kLeave))
    gateway.listeners.push_back(read_listener(listener));
  read_addresses(root.member("status", Wrong::kLeave), gateway.addresses);
  if (gateway.addresses.empty()) read_addresses(spec, gateway.addresses);
  return gateway;
}

HttpRoute decode_http_route(const Field& root, ObjectKey key) {
  HttpRoute route;
  route.key = std::move(key);
  route.created = root.member("metadata", Wrong::kLeave).member("creationTimestamp", Wrong::kLeave).time();
  const Field spec = root.member("spec", Wrong::kLeave);
  for (const Field& parent : spec.member("parentRefs", Wrong::kLeave).elements(Wrong::kLeave)) {
    if (text(parent, "kind", "Gateway") != "Gateway" || text(parent, "group", kGroup) != kGroup) continue;
    route.parents.push_back({.gateway = {text(parent, "namespace", route.key.ns), text(parent, "name")},
                             .section = text(parent, "sectionName"),
                             .port = port(parent, "port")});
  }
  for (const Field& host : spec.member("hostnames", Wrong::kLeave).elements(Wrong::kLeave))
    route.hostnames.push_back(host.text(Wrong::kLeave));
  for (const Field& rule : spec.member("rules", Wrong::kLeave).elements(Wrong::kLeave))
    route.rules.push_back(read_rule(rule, route.key.ns));
  return route;
}

}  // namespace kubenatd::agent::objects
