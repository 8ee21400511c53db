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

/// Matches as the API describes it and ingress-nginx does it. Only the rules of the exact host are looked at, else
/// those of a wildcard, else those of any host. Among these Exact goes before Prefix, the longer path goes first, and a
/// default backend comes last. ImplementationSpecific is taken as Prefix. An Ingress without a class, or with one that
/// nobody serves, can match too; a finding says so.
[[nodiscard]] IngressMatch match_ingress(const Inventory& inventory, const std::string& host, const std::string& path);

/// The class of an Ingress: the one it names, else the default one; none: there is no such class.
[[nodiscard]] const objects::IngressClass* class_of(const Inventory& inventory, const objects::Ingress& ingress);

}  // namespace kubenatd::agent::explain
