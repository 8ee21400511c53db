#include "test/soak/fresh.h"

#include <algorithm>
#include <regex>
#include <vector>

#include "test/support/cluster.h"

namespace kubenatd::soak {
namespace {

std::string without_tree(const std::string& rules) {
  std::string text;
  for (const std::string& line : test::lines_of(rules)) {
    const bool of_tree = line.find("KUBE-SVC-IP-") != std::string::npos || line.starts_with("-A KUBE-SERVICES ") ||
                         line.find("SOAK-OTHER") != std::string::npos;
    if (!of_tree) text += line + "\n";
  }
  return text;
}

/// As nft lists the tables, in an order that does not depend on hashes: elements of a set stand in the order of the
/// kernel's table, and sets that packets fill hold what they brought. Which endpoint has which number of its Service is
/// left out: a change moves as few as it can.
std::string elements(const test::Namespace& node) {
  static const std::regex number(R"re(:[0-9]+( comment "[^"]*")? : )re");
  std::string text;
  for (const char* family : {"ip", "ip6"})
    text += test::run_in(node, {"nft", "-s", "list", "table", family, "kubenatd"}).out;
  std::vector<std::string> parts;
  std::string words;
  bool filled_by_packets = false;
  for (const std::string& line : test::lines_of(text)) {
    if (line.find("flags dynamic") != std::string::npos || line.find(",timeout") != std::string::npos ||
        line.find("flags timeout") != std::string::npos)
      filled_by_packets = true;
    if (line.find('}') != std::string::npos && line.find("elements") == std::string::npos) filled_by_packets = false;
    if (!filled_by_packets) words += line + " ";
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
                                  const std::string& manifests) {
  const test::BareNode other;
  if (const auto result = agent.run_once(other.node, manifests); !result.ok())
    return "the fresh start failed: " + result.describe();
  if (mode == "nftables") return test::changed_lines(elements(other.node), elements(node));
  std::string text;
  for (const bool ipv6 : {false, true})
    text += test::changed_lines(without_tree(test::saved_rules(other.node, ipv6)),
                                without_tree(test::saved_rules(node, ipv6)));
  return text;
}

}  // namespace kubenatd::soak
