#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rules/walk/nft/vocabulary.h"

namespace kubenatd::rules::walk::nft {

/// What the conditions of a rule say, up to a place in it, of the packet's protocols: which header it is whose fields
/// are meant by bytes at an offset.
///
/// Threading: none of its own. Failure: none; what is not said is not known. Cost: linear in the rule's parts behind
/// the one that is asked for.
class ToldProtocols {
 public:
  explicit ToldProtocols(TableFamily family);

  /// Remembers what a condition says of the protocol; whether it says nothing else.
  bool learn(const Statement& statement);
  /// A later part of the rule has the protocol in its name ("tcp dport", "ip saddr"), so nft does not say it twice.
  [[nodiscard]] bool is_said_later(const std::vector<Statement>& statements, std::size_t at) const;
  /// Whether a field of this header is meant by bytes of that base.
  [[nodiscard]] bool fits(const Field& field, Payload::Base base) const;
  [[nodiscard]] std::optional<Header> network() const { return network_; }

 private:
  bool learn_network(bool ip, bool ip6);

  TableFamily family_;
  std::optional<std::uint8_t> transport_;
  std::optional<Header> network_;
};

}  // namespace kubenatd::rules::walk::nft
