#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rules/digest.h"
#include "rules/iptables/options.h"
#include "rules/rule.h"
#include "rules/service_port.h"

namespace kubenatd::rules::iptables {

/// One rule of a shared chain, without its content: 10 000 of them are listed for one that is written.
struct Slot {
  Digest digest;
  const ServicePortView* view = nullptr;  ///< none: a rule of the chain itself (tree branch, NodePort tail)
  std::uint32_t index = 0;                ///< among compile_dispatch(*view), or among `SharedChain::literals`
};

/// The desired content of a chain that many service ports, or pods with host ports, share.
struct SharedChain {
  ChainId id;
  bool by_rule = false;  ///< long-lived and large: changed rule by rule; otherwise rewritten as a whole
  std::vector<Slot> slots;
  std::vector<Rule> literals;
  bool only_if_there = false;  ///< nothing of ours is wanted in it: it is not made for that

  [[nodiscard]] std::vector<Digest> digests() const;
  /// Adds a rule of the chain itself.
  void add_literal(Rule rule);
};

/// Content of a slot.
[[nodiscard]] Rule rule_of(const SharedChain& chain, const Slot& slot, const CompileOptions& options);

/// Receives desired chains in an order in which they can be written: a chain comes after the chains it jumps to.
class ChainSink {
 public:
  virtual ~ChainSink() = default;
  /// A chain that is written as a whole.
  virtual void chain(const ChainRules& chain, const Digest& digest) = 0;
  /// A shared chain that may have changed.
  virtual void shared(const SharedChain& chain) = 0;
  /// A chain that is no longer wanted.
  virtual void gone(const ChainId& chain) = 0;
};

/// A chain that is wanted, with the digest of its content; a shared chain without one.
struct WantedChain {
  ChainId id;
  std::optional<Digest> digest;
};

}  // namespace kubenatd::rules::iptables
