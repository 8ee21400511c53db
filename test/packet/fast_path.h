#pragma once

#include <catch2/catch.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "test/support/cluster.h"
#include "test/support/flowtables.h"
#include "test/support/lab.h"

/// What the tests of the fast path share.
namespace kubenatd::test {

inline constexpr const char* kClusterIp = "10.96.0.10";
inline constexpr const char* kClusterIp6 = "fd00:10:96::10";
inline constexpr std::uint16_t kNodePort = 30080;
/// A question and its answer are four packets; more than enough for 20.
inline constexpr int kManyQuestions = 15;

inline const ServiceSpec kWeb{
    .name = "web",
    .cluster_ips = {kClusterIp, kClusterIp6},
    .ports = {PortSpec{.node_port = kNodePort}, PortSpec{.name = "udp", .protocol = "UDP"}},
    .type = "NodePort",
};

[[nodiscard]] inline std::vector<std::string> entries(const Namespace& node, const std::string& protocol,
                                                      const std::string& family) {
  return lines_of(must_run_in(node, {"conntrack", "-L", "-f", family, "-p", protocol}));
}

[[nodiscard]] inline std::size_t offloaded(const Namespace& node, const std::string& protocol = "tcp") {
  std::size_t count = 0;
  for (const char* family : {"ipv4", "ipv6"})
    for (const std::string& line : entries(node, protocol, family))
      if (line.find("[OFFLOAD]") != std::string::npos) ++count;
  return count;
}

/// With the devices sorted: the kernel has them in the order in which they came.
[[nodiscard]] inline std::string table_of(const Namespace& node) {
  std::string text;
  for (const char* family : {"ip", "ip6"}) {
    const ProcessResult listed = run_in(node, {"nft", "list", "table", family, "kubenatd"});
    if (listed.status != 0) continue;
    for (const std::string& line : lines_of(listed.out)) {
      const std::size_t open = line.find("devices = { ");
      if (open == std::string::npos) {
        text += line + "\n";
        continue;
      }
      std::set<std::string> devices;
      std::istringstream words(line.substr(open + 12));
      for (std::string word; words >> word && word != "}";) {
        if (word.ends_with(',')) word.pop_back();
        devices.insert(word);
      }
      text += line.substr(0, open) + "devices =";
      for (const std::string& device : devices) text += " " + device;
      text += "\n";
    }
  }
  return text;
}

/// Forwarded packets that rules still see.
class Witness {
 public:
  explicit Witness(const Namespace& node) : node_(node) {
    must_run_in(node, {"nft", "-f", "-"},
                "table inet witness {\n\tcounter seen { }\n"
                "\tchain forward { type filter hook forward priority 0; counter name seen; }\n}\n");
  }
  [[nodiscard]] std::string seen() const {
    return must_run_in(node_, {"nft", "list", "counter", "inet", "witness", "seen"});
  }

 private:
  const Namespace& node_;
};

/// An agent of nftables mode with these arguments besides.
struct FastAgent : Agent {
  FastAgent(const Lab& lab, const Manifests& manifests, std::vector<std::string> arguments)
      : Agent(lab.node, manifests, nftables_mode()) {
    extra_arguments = std::move(arguments);
  }
};

inline void ask_many(Conversation& conversation, const std::string& by, int questions = kManyQuestions) {
  for (int i = 0; i < questions; ++i) {
    const Outcome outcome = conversation.ask();
    INFO(outcome);
    REQUIRE(outcome.by == by);
  }
}

}  // namespace kubenatd::test
