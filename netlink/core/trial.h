#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netlink/core/batch.h"
#include "netlink/core/socket.h"
#include "rules/change.h"
#include "rules/error.h"

/// What the kernel says to messages that are never committed.
namespace kubenatd::netlink {

/// A message, and what came of it.
struct TriedMessage {
  rules::Operation operation = rules::Operation::kNone;
  rules::ObjectRef object;
  /// What of the kernel it needs: of a rule its expressions ("fib", "match recent", "target DNAT"), of a base chain
  /// "chain nat", of a set "set ranges", "set timeout", "set map" or "set", of a table "table", of a flowtable
  /// "flowtable".
  std::vector<std::string> features;
  std::optional<rules::Refusal> refusal;
};

/// Sends the messages as a transaction without its end. The kernel (nfnetlink_rcv_batch) handles each of them, goes on
/// behind one that it refuses, loads modules that it needs, and in the end takes all of it back: no rule is ever in
/// force, the generation stays, and nobody is notified. A chain with a hook would be hooked in meanwhile, so base
/// chains belong into a table that add_dormant_table() has made.
///
/// An error: it refused the whole (no rights, no nf_tables), its answer was lost, or a message cannot be written.
/// Blocks until the kernel has answered.
[[nodiscard]] rules::Result<std::vector<TriedMessage>> try_out(Socket& socket, const Batch& batch);

/// A table whose chains no packet meets.
void add_dormant_table(Batch& batch, rules::Family family, std::string_view table);

}  // namespace kubenatd::netlink
