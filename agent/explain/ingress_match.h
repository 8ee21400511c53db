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
  /// What may lead the request elsewhere, and is judged by a controller in a way that is not known here: rules, and
  /// annotations of the Ingress that fits. With any, the match may be another one, or none.
  std::vector<std::string> doubts;
};

/// Matches as the API describes it. Only the rules of the exact host are looked at, else those of a wildcard, else
/// those of any host. Among these Exact goes before Prefix, the longer path goes first, and a default backend comes
/// last. An Ingress without a class, or with one that nobody serves, can match too; a finding says so.
///
/// Of ingress-nginx (1.x; classes of controller k8s.io/ingress-nginx, and the class "nginx" by annotation) the ways of
/// its own are known: server-alias; ImplementationSpecific paths are plain beginnings; and once one rule of a host has
/// use-regex or rewrites its path, all paths of that host are regular expressions, the longest first. Of another
/// controller, an ImplementationSpecific path counts when it is the very path, and is a doubt when it may be meant.
[[nodiscard]] IngressMatch match_ingress(const Inventory& inventory, const std::string& host, const std::string& path);

/// The class of an Ingress: the one it names, else the default one; none: there is no such class.
[[nodiscard]] const objects::IngressClass* class_of(const Inventory& inventory, const objects::Ingress& ingress);

/// True when ingress-nginx serves it.
[[nodiscard]] bool is_of_ingress_nginx(const Inventory& inventory, const objects::Ingress& ingress);

}  // namespace kubenatd::agent::explain
