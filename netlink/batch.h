#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"

namespace kubenatd::netlink {

/// Where a new rule goes in its chain.
struct Placement {
  enum class Where : std::uint8_t { kLast, kFirst, kBefore, kAfter };
  Where where = Where::kLast;
  std::uint64_t handle = 0;  ///< of the neighbour, for kBefore and kAfter

  static constexpr Placement last() { return {}; }
  static constexpr Placement first() { return {Where::kFirst, 0}; }
  static constexpr Placement before(std::uint64_t handle) { return {Where::kBefore, handle}; }
  static constexpr Placement after(std::uint64_t handle) { return {Where::kAfter, handle}; }
};

/// One nf_tables transaction under construction: messages in one contiguous buffer, ready for one sendmsg, because the
/// kernel takes a transaction only from a single buffer (nfnetlink_rcv_batch).
///
/// Not thread-safe. Cannot fail except for memory. Cost: one encoding pass per message, amortised growth; the buffer is
/// kept by clear(). Rules are encoded byte for byte as iptables-nft 1.8.9 encodes them (see rule_encoder.h).
class Batch {
 public:
  Batch();

  void add_table(rules::Family family, rules::Table table);
  void delete_table(rules::Family family, rules::Table table);
  /// A builtin chain ("INPUT", "PREROUTING", ...) with iptables' hook, priority and type, policy accept. Only for
  /// chains that are not there: it would reset the policy.
  void add_base_chain(rules::Family family, rules::Table table, std::string_view chain);
  void add_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// The chain must be empty and nothing may jump to it.
  void delete_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// Removes every rule of the chain.
  void flush_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// With `echo` the commit reports the handle that the kernel gave to the rule.
  void add_rule(rules::Family family, rules::Table table, std::string_view chain, const rules::Rule& rule,
                Placement placement = {}, bool echo = false);
  void delete_rule(rules::Family family, rules::Table table, std::string_view chain, std::uint64_t handle);

  [[nodiscard]] bool empty() const { return messages_ == 0; }
  [[nodiscard]] std::size_t messages() const { return messages_; }
  [[nodiscard]] std::size_t bytes() const { return buffer_.size(); }
  /// Forgets the messages and keeps the memory.
  void clear();
  /// Forgets the messages and gives the memory back.
  void release();

 private:
  friend class NfTables;
  // Definition of the private part belongs to batch.cpp; adjust freely.
  std::vector<char> buffer_;
  std::size_t messages_ = 0;
};

}  // namespace kubenatd::netlink
