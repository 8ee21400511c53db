#include "rules/frontend_claims.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace kubenatd::rules {
namespace {

using Entry = std::pair<const ServicePortKey, int>;

Entry entry(const std::string& name) {
  return {{name, Protocol::kTcp}, 0};
}

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

const Frontend kFrontend{ip("203.0.113.60"), Protocol::kTcp, 80};

/// "demo/a demo/b: demo/a serves" of each.
std::string told(FrontendClaims<Entry>& claims) {
  std::string text;
  for (const Clash& clash : claims.take_clashes()) {
    for (const std::string& name : clash.claimants) text += name + " ";
    text += "(" + clash.serves + ") " + to_text(clash.frontend) + ";";
  }
  return text;
}

}  // namespace

TEST_CASE("the first by name of those with usable endpoints has the frontend") {
  FrontendClaims<Entry> claims;
  Entry a = entry("demo/a"), b = entry("demo/b"), c = entry("demo/c");
  CHECK(claims.owner_of(kFrontend) == nullptr);
  claims.put(kFrontend, c, Usability::kUsable);
  claims.put(kFrontend, b, Usability::kUsable);
  claims.put(kFrontend, a, Usability::kNone);
  CHECK(claims.owner_of(kFrontend) == &b);
  claims.put(kFrontend, a, Usability::kUsable);
  CHECK(claims.owner_of(kFrontend) == &a);
  claims.put(kFrontend, a, Usability::kElsewhere);
  CHECK(claims.owner_of(kFrontend) == &b);
  claims.put(kFrontend, b, Usability::kRefused);
  claims.put(kFrontend, c, Usability::kNone);
  CHECK(claims.owner_of(kFrontend) == &a);
  claims.remove(kFrontend, a);
  CHECK(claims.owner_of(kFrontend) == &c);
  claims.remove(kFrontend, c);
  CHECK(claims.owner_of(kFrontend) == nullptr);
  claims.put(kFrontend, b, Usability::kNone);
  CHECK(claims.owner_of(kFrontend) == &b);
}

TEST_CASE("another protocol or port or a NodePort of that number is another frontend") {
  FrontendClaims<Entry> claims;
  Entry a = entry("demo/a"), b = entry("demo/b");
  claims.put(kFrontend, a, Usability::kUsable);
  for (const Frontend& other :
       {Frontend{ip("203.0.113.60"), Protocol::kUdp, 80}, Frontend{ip("203.0.113.60"), Protocol::kTcp, 81},
        Frontend{ip("203.0.113.61"), Protocol::kTcp, 80}, Frontend{{}, Protocol::kTcp, 80}})
    claims.put(other, b, Usability::kUsable);
  CHECK(told(claims).empty());
  CHECK(claims.owner_of(kFrontend) == &a);
  std::vector<const Entry*> owners;
  claims.for_each_owner([&](const Frontend& /*frontend*/, const Entry& owner) { owners.push_back(&owner); });
  CHECK(std::ranges::count(owners, &a) == 1);
  CHECK(std::ranges::count(owners, &b) == 4);
}

TEST_CASE("a clash is told once, and again when it ended and came back") {
  FrontendClaims<Entry> claims;
  Entry a = entry("demo/a"), b = entry("demo/b"), c = entry("demo/c");
  claims.put(kFrontend, b, Usability::kUsable);
  CHECK(told(claims).empty());
  claims.put(kFrontend, a, Usability::kNone);
  CHECK(told(claims) == "demo/a demo/b (demo/b) 203.0.113.60:80/tcp;");
  CHECK(told(claims).empty());
  // It may change hands as often as it likes, the kernel may refuse one, and one may come again.
  claims.put(kFrontend, a, Usability::kUsable);
  claims.put(kFrontend, a, Usability::kRefused);
  claims.put(kFrontend, a, Usability::kUsable);
  claims.remove(kFrontend, a);
  claims.put(kFrontend, a, Usability::kUsable);
  CHECK(told(claims).empty());
  claims.put(kFrontend, c, Usability::kUsable);
  CHECK(told(claims) == "demo/a demo/b demo/c (demo/a) 203.0.113.60:80/tcp;");
  claims.remove(kFrontend, c);
  CHECK(told(claims).empty());
  claims.remove(kFrontend, b);
  CHECK(told(claims) == "demo/a (demo/a) 203.0.113.60:80/tcp;");
  claims.put(kFrontend, b, Usability::kUsable);
  CHECK(told(claims) == "demo/a demo/b (demo/a) 203.0.113.60:80/tcp;");
  claims.put(kFrontend, a, Usability::kNone);
  claims.put(kFrontend, b, Usability::kNone);
  claims.remove(kFrontend, a);
  claims.remove(kFrontend, b);
  CHECK(told(claims) == "() 203.0.113.60:80/tcp;");
  claims.put(kFrontend, a, Usability::kNone);
  claims.put(kFrontend, b, Usability::kNone);
  CHECK(told(claims) == "demo/a demo/b () 203.0.113.60:80/tcp;");
}

TEST_CASE("the frontends of a service port, and what it has for each") {
  ServicePortView view;
  view.cluster_ip = ip("10.96.0.1");
  view.port = 80;
  view.node_port = 30080;
  view.external_ips = {ip("203.0.113.60"), ip("203.0.113.60")};
  view.load_balancer_ips = {ip("203.0.113.60"), ip("10.96.0.1")};
  CHECK(frontends_of(view) == std::vector<Frontend>{{ip("10.96.0.1"), Protocol::kTcp, 80},
                                                    {ip("203.0.113.60"), Protocol::kTcp, 80},
                                                    {{}, Protocol::kTcp, 30080}});
  CHECK(to_text(frontends_of(view).back()) == "NodePort 30080/tcp");
  const auto usable = [&](std::size_t frontend) {
    return usability_of(view, frontends_of(view).at(frontend), reach_of(view));
  };
  CHECK(usable(0) == Usability::kNone);
  view.endpoints.resize(1);
  view.endpoints[0].for_cluster = view.has_endpoints = true;
  view.external_policy_local = true;
  CHECK(usable(0) == Usability::kUsable);
  CHECK(usable(1) == Usability::kElsewhere);
  CHECK(usable(2) == Usability::kElsewhere);
  view.endpoints[0].for_local = true;
  CHECK(usable(2) == Usability::kUsable);
  view.endpoints[0].for_local = false;
  view.internal_policy_local = true;
  CHECK(usable(0) == Usability::kElsewhere);
}

}  // namespace kubenatd::rules
