#include "agent/seen/services.h"

#include <catch2/catch.hpp>
#include <memory>

#include "agent/seen/show.h"
#include "rules/iptables/names.h"

using namespace kubenatd::agent;
using namespace kubenatd::agent::seen;
using kubenatd::rules::Address;
using kubenatd::rules::Family;
using kubenatd::rules::Protocol;
using objects::Service;

namespace {

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

template <class T>
objects::ObjectEvent put(const T& object) {
  return {objects::kind_of(objects::Object(object)), object.key, std::make_shared<const objects::Object>(object)};
}

Service service(const std::string& name, const std::vector<std::string>& cluster_ips) {
  Service service;
  service.key = {"demo", name};
  for (const std::string& address : cluster_ips) service.cluster_ips.push_back(ip(address));
  service.ports = {{"http", Protocol::kTcp, 80, 0, ""}};
  return service;
}

/// Endpoints that are ready, and then so many that are not.
objects::EndpointSlice slice(const std::string& of, const std::string& name, const std::vector<std::string>& addresses,
                             std::size_t not_ready = 0) {
  objects::EndpointSlice slice;
  slice.key = {"demo", name};
  slice.service = of;
  slice.ports = {{"http", 8080, Protocol::kTcp}};
  for (const std::string& address : addresses) {
    objects::SliceEndpoint endpoint;
    endpoint.address = ip(address);
    endpoint.ready = endpoint.serving = slice.endpoints.size() + not_ready < addresses.size();
    slice.family = endpoint.address.family;
    slice.endpoints.push_back(endpoint);
  }
  return slice;
}

dataplane::Model model(const std::vector<objects::ObjectEvent>& events) {
  config::Environment environment;
  environment.node_name = "node-1";
  environment.has_nfacct = false;
  dataplane::Model model(config::default_config(), environment);
  (void)model.apply(events);
  return model;
}

/// web with 2 of 3 endpoints ready, a NodePort and both families; idle without any; a headless one.
dataplane::Model three_services() {
  Service web = service("web", {"10.96.0.1", "fd00:10:96::1"});
  web.type = Service::Type::kNodePort;
  web.ports[0].node_port = 30080;
  web.external_ips = {ip("203.0.113.7")};
  Service headless = service("headless", {});
  headless.headless = true;
  return model({put(web), put(service("idle", {"10.96.0.2"})), put(headless),
                put(slice("web", "web-1", {"10.244.0.1", "10.244.0.2"}, 0)),
                put(slice("web", "web-2", {"10.244.0.2", "10.244.0.3"}, 1)),
                put(slice("web", "web-6", {"fd00:10:244::1"}))});
}

std::vector<std::string> names(const ServicesPage& page) {
  std::vector<std::string> names;
  for (const ServiceRow& row : page.rows) names.push_back(row.name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("rows tell addresses and endpoints and problems") {
  const dataplane::Model known = three_services();
  const ServicesPage page = list_services(known, {}, {});
  CHECK(page.services == 3);
  CHECK(page.matching == 3);
  REQUIRE(names(page) == Names{"headless", "idle", "web"});
  const ServiceRow& web = page.rows[2];
  CHECK(web.type == "NodePort");
  CHECK(web.addresses == Names{"10.96.0.1", "fd00:10:96::1"});
  CHECK(web.external == Names{"203.0.113.7"});
  CHECK(web.ports == Names{"80:30080/TCP"});
  REQUIRE(web.endpoints.size() == 2);
  CHECK(web.endpoints[0].ready == 2);  // 10.244.0.2 stands in two slices
  CHECK(web.endpoints[0].all == 3);
  CHECK(web.endpoints[1].all == 1);
  CHECK(web.problems.empty());
  CHECK(page.rows[1].problems == Names{"no ready endpoint"});
  CHECK(page.rows[0].not_served.starts_with("headless"));
  CHECK(page.rows[0].problems.empty());
  CHECK(page.rows[0].addresses == Names{"None"});
}

TEST_CASE("a query filters and sorts and takes a part") {
  const dataplane::Model known = three_services();
  const auto ask = [&](const std::string& text) {
    const auto query = parse_services_query(text);
    REQUIRE(query);
    return list_services(known, {}, *query);
  };
  CHECK(names(ask("search=web")) == Names{"web"});
  CHECK(names(ask("search=203.0.113")) == Names{"web"});
  CHECK(names(ask("search=30080")) == Names{"web"});
  CHECK(names(ask("search=80")) == Names{"headless", "idle", "web"});
  CHECK(names(ask("search=demo/i")) == Names{"idle"});
  CHECK(names(ask("name=web&namespace=demo")) == Names{"web"});
  CHECK(names(ask("name=web&namespace=other")).empty());
  CHECK(names(ask("name=we")).empty());
  CHECK(names(ask("problems=true")) == Names{"idle"});
  CHECK(names(ask("order=problems")) == Names{"idle", "headless", "web"});
  CHECK(names(ask("offset=1&limit=1")) == Names{"idle"});
  const ServicesPage beyond = ask("offset=17&limit=5");
  CHECK(beyond.rows.empty());
  CHECK(beyond.matching == 3);
  CHECK(names(ask("limit=0")).empty());
  for (const char* text :
       {"limit=x", "limit=-1", "order=sideways", "problems=maybe", "colour=red", "search=%", "offset="})
    CHECK_FALSE(parse_services_query(text));
}

TEST_CASE("a query is written as it is read") {
  const ServicesQuery query{.ns = "demo",
                            .name = "",
                            .search = "a&b=c",
                            .order = ServicesQuery::Order::kChanged,
                            .problems_only = true,
                            .detail = true,
                            .offset = 3,
                            .limit = 7};
  const auto read = parse_services_query(to_text(query));
  REQUIRE(read);
  CHECK(read->ns == "demo");
  CHECK(read->search == "a&b=c");
  CHECK(read->order == ServicesQuery::Order::kChanged);
  CHECK(read->problems_only);
  CHECK(read->detail);
  CHECK(read->offset == 3);
  CHECK(read->limit == 7);
  CHECK(parse_services_query("limit=1000000")->limit == ServicesQuery::kMostRows);
}

TEST_CASE("what changed since the first sync is told and sorts first") {
  dataplane::Model known = three_services();
  const auto first_sync = std::chrono::system_clock::now();
  (void)known.apply({put(slice("idle", "idle-1", {"10.244.0.9"}))});
  const ServicesPage page =
      list_services(known, {.first_sync = first_sync, .problems = {}, .chain_drift = {}},
                    {.ns = "", .name = "", .search = "", .order = ServicesQuery::Order::kChanged});
  REQUIRE(page.rows.size() == 3);
  CHECK(page.rows[0].name == "idle");
  CHECK(page.rows[0].changed);
  CHECK(page.rows[0].problems.empty());
  CHECK_FALSE(page.rows[1].changed);
}

TEST_CASE("drift and problems of service ports come to their Service") {
  const dataplane::Model known = three_services();
  const kubenatd::rules::iptables::ServicePortNames chains("demo/web:http", Protocol::kTcp);
  const auto endpoint = kubenatd::rules::iptables::endpoint_chain("demo/web:http", Protocol::kTcp, "10.244.0.1:8080");
  ServiceRemarks remarks;
  remarks.chain_drift[std::string(chains.cluster.view())] = {2, "2026-01-01T00:00:00Z"};
  remarks.chain_drift[std::string(endpoint.view())] = {1, "2026-01-02T00:00:00Z"};
  remarks.problems["demo/web:http"] = {"refused by the kernel: x"};
  const ServicesPage page = list_services(known, remarks, {});
  // IPv4 and IPv6 have chains of the same names.
  CHECK(page.rows[2].drift == 5);
  CHECK(page.rows[2].last_drift == "2026-01-02T00:00:00Z");
  CHECK(page.rows[2].problems == Names{"refused by the kernel: x"});
  CHECK(page.rows[1].drift == 0);
}

TEST_CASE("the detail shows frontends and what each endpoint is used for") {
  const dataplane::Model known = three_services();
  ServicesQuery query;
  query.name = "web";
  query.detail = true;
  const ServicesPage page = list_services(known, {}, query);
  REQUIRE(page.rows.size() == 1);
  REQUIRE(page.rows[0].detail.size() == 2);
  const PortRow& port = page.rows[0].detail[0];
  CHECK(port.name == "http");
  CHECK(port.family == "IPv4");
  CHECK(port.frontends == Names{"10.96.0.1:80/tcp", "203.0.113.7:80/tcp", "NodePort 30080/tcp"});
  REQUIRE(port.endpoints.size() == 3);
  CHECK(port.endpoints[0].address == "10.244.0.1:8080");
  CHECK(port.endpoints[0].ready);
  CHECK_FALSE(port.endpoints[2].ready);
  CHECK(port.endpoints[2].used_by.empty());
  const std::string text = to_text(page, Width::kWide, "2026-01-01T00:00:00Z");
  CHECK(text.starts_with("NAMESPACE   NAME"));
  CHECK(text.contains("10.244.0.3:8080"));
  CHECK(text.contains("not used on this node"));
}
