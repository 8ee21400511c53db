#include "agent/state/node_names.h"

#include <catch2/catch.hpp>

namespace kubenatd::agent::state {
namespace {

using Names = std::vector<std::string>;

template <class T>
objects::ObjectEvent put(objects::Kind kind, const T& object) {
  return {kind, object.key, std::make_shared<const objects::Object>(object)};
}

objects::ObjectEvent node(const std::string& name) {
  objects::Node node;
  node.key.name = name;
  return put(objects::Kind::kNode, node);
}

objects::ObjectEvent pod(const std::string& node) {
  objects::Pod pod;
  pod.key = {"demo", "pod"};
  pod.node_name = node;
  return put(objects::Kind::kPod, pod);
}

objects::ObjectEvent slice(const Names& nodes) {
  objects::EndpointSlice slice;
  slice.key = {"demo", "web-1"};
  for (const std::string& name : nodes) slice.endpoints.emplace_back().place = objects::on_node(name);
  return put(objects::Kind::kEndpointSlice, slice);
}

}  // namespace

TEST_CASE("a name that no object has is told once, and when that ends") {
  NodeNames names("worker-1");
  CHECK_FALSE(names.take_change());
  names.apply(node("worker-1.example.internal"));
  const auto told = names.take_change();
  REQUIRE(told);
  CHECK(told->unknown);
  CHECK(told->others == Names{"worker-1.example.internal"});
  names.apply(pod("worker-2.example.internal"));
  CHECK_FALSE(names.take_change());
  names.apply(node("worker-1"));
  const auto ended = names.take_change();
  REQUIRE(ended);
  CHECK_FALSE(ended->unknown);
  names.apply({objects::Kind::kNode, {"", "worker-1"}, nullptr});
  REQUIRE(names.take_change());
}

TEST_CASE("Pods and endpoints name nodes as well as Nodes do") {
  for (const auto& here : {pod("worker-1"), slice({"other", "worker-1"}), node("worker-1")}) {
    NodeNames names("worker-1");
    names.apply(here);
    names.apply(node("other"));
    CHECK_FALSE(names.take_change());
  }
  NodeNames names("worker-1");
  names.apply(slice({"", "e", "d", "c", "b", "a"}));
  const auto told = names.take_change();
  REQUIRE(told);
  CHECK(told->others.size() == 3);
}

TEST_CASE("without any name of a node there is nothing to tell") {
  NodeNames names("worker-1");
  names.apply(slice({"", ""}));
  names.apply(pod(""));
  CHECK_FALSE(names.take_change());
}

}  // namespace kubenatd::agent::state
