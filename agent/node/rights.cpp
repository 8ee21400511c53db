#include "agent/node/rights.h"

#include <linux/capability.h>

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::node {
namespace {

constexpr std::size_t kLongest = 64 * 1024;

std::optional<bool> read_net_admin() {
  const auto status = base::read_file("/proc/thread-self/status", kLongest, "read");
  if (!status) return std::nullopt;
  constexpr std::string_view kLine = "\nCapEff:";
  const auto at = status->find(kLine);
  if (at == std::string::npos) return std::nullopt;
  std::string_view digits = std::string_view(*status).substr(at + kLine.size());
  digits = base::trimmed(digits.substr(0, digits.find('\n')));
  std::uint64_t bits = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16).ec != std::errc()) return std::nullopt;
  return (bits >> CAP_NET_ADMIN & 1U) != 0;
}

/// The host's maps every number to itself (user_namespaces(7)).
std::optional<bool> read_user_namespace() {
  const auto map = base::read_file("/proc/thread-self/uid_map", kLongest, "read");
  if (!map) return std::nullopt;
  std::string words;
  for (const char c : base::trimmed(*map))
    if (c != ' ' || !words.ends_with(' ')) words += c;
  return words != "0 0 4294967295";
}

}  // namespace

Rights read_rights() {
  return {.net_admin = read_net_admin(), .user_namespace = read_user_namespace()};
}

Findings judge(const Rights& rights) {
  Finding finding{.name = "CAP_NET_ADMIN"};
  if (!rights.net_admin) {
    finding.state = State::kUnknown;
    finding.what = "/proc/thread-self/status cannot be read";
  } else if (!*rights.net_admin) {
    finding.state = State::kUnknown;
    finding.what = "this process does not have it, so of most it cannot be known whether the node can do it";
    finding.remedy =
        "run as root, in a container with securityContext.capabilities.add [NET_ADMIN] or privileged, and "
        "hostNetwork: true";
  } else if (rights.user_namespace.value_or(false)) {
    finding.state = State::kWarning;
    finding.what =
        "this process has it in a user namespace of its own: it counts only for network namespaces that belong to that "
        "one, not for the host's";
    finding.remedy = "in a Pod, hostUsers: true";
  }
  return {finding};
}

}  // namespace kubenatd::agent::node
