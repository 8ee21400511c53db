#pragma once

#include <cstddef>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/objects/field.h"

/// Checks that several kinds share. They concern objects of folders: an API server has done them when it stored an
/// object, or would not do so today.
namespace kubenatd::agent::objects {

/// Types, keys and values of labels or of a selector.
void check_label_texts(const Field& field);
/// One of each family at most. What stands in the list must have been looked at one by one before.
void check_dual_stack(const Field& list, const std::vector<rules::Family>& families, std::string_view what);
/// What may not be an address of an endpoint (and, for old times' sake, of externalIPs): unspecified, loopback and
/// link-local ones.
void check_endpoint_address(const Field& field, const rules::Address& address);
void check_length(const Field& list, std::size_t length, std::size_t most);

/// Texts that were there before.
class Seen {
 public:
  /// Whether it is there for the first time.
  [[nodiscard]] bool add(std::string text) { return texts_.insert(std::move(text)).second; }

 private:
  std::unordered_set<std::string> texts_;
};

}  // namespace kubenatd::agent::objects
