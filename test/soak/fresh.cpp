#include "test/soak/fresh.h"

#include <algorithm>
#include <regex>
#include <string_view>
#include <vector>

#include "test/support/cluster.h"

namespace kubenatd::soak {
namespace {

/// The declaration of a hostPort's chain that is empty and that nothing leads to. When `iptables -F` meets no agent,
/// and the Pod goes before the next one starts, nothing tells its chain from one that portmap is about to fill: it
/// stays.
bool is_empty_host_port(const std::string& line, const std::string& rules) {
  if (!line.starts_with(":CNI-DN-")) return false;
  const std::string name = line.substr(1, line.find(' ') - 1);
  return rules.find(name) == rules.rfind(name);
}

/// Without the tree, others' rules and, where a flush may have left them, empty chains of hostPorts; and without the
/// guard of 127.0.0.0/8, which stays in the chain that kubelet shares after a configuration that asked for it, as
/// route_localnet does.
std::string comparable(const std::string& rules, bool flushed_unseen) {
  std::string text;
  for (const std::string& line : test::lines_of(rules)) {
    const bool left_out = line.find("KUBE-SVC-IP-") != std::string::npos || line.starts_with("-A KUBE-SERVICES ") ||
                          line.find("SOAK-OTHER") != std::string::npos || line.starts_with("-A KUBE-FIREWALL ") ||
                          (flushed_unseen && is_empty_host_port(line, rules));
    if (!left_out) text += line + "\n";
  }
  return text;
}

/// As nft lists the tables, in an order that does not depend on hashes: elements of a set stand in the order of the
/// kernel's table, and sets that packets fill hold what they brought. Which endpoint has which number of its Service is
/// left out: a change moves as few as it can.
std::string elements(const test::Namespace& node) {
  static const std::regex number(R"re(:[0-9]+( counter)?( comment "[^"]*")? : )re");
  std::string text;
  for (const char* family : {"ip", "ip6"})
    text += test::run_in(node, {"nft", "-s", "list", "table", family, "kubenatd"}).out;
  // A set that packets fill is one whose elements end by themselves.
  const std::string_view begin = "elements = {";
  for (std::size_t open = 0; (open = text.find(begin, open)) != std::string::npos;) {
    const std::size_t close = std::min(text.find('}', open), text.size());
    if (std::string_view(text).substr(open, close - open).find(" timeout ") != std::string_view::npos)
      text.erase(open, close - open);
    else
      open = close;
  }
  const std::string owner = "flags owner";
  std::vector<std::string> parts;
  std::string words;
  for (const std::string& line : test::lines_of(text)) {
    const std::size_t first = line.find_first_not_of(" \t");
    // Whether the table is owned, and by whom, differs between an agent that runs and one that has ended.
    if (first == std::string::npos || line.compare(first, owner.size(), owner) == 0) continue;
    words += line.substr(first, line.find(" # progname") - first) + " ";
  }
  std::size_t at = 0;
  while (at < words.size()) {
    const std::size_t end = std::min(words.find_first_of(",{}", at), words.size());
    const std::string part = words.substr(at, end - at);
    at = end + 1;
    const std::size_t first = part.find_first_not_of(" \t");
    if (first == std::string::npos) continue;
    parts.push_back(std::regex_replace(part.substr(first, part.find_last_not_of(" \t") - first + 1), number, " : "));
  }
  std::ranges::sort(parts);
  std::string sorted;
  for (const std::string& part : parts) sorted += part + "\n";
  return sorted;
}

}  // namespace

std::string difference_from_fresh(const std::string& mode, const Agent& agent, const test::Namespace& node,
                                  const std::string& manifests, bool flushed_unseen) {
  const test::BareNode other;
  if (const auto result = agent.run_once(other.node, manifests); !result.ok())
    return "the fresh start failed: " + result.describe();
  if (mode == "nftables") return test::changed_lines(elements(other.node), elements(node));
  std::string text;
  for (const bool ipv6 : {false, true})
    text += test::changed_lines(comparable(test::saved_rules(other.node, ipv6), flushed_unseen),
                                comparable(test::saved_rules(node, ipv6), flushed_unseen));
  return text;
}

std::string left_of_other_mode(const std::string& mode, const test::Namespace& node) {
  if (mode == "iptables") return elements(node);
  std::string text;
  for (const bool ipv6 : {false, true})
    for (const std::string& line : test::lines_of(test::saved_rules(node, ipv6))) {
      const bool of_kubelet = line.find("KUBE-FIREWALL") != std::string::npos;
      if (!of_kubelet && (line.find("KUBE-") != std::string::npos || line.find("CNI-") != std::string::npos))
        text += line + "\n";
    }
  return text;
}

}  // namespace kubenatd::soak
