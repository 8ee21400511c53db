#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/descriptor.h"
#include "rules/address.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::agent::trace {

/// What became of a connection that trace made itself.
struct ConnectOutcome {
  std::string code;  ///< connected, answered, sent, refused, unreachable, timeout, pending, failed
  std::string text;  ///< in words, with the errno
};

/// One connection from the node's own network: a TCP or SCTP connection that is closed as soon as it stands, or one
/// empty UDP datagram.
///
/// Threading: one thread; fd() is for poll. Failure: values. Never blocks; who waits decides for how long.
class Attempt {
 public:
  [[nodiscard]] static rules::Result<Attempt> start(rules::Protocol protocol, const rules::Address& destination,
                                                    std::uint16_t port, const std::optional<rules::Address>& source);

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] short events() const;
  /// What is known by now; none: still waiting. Once it is known, the connection is closed.
  [[nodiscard]] std::optional<ConnectOutcome> look();
  /// Nobody waits any longer: because it took too long, or for another reason.
  [[nodiscard]] ConnectOutcome give_up(bool too_long);
  /// "10.0.0.1:40000"; empty: not known.
  [[nodiscard]] const std::string& from() const { return from_; }

 private:
  Attempt(base::Descriptor socket, bool datagram) : socket_(std::move(socket)), datagram_(datagram) {}
  ConnectOutcome end(int code);

  base::Descriptor socket_;
  bool datagram_;
  std::string from_;
  std::optional<int> failed_;  ///< at once
};

}  // namespace kubenatd::agent::trace
