#include "test/bench/cluster_state.h"

#include <fmt/format.h>

#include <utility>

namespace kubenatd::bench {
namespace {

rules::Address ipv4(std::uint32_t value) {
  rules::Address address;
  for (std::size_t i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  return address;
}

std::string service_name(std::size_t service) {
  return fmt::format("service-{:05}", service);
}

}  // namespace

rules::Address cluster_ip(std::size_t service) {
  // An odd multiplier visits every one of the 2^20 addresses before it repeats.
  const auto offset = static_cast<std::uint32_t>((service * 0x9e3779b1ULL + 12345) & 0xfffff);
  return ipv4(0x0a600000U | offset);
}

agent::objects::ObjectEvent make_slice(std::size_t service, std::size_t endpoints, std::size_t variant) {
  agent::objects::EndpointSlice slice;
  slice.key = {"bench", service_name(service) + "-slice"};
  slice.service = service_name(service);
  slice.ports.push_back({.name = "http", .port = kEndpointPort, .protocol = rules::Protocol::kTcp});
  for (std::size_t i = 0; i < endpoints; ++i) {
    agent::objects::SliceEndpoint endpoint;
    const std::size_t number = service * endpoints + i + (i == 0 ? variant * 1'000'003 : 0);
    endpoint.address = ipv4(0x0a800000U + static_cast<std::uint32_t>(number % 0x7fff00));
    endpoint.place = agent::objects::on_node(fmt::format("node-{}", number % 50));
    slice.endpoints.push_back(std::move(endpoint));
  }
  agent::objects::ObjectKey key = slice.key;
  return {.kind = agent::objects::Kind::kEndpointSlice,
          .key = std::move(key),
          .object = std::make_shared<const agent::objects::Object>(std::move(slice))};
}

std::vector<agent::objects::ObjectEvent> make_cluster(std::size_t services, std::size_t endpoints) {
  std::vector<agent::objects::ObjectEvent> events;
  events.reserve(services * 2);
  for (std::size_t i = 0; i < services; ++i) {
    agent::objects::Service service;
    service.key = {"bench", service_name(i)};
    service.cluster_ips.push_back(cluster_ip(i));
    service.ip_families.push_back(rules::Family::kIpv4);
    agent::objects::ServicePort port;
    port.name = "http";
    port.port = kServicePort;
    service.ports.push_back(std::move(port));
    agent::objects::ObjectKey key = service.key;
    events.push_back({.kind = agent::objects::Kind::kService,
                      .key = std::move(key),
                      .object = std::make_shared<const agent::objects::Object>(std::move(service))});
    events.push_back(make_slice(i, endpoints, 0));
  }
  return events;
}

}  // namespace kubenatd::bench
