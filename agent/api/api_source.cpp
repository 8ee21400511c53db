#include "agent/api/api_source.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "agent/base/printable.h"
#include "agent/base/signals_blocked.h"
#include "agent/objects/field.h"

namespace kubenatd::agent::api {

std::vector<WatchedResource> watched_resources(const ApiOptions& options) {
  std::vector<WatchedResource> resources;
  if (options.services) {
    WatchedResource& services = resources.emplace_back();
    services.kind = objects::Kind::kService;
    services.name = "services";
    services.path = "/api/v1/services";
    services.api_version = "v1";
    services.label_selector = "!service.kubernetes.io/service-proxy-name";
    services.field_selector = "spec.clusterIP!=None";
    services.field_selector_optional = true;
  }
  if (options.endpoint_slices) {
    WatchedResource& slices = resources.emplace_back();
    slices.kind = objects::Kind::kEndpointSlice;
    slices.name = "endpointslices";
    slices.path = "/apis/discovery.k8s.io/v1/endpointslices";
    slices.api_version = "discovery.k8s.io/v1";
    slices.label_selector = "!service.kubernetes.io/headless";
  }
  if (options.node) {
    WatchedResource& node = resources.emplace_back();
    node.kind = objects::Kind::kNode;
    node.name = "nodes";
    node.path = "/api/v1/nodes";
    node.api_version = "v1";
    node.field_selector = "metadata.name=" + options.node_name;
  }
  if (options.service_cidrs) {
    WatchedResource& ranges = resources.emplace_back();
    ranges.kind = objects::Kind::kServiceCidr;
    ranges.name = "servicecidrs";
    ranges.path = "/apis/networking.k8s.io/v1/servicecidrs";
    ranges.api_version = "networking.k8s.io/v1";
    ranges.optional = true;
    ranges.older_path = "/apis/networking.k8s.io/v1beta1/servicecidrs";
    ranges.older_api_version = "networking.k8s.io/v1beta1";
  }
  if (options.pods) {
    WatchedResource& pods = resources.emplace_back();
    pods.kind = objects::Kind::kPod;
    pods.name = "pods";
    pods.path = "/api/v1/pods";
    pods.api_version = "v1";
    if (!options.all_pods) pods.field_selector = "spec.nodeName=" + options.node_name;
    pods.optional = options.pods_optional;
  }
  if (options.ingresses) {
    for (const auto& [kind, name] :
         {std::pair{objects::Kind::kIngress, "ingresses"}, {objects::Kind::kIngressClass, "ingressclasses"}}) {
      WatchedResource& resource = resources.emplace_back();
      resource.kind = kind;
      resource.name = name;
      resource.path = std::string("/apis/networking.k8s.io/v1/") + name;
      resource.api_version = "networking.k8s.io/v1";
      resource.optional = true;
    }
    for (const auto& [kind, name] : {std::pair{objects::Kind::kGatewayClass, "gatewayclasses"},
                                     {objects::Kind::kGateway, "gateways"},
                                     {objects::Kind::kHttpRoute, "httproutes"}}) {
      WatchedResource& resource = resources.emplace_back();
      resource.kind = kind;
      resource.name = name;
      resource.path = std::string("/apis/gateway.networking.k8s.io/v1/") + name;
      resource.api_version = "gateway.networking.k8s.io/v1";
      resource.optional = true;
      resource.older_path = std::string("/apis/gateway.networking.k8s.io/v1beta1/") + name;
      resource.older_api_version = "gateway.networking.k8s.io/v1beta1";
    }
  }
  return resources;
}

rules::Result<std::unique_ptr<ApiSource>> ApiSource::open(const ApiOptions& options) {
  if ((options.node || options.pods) && !objects::is_dns_subdomain(options.node_name))
    return rules::fail("API source", "node name", base::in_quotes(options.node_name) + " is not a DNS name");
  auto credentials = Credentials::open(options.access, options.timing.credentials);
  if (!credentials) return std::unexpected(credentials.error());
  std::vector<WatchedResource> resources = watched_resources(options);
  std::vector<std::string> names;
  for (const WatchedResource& resource : resources) names.push_back(resource.name);
  auto queue = EventQueue::open(std::move(names));
  if (!queue) return std::unexpected(queue.error());

  const base::SignalsBlocked blocked;
  limit_http_threads();
  std::unique_ptr<ApiSource> source(new ApiSource(options.timing));
  source->queue_ = std::move(*queue);
  try {
    for (WatchedResource& resource : resources) {
      WatchSink& sink = source->queue_->sink(source->watches_.size());
      auto& watch = source->watches_.emplace_back(
          std::make_unique<ResourceWatch>(std::move(resource), *credentials, source->timing_, options.encoding, sink));
      source->threads_.emplace_back([&watch = *watch](const std::stop_token& stop) { watch.run(stop); });
    }
  } catch (const std::system_error& thrown) {
    return rules::fail("API source", "start a thread", base::one_line(thrown.what()), thrown.code().value());
  }
  return source;
}

ApiSource::~ApiSource() {
  for (std::jthread& thread : threads_) thread.request_stop();  // all before the first is waited for
}

std::string describe(const WatchState& state) {
  std::string_view phase;
  switch (state.phase) {
    case WatchState::Phase::kConnecting: phase = "connecting"; break;
    case WatchState::Phase::kListing: phase = "listing"; break;
    case WatchState::Phase::kWatching: phase = "watching"; break;
    case WatchState::Phase::kWaiting: phase = "waiting"; break;
  }
  std::string text = fmt::format("{}: {}, {} objects", state.resource, phase, state.objects);
  if (!state.failure.empty()) text += ": " + state.failure;
  return text;
}

}  // namespace kubenatd::agent::api
