#include "agent/explain/ingress_match.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace kubenatd::agent::explain {
namespace {

/// 3: the same; 2: a wildcard for its first label; 1: any host; 0: another one.
int host_rank(std::string_view rule, std::string_view host) {
  if (rule.empty()) return 1;
  if (rule == host) return 3;
  if (!rule.starts_with("*.")) return 0;
  const auto dot = host.find('.');
  return dot != std::string_view::npos && dot != 0 && host.substr(dot) == rule.substr(1) ? 2 : 0;
}

/// A prefix of whole elements of the path: "/foo" fits "/foo/bar", not "/foobar".
bool has_prefix(std::string_view path, std::string_view prefix) {
  while (prefix.size() > 1 && prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix == "/") return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

const char* name_of_type(objects::IngressPath::Type type) {
  switch (type) {
    case objects::IngressPath::Type::kExact: return "Exact";
    case objects::IngressPath::Type::kPrefix: return "Prefix";
    case objects::IngressPath::Type::kImplementationSpecific: return "ImplementationSpecific";
  }
  return "";
}

}  // namespace

IngressMatch match_ingress(const Inventory& inventory, const std::string& host, const std::string& path) {
  int nearest = 0;
  for (const objects::Ingress* ingress : inventory.all<objects::Ingress>())
    for (const objects::IngressRule& rule : ingress->rules)
      if (!rule.paths.empty()) nearest = std::max(nearest, host_rank(rule.host, host));

  IngressMatch best;
  std::tuple<int, int, std::size_t> best_rank{0, 0, 0};
  const auto consider = [&](std::tuple<int, int, std::size_t> rank, IngressMatch match) {
    if (rank <= best_rank) return;
    best_rank = rank;
    best = std::move(match);
  };
  for (const objects::Ingress* ingress : inventory.all<objects::Ingress>()) {
    for (const objects::IngressRule& rule : ingress->rules) {
      const int rank = host_rank(rule.host, host);
      if (rank == 0 || rank != nearest) continue;
      for (const objects::IngressPath& one : rule.paths) {
        const bool exact = one.type == objects::IngressPath::Type::kExact;
        if (exact ? one.path != path : !has_prefix(path, one.path)) continue;
        consider({rank, exact ? 2 : 1, one.path.size()}, {.ingress = ingress,
                                                          .backend = &one.backend,
                                                          .host = rule.host,
                                                          .path = one.path,
                                                          .path_type = name_of_type(one.type)});
      }
    }
    if (ingress->default_backend)
      consider({0, 0, 1}, {.ingress = ingress,
                           .backend = &*ingress->default_backend,
                           .host = {},
                           .path = {},
                           .path_type = "DefaultBackend"});
  }
  if (best.ingress != nullptr) best.ingress_class = class_of(inventory, *best.ingress);
  return best;
}

const objects::IngressClass* class_of(const Inventory& inventory, const objects::Ingress& ingress) {
  if (!ingress.class_name.empty()) return inventory.find<objects::IngressClass>({"", ingress.class_name});
  for (const objects::IngressClass* one : inventory.all<objects::IngressClass>())
    if (one->is_default) return one;
  return nullptr;
}

}  // namespace kubenatd::agent::explain
