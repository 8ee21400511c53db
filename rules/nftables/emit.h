#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/nftables/desired.h"

/// From a frontend of a service port to its elements. Pure; what the parts of DesiredElements share.
namespace kubenatd::rules::nftables {

/// One list of endpoints, in the order of their numbers.
struct BackendList {
  const std::vector<Backend>& backends;
  const std::vector<std::uint32_t>* only = nullptr;  ///< numbers to emit; none: all
  std::uint32_t sticky_id = 0;
};

struct FrontendInput {
  const ServicePortView& view;
  const RulesetOptions& options;
  const Frontend& frontend;
  std::shared_ptr<const std::string> comment;
  BackendList cluster;
  BackendList local;
};

/// Every element of one frontend.
void emit(const FrontendInput& input, const DesiredElements::ElementVisitor& visit);

[[nodiscard]] ElementKey hairpin(const Address& address);
[[nodiscard]] Bytes<kDataCapacity> endpoint_value(const Backend& backend);
/// The key of the endpoints of one list, but for their numbers; none when no frontend has that list, or none for which
/// the answer is yes.
[[nodiscard]] std::optional<ElementKey> endpoint_element(const ServicePortView& view, bool local,
                                                         const std::function<bool(const Frontend&)>& has);

/// What the keys of all endpoints of one frontend in a map of endpoints begin with; empty when this is none of them.
[[nodiscard]] std::string_view endpoint_frontend(const ElementKey& key);
/// The protocol in such a beginning; none when it is not one that Services have.
[[nodiscard]] std::optional<Protocol> endpoint_protocol(std::string_view frontend);

/// Prefixes without those that others of them contain: the kernel refuses overlapping ranges.
[[nodiscard]] std::vector<Prefix> without_overlaps(std::vector<Prefix> prefixes);

}  // namespace kubenatd::rules::nftables
