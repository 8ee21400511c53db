#include "agent/state/left_out.h"

#include <fmt/format.h>

#include <algorithm>

namespace kubenatd::agent::state {

void LeftOutServices::set(const objects::ObjectKey& service, LeftOut now) {
  const auto before = all_.find(service);
  if (now.count == 0) {
    if (before == all_.end()) return;
    all_.erase(before);
    ++changes_;
    return;
  }
  if (before != all_.end() && before->second == now) return;
  ++changes_;
  for (const std::string& line : now.lines)
    if (before == all_.end() || std::ranges::find(before->second.lines, line) == before->second.lines.end())
      remarks_.push_back(fmt::format("Service {}: {}", service.to_string(), line));
  const bool more = now.lines.size() == LeftOut::kMostLines && now.count > LeftOut::kMostLines;
  if (more && (before == all_.end() || before->second.count < now.count))
    remarks_.push_back(fmt::format("Service {}: more is left out, {} in all", service.to_string(), now.count));
  all_.insert_or_assign(service, std::move(now));
}

}  // namespace kubenatd::agent::state
