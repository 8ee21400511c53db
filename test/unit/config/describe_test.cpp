#include "agent/config/describe.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "test/unit/config/config_support.h"

using namespace kubenatd::agent::config;
using namespace kubenatd::test;

namespace {

std::map<std::string, std::string> described(const std::string& fields) {
  std::map<std::string, std::string> all;
  for (const auto& [name, value] : describe(accepted(fields).config)) {
    CAPTURE(name);
    CHECK(all.emplace(name, value).second);
    CHECK_FALSE(value.empty());
  }
  return all;
}

}  // namespace

TEST_CASE("what was understood is told field by field") {
  auto all = described(
      "iptables: {masqueradeBit: 15, syncPeriod: 90s}\nclusterCIDR: 10.244.0.0/16,fd00::/56\nfeatureGates: {B: false, "
      "A: true}");
  CHECK(all["mode"] == "iptables");
  CHECK(all["iptables.masqueradeBit"] == "15");
  CHECK(all["iptables.syncPeriod"] == "1m30s");
  CHECK(all["clusterCIDR"] == "10.244.0.0/16, fd00::/56");
  CHECK(all["nodePortAddresses"] == "every address");
  CHECK(all["hostnameOverride"] == R"("")");
  CHECK(all["clientConnection.qps"] == "5");
  CHECK(all["featureGates"] == "A=true, B=false");
  CHECK(all["healthzBindAddress"] == "0.0.0.0:10256");
}

TEST_CASE("only the section of the mode in force is told") {
  auto all = described("mode: nftables\ndetectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}");
  CHECK(all.contains("nftables.masqueradeBit"));
  CHECK_FALSE(all.contains("iptables.masqueradeBit"));
  CHECK(all["nodePortAddresses"] == "primary");
  CHECK(all["detectLocal.bridgeInterface"] == "cni0");
  CHECK_FALSE(all.contains("detectLocal.interfaceNamePrefix"));
}

TEST_CASE("hostile values are told in one line each") {
  auto all = described("hostnameOverride: \"a\\nb\"");
  CHECK(all["hostnameOverride"] == "a\\nb");
}
