#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "agent/sources/endpoint_deriver.h"
#include "test/support/places.h"
#include "test/unit/objects/objects_support.h"

/// The table that test/oracle/endpoints made with Kubernetes' own controllers.
namespace kubenatd::agent::sources {
namespace {

using nlohmann::json;
using namespace objects;

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  return result;
}

std::string text_of(const EndpointSlice& slice, const SliceEndpoint& endpoint, bool hints) {
  std::vector<std::string> ports;
  for (const SlicePort& port : slice.ports)
    ports.push_back(fmt::format("{}:{}/{}", port.name, port.port, upper(name_of(port.protocol))));
  std::ranges::sort(ports);
  std::vector<std::string> names;
  if (hints) {
    for (const std::string& zone : endpoint.place->zone_hints) names.push_back("zone=" + zone);
    for (const std::string& node : endpoint.place->node_hints) names.push_back("node=" + node);
  }
  return fmt::format("{}|{}|{}|{}{}{}|{}|{}", name_of(slice.family), endpoint.address.to_string(),
                     fmt::join(ports, ","), endpoint.ready ? "R" : "", endpoint.serving ? "S" : "",
                     endpoint.terminating ? "T" : "", endpoint.place->node_name, fmt::join(names, " "));
}

/// What the deriver makes of the objects of one case.
class Case {
 public:
  explicit Case(const json& line) {
    EndpointDeriver deriver;
    for (const json& document : line.at("objects")) {
      // Some are such as validation refuses and the controllers have to bear.
      auto decoded = decode_object(document, Origin::kServer);
      INFO((decoded ? document.dump() : decoded.error().to_string()));
      REQUIRE(decoded);
      REQUIRE(decoded->object);
      const auto object = std::make_shared<const Object>(std::move(*decoded->object));
      if (const auto* node = std::get_if<Node>(object.get())) zones_[node->key.name] = node->zone;
      if (const auto* service = std::get_if<Service>(object.get())) services_[service->key.name] = *service;
      deriver.note({id_of(*object), object});
    }
    for (const ObjectEvent& event : deriver.derive()) {
      const auto& slice = std::get<EndpointSlice>(*event.object);
      slices_[slice.service].push_back(slice);
    }
  }

  /// Without those of Pods on Nodes that are not there, which the controller waits with and which count here.
  [[nodiscard]] std::vector<std::string> endpoints(const std::string& service, bool hints) const {
    std::vector<std::string> texts;
    const auto found = slices_.find(service);
    if (found == slices_.end()) return texts;
    const auto known = services_.find(service);
    const bool waits = known != services_.end() && !known->second.selector.empty() && !known->second.publish_not_ready;
    for (const EndpointSlice& slice : found->second)
      for (const SliceEndpoint& endpoint : slice.endpoints)
        if (!waits || zones_.contains(endpoint.place->node_name)) texts.push_back(text_of(slice, endpoint, hints));
    std::ranges::sort(texts);
    texts.erase(std::ranges::unique(texts).begin(), texts.end());
    return texts;
  }

  /// How many ready endpoints of a zone have a hint for which.
  [[nodiscard]] std::string outcome(const std::string& service) const {
    std::map<std::string, int> counts;
    const auto found = slices_.find(service);
    if (found == slices_.end()) return {};
    for (const EndpointSlice& slice : found->second)
      for (const SliceEndpoint& endpoint : slice.endpoints)
        for (const std::string& hint : endpoint.place->zone_hints)
          ++counts[fmt::format("{} {}>{}", name_of(slice.family), zones_.at(endpoint.place->node_name), hint)];
    std::vector<std::string> texts;
    for (const auto& [move, count] : counts) texts.push_back(fmt::format("{}={}", move, count));
    return fmt::format("{}", fmt::join(texts, ", "));
  }

 private:
  std::map<std::string, std::string> zones_;
  std::map<std::string, Service> services_;
  std::map<std::string, std::vector<EndpointSlice>> slices_;
};

std::vector<json> table() {
  std::ifstream file(kubenatd::test::project_file("test/unit/objects/go_endpoints.jsonl"));
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  REQUIRE(lines.size() > 100);
  return lines;
}

}  // namespace

TEST_CASE("derived endpoints are those that Kubernetes' controllers make") {
  std::size_t with_endpoints = 0;
  std::size_t with_hints = 0;
  std::size_t by_cpu = 0;
  for (const json& line : table()) {
    const Case one(line);
    for (const auto& [service, expected] : line.at("services").items()) {
      INFO("case " << line.at("case").dump() << ", " << service);
      const auto wanted = expected.at("endpoints").get<std::vector<std::string>>();
      const bool drawn = expected.contains("outcomes");
      CHECK(one.endpoints(service, !drawn) == wanted);
      with_endpoints += wanted.empty() ? 0 : 1;
      with_hints += std::ranges::any_of(wanted, [](const std::string& text) { return !text.ends_with('|'); }) ? 1 : 0;
      if (!drawn) continue;
      const auto outcomes = expected.at("outcomes").get<std::set<std::string>>();
      INFO("derived " << one.outcome(service) << ", Kubernetes " << expected.at("outcomes").dump());
      CHECK(outcomes.contains(one.outcome(service)));
      by_cpu += outcomes.contains("") ? 0 : 1;
    }
  }
  // The table is about something.
  CHECK(with_endpoints > 200);
  CHECK(with_hints > 40);
  CHECK(by_cpu > 20);
}

}  // namespace kubenatd::agent::sources
