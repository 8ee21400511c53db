#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "netlink/core/drain.h"
#include "netlink/core/socket.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink {

/// One change of nf_tables as the kernel announced it. Views are valid only during the callback.
struct TableEvent {
  enum class Kind : std::uint8_t {
    kTableAdded,
    kTableDeleted,
    kChainAdded,
    kChainDeleted,
    kRuleAdded,
    kRuleDeleted,
    kGeneration,  ///< ends a transaction; carries generation and the writer
    kOther,       ///< sets, elements, objects, other families and tables
  };
  Kind kind = Kind::kOther;
  std::uint32_t port_id = 0;  ///< netlink port of the writer
  rules::Family family = rules::Family::kIpv4;
  std::optional<rules::Table> table;  ///< only filter, nat and mangle of ip and ip6
  std::string_view table_name;
  std::string_view set;          ///< kOther: of the set or of the elements, in tables of any name
  std::string_view flowtable{};  ///< kOther: of the flowtable
  std::string_view chain;
  std::uint64_t handle = 0;       ///< of the rule
  std::string_view expressions;   ///< kRuleAdded: undecoded
  std::uint32_t generation = 0;   ///< kGeneration
  std::uint32_t process_id = 0;   ///< kGeneration
  std::string_view process_name;  ///< kGeneration
};

/// Listens to NFNLGRP_NFTABLES.
///
/// Threading: one thread. fd() is for epoll; drain() reads what is there, at most some 100 000 events, and never
/// blocks.
/// Failure: an overrun (ENOBUFS) means that events were lost: it is reported and a full audit must follow.
/// Cost: attributes of a message are parsed only as far as table, chain and handle; expressions are found, not read.
class Monitor {
 public:
  /// Opened without membership.
  [[nodiscard]] static rules::Result<Monitor> open();
  explicit Monitor(std::unique_ptr<Socket> socket);
  [[nodiscard]] int fd() const;
  /// Starts listening. What was queued before is gone.
  [[nodiscard]] rules::Status join();
  /// Stops listening and empties the queue, for the time of a large transaction of our own.
  [[nodiscard]] rules::Status leave();

  using Drained = netlink::Drained;
  [[nodiscard]] rules::Result<Drained> drain(const std::function<void(const TableEvent&)>& visit);

 private:
  std::unique_ptr<Socket> socket_;
};

}  // namespace kubenatd::netlink
