#include "agent/dataplane/describe.h"

#include <fmt/format.h>

#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::dataplane {

std::string describe(const rules::ObjectRef& object) {
  if (object.table != rules::nftables::kTable) return object.table + " " + object.name;
  switch (object.kind) {
    case rules::ObjectRef::Kind::kTable: return object.table + " table";
    case rules::ObjectRef::Kind::kChain:
    case rules::ObjectRef::Kind::kRule: return object.table + " chain " + object.name;
    case rules::ObjectRef::Kind::kSet:
    case rules::ObjectRef::Kind::kElement: return object.table + " set " + object.name;
    case rules::ObjectRef::Kind::kFlowtable: return object.table + " flowtable " + object.name;
  }
  return object.table;
}

std::string describe(const RefusedObject& refused) {
  const std::string what =
      refused.kind == RefusedObject::Kind::kPod ? "host ports of Pod " + refused.name : refused.name;
  return fmt::format("{}: refused by the kernel: {}", what, rules::to_error(refused.refusal).to_string());
}

}  // namespace kubenatd::agent::dataplane
