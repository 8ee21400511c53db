#pragma once

#include <string>
#include <vector>

#include "agent/explain/inventory.h"

namespace kubenatd::agent::explain {

/// The rule of an Ingress that a request falls under.
struct IngressMatch {
  const objects::Ingress* ingress = nullptr;  ///< none: no rule fits
  const objects::IngressBackend* backend = nullptr;
  std::string host;
  std::string path;
  std::string path_type;  ///< Exact, Prefix, ImplementationSpecific, DefaultBackend
  const objects::IngressClass* ingress_class = nullptr;
};

/// As the API describes it and ingress-nginx does it: the rules of the exact host, else of a wildcard, else of any
/// host, and only those; Exact before Prefix, the longer path first, a default backend last; ImplementationSpecific is
/// taken as Prefix. Ingresses of a class that nobody serves, or without one, fit all the same: that is told as a
/// finding.
[[nodiscard]] IngressMatch match_ingress(const Inventory& inventory, const std::string& host, const std::string& path);

/// The class of an Ingress: the one it names, else the default one; none: there is no such class.
[[nodiscard]] const objects::IngressClass* class_of(const Inventory& inventory, const objects::Ingress& ingress);

}  // namespace kubenatd::agent::explain
