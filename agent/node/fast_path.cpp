#include "agent/node/fast_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "netlink/host/interfaces.h"

namespace kubenatd::agent::node {

FastPath read_fast_path(dataplane::Kernel& kernel, const std::vector<config::DevicePattern>& wanted) {
  FastPath found{.support = dataplane::FastPathSupport{}, .devices = {}};
  auto socket = kernel.connect();
  if (!socket) {
    found.support = std::unexpected(socket.error());
    return found;
  }
  found.support = dataplane::find_fast_path(**socket);
  if (const auto links = netlink::host::read_links())
    found.devices =
        dataplane::choose_devices(wanted.empty() ? std::vector{config::DevicePattern{"auto"}} : wanted, *links);
  return found;
}

Findings judge(const FastPath& fast_path, const std::vector<config::DevicePattern>& wanted) {
  // Of no mode: it does not decide whether one can run.
  Finding finding{.name = "fast-path"};
  if (!fast_path.support) {
    finding.state = State::kUnknown;
    finding.what = "whether this kernel has flowtables could not be found out: " + fast_path.support.error().cause;
    return {std::move(finding)};
  }
  const dataplane::FastPathSupport& support = *fast_path.support;
  if (support.can == rules::nftables::FastPath::kOff) {
    finding.state = wanted.empty() ? State::kYes : State::kWarning;
    finding.what = "not possible: " + support.limit;
    return {std::move(finding)};
  }
  if (!wanted.empty() && fast_path.devices.empty()) finding.state = State::kWarning;
  finding.what = fmt::format("{} on {} device{}{}", wanted.empty() ? "off; possible" : "connections bypass the rules",
                             fast_path.devices.size(), fast_path.devices.size() == 1 ? "" : "s",
                             support.limit.empty() ? "" : "; " + support.limit);
  return {std::move(finding)};
}

}  // namespace kubenatd::agent::node
