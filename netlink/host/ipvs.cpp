#include "netlink/host/ipvs.h"

#include <fstream>
#include <string>

namespace kubenatd::netlink::host {

bool has_ipvs_services() {
  // Lines of heading, then one for each service (ip_vs_info_seq_show); "->" are its destinations.
  std::ifstream file("/proc/thread-self/net/ip_vs");
  for (std::string line; std::getline(file, line);)
    for (const char* word : {"TCP ", "UDP ", "SCTP ", "FWM "})
      if (line.starts_with(word)) return true;
  return false;
}

}  // namespace kubenatd::netlink::host
