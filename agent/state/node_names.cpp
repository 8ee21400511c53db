#include "agent/state/node_names.h"

#include <algorithm>
#include <utility>

namespace kubenatd::agent::state {
namespace {

constexpr std::size_t kFew = 3;

}  // namespace

void NodeNames::apply(const objects::ObjectEvent& event) {
  switch (event.kind) {
    case objects::Kind::kNode:
      if (event.object)
        nodes_.insert(event.key.name);
      else
        nodes_.erase(event.key.name);
      break;
    case objects::Kind::kPod:
      if (event.object && !std::get<objects::Pod>(*event.object).node_name.empty())
        pods_[event.key] = std::get<objects::Pod>(*event.object).node_name;
      else
        pods_.erase(event.key);
      break;
    case objects::Kind::kEndpointSlice:
      if (!event.object) break;
      for (const objects::SliceEndpoint& endpoint : std::get<objects::EndpointSlice>(*event.object).endpoints) {
        if (endpoint_here_) break;
        if (endpoint.place->node_name == own_)
          endpoint_here_ = true;
        else if (!endpoint.place->node_name.empty() && endpoint_nodes_.size() < kFew)
          endpoint_nodes_.insert(endpoint.place->node_name);
      }
      break;
    default: break;
  }
}

bool NodeNames::is_known() const {
  return nodes_.contains(own_) || endpoint_here_ ||
         std::ranges::any_of(pods_, [&](const auto& pod) { return pod.second == own_; });
}

std::vector<std::string> NodeNames::others() const {
  std::set<std::string> names;
  for (const std::string& node : nodes_)
    if (names.size() < kFew) names.insert(node);
  for (const auto& [pod, node] : pods_)
    if (names.size() < kFew) names.insert(node);
  for (const std::string& node : endpoint_nodes_)
    if (names.size() < kFew) names.insert(node);
  return {names.begin(), names.end()};
}

std::optional<NodeNames::Change> NodeNames::take_change() {
  Change now;
  if (!is_known()) now.others = others();
  now.unknown = !now.others.empty();
  if (std::exchange(unknown_, now.unknown) == now.unknown) return std::nullopt;
  return now;
}

}  // namespace kubenatd::agent::state
