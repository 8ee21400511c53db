#include "test/conformance/compare.h"

#include <catch2/catch.hpp>

namespace kubenatd::test {
namespace {

constexpr const char* kText =
    "# comment\n*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n"
    "-A KUBE-SERVICES -d 10.0.0.1/32 -j KUBE-SVC-A\n-A KUBE-SERVICES -d 10.0.0.2/32 -j KUBE-SVC-B\n"
    "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
    "-A KUBE-SVC-A -m comment --comment \"x -> 1\" -m statistic --mode random --probability 0.50000000000 -j "
    "KUBE-SEP-1\n"
    "-A KUBE-SVC-A -m comment --comment \"x -> 2\" -j KUBE-SEP-2\nCOMMIT\n";

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("Texts that no packet can tell apart are equal") {
  CHECK(differences(kText, kText).empty());
  CHECK(differences(kText, with(kText, "[0:0]", "[7:9]")).empty());
  CHECK(differences(kText, std::string(kText) + "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n").empty());
  CHECK(differences(kText, with(kText, ":PREROUTING ACCEPT [0:0]\n", "")).empty());
  CHECK(differences(kText, with(with(kText, "10.0.0.1/32 -j KUBE-SVC-A", "?"), "10.0.0.2/32 -j KUBE-SVC-B",
                                "10.0.0.1/32 -j KUBE-SVC-A\n-A KUBE-SERVICES -d 10.0.0.2/32 -j KUBE-SVC-B"))
            .size() == 1);
  const auto swapped = with(with(kText, "\"x -> 1\" -m statistic", "\"x -> 2\" -m statistic"),
                            "-j KUBE-SEP-1\n-A KUBE-SVC-A -m comment --comment \"x -> 2\" -j KUBE-SEP-2",
                            "-j KUBE-SEP-2\n-A KUBE-SVC-A -m comment --comment \"x -> 1\" -j KUBE-SEP-1");
  CHECK(differences(kText, swapped).empty());
}

TEST_CASE("Texts that a packet can tell apart differ") {
  CHECK(differences(kText, with(kText, "10.0.0.2", "10.0.0.3")).size() == 2);
  CHECK_FALSE(differences(kText, with(kText, "0.50000000000", "0.33333333349")).empty());
  CHECK_FALSE(
      differences(kText, with(kText, ":KUBE-SVC-A - [0:0]\n", ":KUBE-SVC-A - [0:0]\n:KUBE-X - [0:0]\n")).empty());
  CHECK_FALSE(differences(kText, with(kText, "-A KUBE-SERVICES -d 10.0.0.1/32 -j KUBE-SVC-A\n", "")).empty());
  const auto jump_first = with(with(kText, "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n", ""),
                               "-A KUBE-SERVICES -d 10.0.0.1/32",
                               "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n-A KUBE-SERVICES -d "
                               "10.0.0.1/32");
  CHECK_FALSE(differences(kText, jump_first).empty());
}

}  // namespace
}  // namespace kubenatd::test
