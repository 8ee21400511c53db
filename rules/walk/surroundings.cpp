#include <algorithm>

#include "rules/walk/packet.h"

namespace kubenatd::rules::walk {

bool Surroundings::is_local(const Address& address) const {
  if (address.is_loopback() || std::ranges::find(local, address) != local.end()) return true;
  if (ask_local)
    if (const auto answer = ask_local(address)) return *answer;
  return std::ranges::any_of(local_prefixes, [&](const Prefix& prefix) { return prefix.contains(address); });
}

RouteAnswer Surroundings::route(const RouteQuestion& question) const {
  if (ask_route) {
    RouteAnswer answer = ask_route(question);
    if (answer.kind != RouteAnswer::Kind::kUnknown) return answer;
  }
  if (is_local(question.destination)) return {RouteAnswer::Kind::kLocal, "lo", {}, {}};
  if (ask_route) return {};
  const Route* best = nullptr;
  for (const Route& route : routes)
    if (route.destination.contains(question.destination) &&
        (best == nullptr || route.destination.length > best->destination.length))
      best = &route;
  if (best == nullptr) return {};
  return {RouteAnswer::Kind::kForward, best->interface, {}, {}};
}

std::optional<std::string> Surroundings::interface_to(const Address& address) const {
  RouteQuestion question;
  question.destination = address;
  RouteAnswer answer = route(question);
  if (answer.interface.empty()) return std::nullopt;
  return std::move(answer.interface);
}

}  // namespace kubenatd::rules::walk
