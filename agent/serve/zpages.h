#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/rfc3339.h"
#include "agent/serve/http_server.h"

/// /statusz and /flagz, as components of Kubernetes v1.36 have them (KEP-4827, KEP-4828; beta there, so on by default):
/// text for people, and JSON for a client that asks for it by
/// `Accept: application/json;v=v1beta1;g=config.k8s.io;as=Statusz` (v1alpha1, too, which is deprecated). YAML and CBOR
/// are not spoken: such a request is told 406.
namespace kubenatd::agent::serve {

struct Zpages {
  base::WallTime started{};
  std::vector<std::string> paths;            ///< that are served beside these
  std::map<std::string, std::string> flags;  ///< by name
};

[[nodiscard]] std::map<std::string, HttpHandler> zpages(Zpages about);

}  // namespace kubenatd::agent::serve
