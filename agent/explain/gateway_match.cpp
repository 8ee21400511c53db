#include "agent/explain/gateway_match.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::explain {
namespace {

using objects::Gateway;
using objects::GatewayListener;
using objects::HttpRoute;
using objects::RouteMatch;
using objects::RouteParent;
using objects::RouteRule;

/// How specific a host name is that fits: characters, more for one without a wildcard; none: it does not fit.
using HostRank = std::pair<bool, std::size_t>;
std::optional<HostRank> host_rank(std::string_view rule, std::string_view host) {
  if (rule.empty()) return HostRank{false, 0};
  if (rule == host) return HostRank{true, rule.size()};
  // "*." stands for one label or more.
  const bool wildcard = rule.starts_with("*.") && host.size() >= rule.size() && host.ends_with(rule.substr(1));
  return wildcard ? std::optional(HostRank{false, rule.size()}) : std::nullopt;
}

/// A prefix of whole elements of the path: "/foo" fits "/foo/bar", not "/foobar".
bool has_prefix(std::string_view path, std::string_view prefix) {
  while (prefix.size() > 1 && prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix == "/") return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

bool listens(const GatewayListener& listener, const RouteRequest& request) {
  const bool scheme = listener.protocol == (request.tls ? "HTTPS" : "HTTP");
  return scheme && listener.takes_http && host_rank(listener.hostname, request.host) &&
         (request.ports.empty() || std::ranges::find(request.ports, listener.port) != request.ports.end());
}

bool has_address(const Gateway& gateway, const rules::Address& address) {
  return std::ranges::find(gateway.addresses, address) != gateway.addresses.end();
}

/// Those that the request can be for: of an address that Gateways have, only these.
std::vector<const Gateway*> gateways_of(const Inventory& inventory, const RouteRequest& request) {
  std::vector<const Gateway*> all = inventory.all<Gateway>();
  if (request.address && is_of_gateway(inventory, *request.address))
    std::erase_if(all, [&](const Gateway* one) { return !has_address(*one, *request.address); });
  std::erase_if(all, [&](const Gateway* one) {
    return std::ranges::none_of(one->listeners,
                                [&](const GatewayListener& listener) { return listens(listener, request); });
  });
  return all;
}

/// A rule that takes the request, or may take it.
struct Candidate {
  // In the order of precedence; the larger one wins.
  HostRank host{};
  bool exact = false;
  std::size_t length = 0;
  bool by_method = false;
  std::size_t headers = 0, parameters = 0;

  bool sure = true;
  std::string doubt;
  RouteFound found;

  [[nodiscard]] auto rank() const { return std::tuple(host, exact, length, by_method, headers, parameters); }
};

bool goes_before(const Candidate& one, const Candidate& other) {
  if (one.rank() != other.rank()) return one.rank() > other.rank();
  const HttpRoute& mine = *one.found.route;
  const HttpRoute& its = *other.found.route;
  if (&mine == &its) return false;  // the rules of one route keep their order
  // A time that is not told says nothing; then the name decides.
  if (mine.created != its.created && mine.created != 0 && its.created != 0) return mine.created < its.created;
  return mine.key < its.key;
}

class Matcher {
 public:
  Matcher(const Inventory& inventory, const RouteRequest& request) : inventory_(inventory), request_(request) {}

  [[nodiscard]] RouteFound match() {
    const std::vector<const Gateway*> gateways = gateways_of(inventory_, request_);
    for (const Gateway* gateway : gateways) look_at(*gateway);
    std::ranges::stable_sort(candidates_, goes_before);
    const auto sure = std::ranges::find_if(candidates_, &Candidate::sure);
    RouteFound found = sure == candidates_.end() ? RouteFound{} : sure->found;
    std::set<std::string> told;
    for (auto at = candidates_.begin(); at != candidates_.end(); ++at) {
      const bool regular = at->found.path_type == "RegularExpression";  // where it stands is up to the controller
      if (at->sure || (at > sure && !regular) || !told.insert(at->doubt).second) continue;
      found.doubts.push_back(at->doubt);
    }
    for (const Gateway* gateway : gateways)
      if (sure != candidates_.end() && gateway != found.gateway) compare(*gateway, found);
    return found;
  }

 private:
  /// The request may be for another Gateway; what that one would do with it matters if it is not the same.
  void compare(const Gateway& other, RouteFound& found) const {
    const auto its = std::ranges::find_if(
        candidates_, [&](const Candidate& one) { return one.sure && one.found.gateway == &other; });
    if (its != candidates_.end() && its->found.rule == found.rule) return;
    found.doubts.push_back(fmt::format(
        "Gateway {} listens for it, too, and {}", other.key.to_string(),
        its == candidates_.end() ? "has no rule for it" : "takes HTTPRoute " + its->found.route->key.to_string()));
  }

  void look_at(const Gateway& gateway) {
    std::optional<HostRank> nearest;
    for (const GatewayListener& listener : gateway.listeners)
      if (listens(listener, request_)) nearest = std::max(nearest, host_rank(listener.hostname, request_.host));
    if (!nearest) return;
    for (const GatewayListener& listener : gateway.listeners) {
      if (!listens(listener, request_)) continue;
      // Some controllers let a route of a less specific listener answer, too.
      const bool own = host_rank(listener.hostname, request_.host) == nearest;
      for (const HttpRoute* route : inventory_.all<HttpRoute>()) look_at(gateway, listener, own, *route);
    }
  }

  void look_at(const Gateway& gateway, const GatewayListener& listener, bool own, const HttpRoute& route) {
    const bool attached = std::ranges::any_of(route.parents, [&](const RouteParent& parent) {
      return parent.gateway == gateway.key && (parent.section.empty() || parent.section == listener.name) &&
             (parent.port == 0 || parent.port == listener.port);
    });
    using From = GatewayListener::From;
    if (!attached || listener.from == From::kNone) return;
    if (listener.from == From::kSame && route.key.ns != gateway.key.ns) return;
    std::optional<HostRank> best;
    std::string host = listener.hostname;
    if (route.hostnames.empty()) best = host_rank(listener.hostname, request_.host);
    for (const std::string& name : route.hostnames) {
      const auto rank = host_rank(name, request_.host);
      if (!rank || (best && *rank <= *best)) continue;
      best = rank;
      host = name;
    }
    if (!best) return;
    Candidate candidate;
    candidate.host = *best;
    candidate.sure = own && listener.from != From::kSelector;
    if (!own) candidate.doubt = "another listener of the Gateway has a more specific host name";
    if (listener.from == From::kSelector) candidate.doubt = "which namespaces the listener takes is up to their labels";
    candidate.found.route = &route;
    candidate.found.gateway = &gateway;
    candidate.found.listener = listener.name;
    candidate.found.host = host;
    for (const RouteRule& rule : route.rules) {
      candidate.found.rule = &rule;
      if (rule.matches.empty()) add(candidate, RouteMatch{});
      for (const RouteMatch& match : rule.matches) add(candidate, match);
    }
  }

  void add(Candidate candidate, const RouteMatch& match) {
    using Path = RouteMatch::Path;
    if (match.path_type == Path::kExact && match.path != request_.path) return;
    if (match.path_type == Path::kPrefix && !has_prefix(request_.path, match.path)) return;
    if (!match.method.empty() && match.method != "GET") return;
    candidate.exact = match.path_type == Path::kExact;
    candidate.length = match.path.size();
    candidate.by_method = !match.method.empty();
    candidate.headers = match.headers;
    candidate.parameters = match.parameters;
    candidate.found.path = match.path;
    candidate.found.path_type = match.path_type == Path::kExact    ? "Exact"
                                : match.path_type == Path::kPrefix ? "PathPrefix"
                                                                   : "RegularExpression";
    const auto doubt = [&](const char* why) {
      candidate.sure = false;
      candidate.doubt = why;
    };
    if (match.headers != 0) doubt("it asks for headers");
    if (match.parameters != 0) doubt("it asks for query parameters");
    if (match.path_type == Path::kRegularExpression) doubt("its path is a regular expression");
    if (!candidate.doubt.empty())
      candidate.doubt = fmt::format("HTTPRoute {}, {}{}: {}", candidate.found.route->key.to_string(),
                                    candidate.found.host.empty() ? "*" : base::one_line(candidate.found.host),
                                    base::one_line(match.path), candidate.doubt);
    candidates_.push_back(std::move(candidate));
  }

  const Inventory& inventory_;
  const RouteRequest& request_;
  std::vector<Candidate> candidates_;
};

}  // namespace

bool is_of_gateway(const Inventory& inventory, const rules::Address& address) {
  return std::ranges::any_of(inventory.all<Gateway>(),
                             [&](const Gateway* gateway) { return has_address(*gateway, address); });
}

bool has_listener(const Inventory& inventory, const RouteRequest& request) {
  return !gateways_of(inventory, request).empty();
}

RouteFound match_http_route(const Inventory& inventory, const RouteRequest& request) {
  return Matcher(inventory, request).match();
}

}  // namespace kubenatd::agent::explain
