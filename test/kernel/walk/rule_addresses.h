#pragma once

#include <string>
#include <vector>

namespace kubenatd::test {

using Texts = std::vector<std::string>;

/// Addresses of the test's network, of Services and of nobody, as rules name them.
struct RuleAddresses {
  explicit RuleAddresses(bool ipv6)
      : sources(ipv6 ? Texts{"2001:db8:9::/64", "fd00:10:244::/48", "2001:db8:9::7/128", "fd00:77::2/128"}
                     : Texts{"198.51.100.0/24", "10.244.0.0/16", "192.168.77.100/32", "192.168.77.2/32"}),
        destinations(ipv6 ? Texts{"fd00:10:96::/112", "fd00:10:244:1::/64", "fd00:77::2/128", "2001:db8::/48"}
                          : Texts{"10.96.0.0/16", "10.244.1.0/24", "192.168.77.2/32", "203.0.113.0/24"}),
        source_range(ipv6 ? "2001:db8:9::1-2001:db8:9::ff" : "198.51.100.1-198.51.100.200"),
        destination_range(ipv6 ? "fd00:10:244:1::1-fd00:10:244:1::ff" : "10.96.0.1-10.96.0.255"),
        pod(ipv6 ? "fd00:10:244:1::5" : "10.244.1.5"),
        outside(ipv6 ? "2001:db8:9::99" : "198.51.100.99") {}
  Texts sources, destinations;
  std::string source_range, destination_range, pod, outside;
};

}  // namespace kubenatd::test
