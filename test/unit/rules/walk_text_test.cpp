#include <algorithm>
#include <catch2/catch.hpp>

#include "rules/walk/nft/ruleset_text.h"
#include "rules/walk/xt/save_text.h"
#include "test/unit/rules/walk_builder.h"

/// From the text of iptables-save to what becomes of a packet.
namespace kubenatd::rules::walk::test {
namespace {

Ruleset read(const std::string& text) {
  Ruleset ruleset;
  xt::Remarks remarks;
  const Status status = xt::read_save_text(text, ruleset, remarks);
  INFO((status ? "" : status.error().to_string()));
  REQUIRE(status);
  return ruleset;
}

TEST_CASE("a walk through a saved text: odds and masquerade and destination of each way") {
  const Ruleset rules = read(
      "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:A - [0:0]\n:M - [0:0]\n:E1 - [0:0]\n:E2 - [0:0]\n"
      "-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j A\n"
      "-A A -j M\n-A A -m statistic --mode random --probability 0.25000000000 -j E1\n-A A -j E2\n"
      "-A M -j MARK --set-xmark 0x4000/0x4000\n"
      "-A E1 -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8080\n"
      "-A E2 -p tcp -m tcp -j DNAT --to-destination 10.244.1.6:8080\n"
      "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE\nCOMMIT\n");
  CHECK(outcomes(rules, packet("192.168.77.100", "10.96.0.10", 80)) ==
        "forwarded to 10.244.1.5:8080 masqueraded 0.25; forwarded to 10.244.1.6:8080 masqueraded 0.75");
  CHECK(outcomes(rules, packet("192.168.77.100", "10.96.0.10", 81)) == "forwarded");
}

TEST_CASE("a walk through a saved text: what cannot be judged and targets of others") {
  const auto ends = [](const std::string& forward) {
    const Ruleset rules = read("*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n-A FORWARD " + forward + "\nCOMMIT\n");
    std::vector<std::string> all;
    for (const Outcome& outcome : walk(rules, packet("192.168.77.100", "10.0.0.1", 80), node()).outcomes)
      all.push_back(describe(outcome));
    std::ranges::sort(all);
    return fmt::format("{}", fmt::join(all, "; "));
  };
  const std::string limit = "-m limit --limit 3/min ";
  CHECK(ends(limit + "-j DROP") == "dropped ?; forwarded ?");
  CHECK(ends("-s 10.9.9.9/32 " + limit + "-j DROP") == "forwarded");
  CHECK(ends(limit + "-s 10.9.9.9/32 -j DROP") == "forwarded");
  CHECK(ends(limit + "-j ACCEPT") == "forwarded");
  CHECK(ends("-j LOG --log-prefix x") == "forwarded");
  CHECK(ends(limit + "-j A\n-A A -j REJECT --reject-with icmp-port-unreachable") == "forwarded ?; rejected ?");
  CHECK(ends("-j REJECT --reject-with icmp-host-prohibited") == "rejected");
  CHECK(ends("-j NFQUEUE --queue-num 1") == "unknown");
  CHECK(ends("-j NOT-A-CHAIN") == "unknown");
  CHECK(ends("-p icmp -j DROP") == "forwarded");
  CHECK(ends("! -p tcp -j DROP") == "forwarded");
}

TEST_CASE("a walk through a text of nft: a first packet takes no flowtable and is no long connection") {
  const auto ends = [](const std::string& rule) {
    Ruleset rules;
    const Status status = nft::read_ruleset_text(
        "table ip t {\n\tflowtable f {\n\t\thook ingress priority filter\n\t\tdevices = { eth0, veth1 }\n"
        "\t\tflags offload;\n\t\tcounter\n\t}\n\n\tchain c {\n\t\ttype filter hook forward priority 10000; policy "
        "accept;\n\t\t" +
            rule + "\n\t}\n}\n",
        rules);
    INFO((status ? "" : status.error().to_string()));
    REQUIRE(status);
    return outcomes(rules, packet("192.168.77.100", "10.0.0.1", 80));
  };
  CHECK(ends("drop") == "dropped");
  CHECK(ends("meta l4proto tcp flow add @f drop") == "forwarded");
  CHECK(ends("ct packets > 20 drop") == "forwarded");
  CHECK(ends("ct packets < 20 drop") == "dropped");
  CHECK(ends("ct reply packets > 0 drop") == "forwarded");
  CHECK(ends("ct packets 0-1 drop") == "dropped");
  CHECK(ends("ct packets 1 drop") != ends("accept"));
}

}  // namespace
}  // namespace kubenatd::rules::walk::test
