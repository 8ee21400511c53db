#include "agent/daemon/advice.h"

#include <cerrno>
#include <utility>

namespace kubenatd::agent::daemon {

rules::Error with_kernel_advice(rules::Error error) {
  switch (error.code) {
    case EPERM:
    case EACCES:
      error.cause +=
          ": CAP_NET_ADMIN is needed: run as root, in a container with securityContext.capabilities.add "
          "[NET_ADMIN] or privileged";
      break;
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
      error.cause += ": this kernel does not offer it: the modules nf_tables and nfnetlink are needed";
      break;
    case EINVAL:
      // What nfnetlink answers for a subsystem that it has not got (net/netfilter/nfnetlink.c, Linux 6.18).
      if (error.object == "nf_tables")
        error.cause += ": this kernel seems to have no nf_tables: load the module nf_tables";
      break;
    default: break;
  }
  return error;
}

rules::Error with_server_advice(std::string_view server, rules::Error error) {
  const bool is_healthz = server.starts_with("healthz");
  const bool is_service = server.starts_with("health check");
  std::string choice;
  if (is_service) {
    choice = "the Service's healthCheckNodePort chooses the port, nodePortAddresses the addresses";
  } else {
    choice = is_healthz ? "healthzBindAddress (--healthz-bind-address) chooses another"
                        : "metricsBindAddress (--metrics-bind-address) chooses another";
  }
  switch (error.code) {
    case EADDRINUSE: error.cause += ": another program listens there; " + choice; break;
    case EADDRNOTAVAIL: error.cause += ": this node has no such address; " + choice; break;
    case EACCES: error.cause += ": a port below 1024 needs CAP_NET_BIND_SERVICE; " + choice; break;
    default: break;
  }
  return error;
}

rules::Error with_origin(rules::Error error, std::string_view origin) {
  if (error.code != 0) error.cause += " (" + std::string(origin) + ")";
  return error;
}

}  // namespace kubenatd::agent::daemon
