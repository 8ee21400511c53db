#include "agent/dataplane/fast_path.h"

#include <linux/if_arp.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace kubenatd::agent::dataplane {
namespace {

using netlink::host::Link;
using rules::nftables::FastPath;

Link link(std::uint32_t index, std::uint32_t master = 0, const std::string& master_kind = {}) {
  Link made;
  made.facts.index = index;
  made.facts.type = ARPHRD_ETHER;
  made.is_up = true;
  made.master = master;
  made.master_kind = master_kind;
  return made;
}

std::vector<std::string> chosen(const std::vector<config::DevicePattern>& wanted,
                                const std::map<std::string, Link>& links) {
  std::vector<std::string> names;
  for (const config::Device& device : choose_devices(wanted, links)) names.push_back(device.name);
  return names;
}

}  // namespace

TEST_CASE("fast path: auto takes what routes packets, names take what has them") {
  std::map<std::string, Link> links{
      {"eth0", link(2)},
      {"eth1", link(3, 9, "bond")},
      {"bond0", link(9)},
      {"cni0", link(4)},
      {"vethA", link(5, 4, "bridge")},
      {"cali1", link(6)},
      {"red0", link(7, 8, "vrf")},
      {"red", link(8)},
      {"ovs-port", link(10, 11)},
      {"wg0", link(12)},
      {"down0", link(13)},
      {"lo", link(1)},
  };
  links["lo"].facts.type = ARPHRD_LOOPBACK;
  links["wg0"].facts.type = ARPHRD_NONE;
  links["down0"].is_up = false;
  CHECK(chosen({{"auto"}}, links) == std::vector<std::string>{"bond0", "cali1", "cni0", "eth0", "red", "red0", "wg0"});
  CHECK(chosen({{"eth0"}, {"absent0"}, {"veth*"}}, links) == std::vector<std::string>{"eth0", "vethA"});
  CHECK(chosen({{"down0"}, {"auto"}}, links).size() == 8);
  CHECK(chosen({}, links).empty());
  CHECK(chosen({{"*"}}, links).size() == links.size());
  CHECK(choose_devices({{"eth0"}}, links) == std::vector<config::Device>{{"eth0", 2}});
}

TEST_CASE("fast path: an old kernel has none, and before 6.4 it is for TCP alone") {
  CHECK(fast_path_of_release("5.10.0-32-amd64").can == FastPath::kOff);
  CHECK(fast_path_of_release("5.10.0-32-amd64").limit == "it needs Linux 6.1, and this is 5.10.0-32-amd64");
  CHECK(fast_path_of_release("6.1.0-32-amd64").can == FastPath::kTcp);
  CHECK(fast_path_of_release("6.3.13").can == FastPath::kTcp);
  CHECK(fast_path_of_release("6.3.13").limit == "UDP needs Linux 6.4");
  CHECK(fast_path_of_release("6.4.0").can == FastPath::kTcpAndUdp);
  CHECK(fast_path_of_release("7.0-rc1").can == FastPath::kTcpAndUdp);
  CHECK(fast_path_of_release("6.4.0").limit.empty());
  CHECK(fast_path_of_release("gvisor").can == FastPath::kTcpAndUdp);
}

}  // namespace kubenatd::agent::dataplane
