#pragma once

#include <unistd.h>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// What tests of the command line share.
namespace kubenatd::test {

inline constexpr uid_t kNobody = 65534;

[[nodiscard]] inline ProcessResult kubenatd(std::vector<std::string> arguments, const ProcessOptions& options = {}) {
  arguments.insert(arguments.begin(), program());
  return run(arguments, options);
}

/// A NodePort Service of both families.
[[nodiscard]] inline ServiceSpec web_service() {
  return {.name = "web",
          .cluster_ips = {"10.96.0.10", "fd00:10:96::10"},
          .ports = {PortSpec{.node_port = 30080}},
          .type = "NodePort"};
}

/// `render` as somebody without any rights, on this host.
[[nodiscard]] inline ProcessResult render_as_nobody(const Manifests& manifests, const std::vector<std::string>& more) {
  const TempFolder folder;
  std::vector<std::string> arguments{install_binary(folder), "render", "--manifests", manifests.path(),
                                     "--hostname-override",  "node-1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProcessOptions options;
  if (::geteuid() == 0) options.uid = kNobody;
  return run(arguments, options);
}

}  // namespace kubenatd::test
