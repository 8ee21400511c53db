#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/core/socket.h"
#include "rules/address.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink::trace {

inline constexpr std::string_view kTraceTable = "kubenatd-trace";

/// What is traced: never without destination, protocol and port.
struct TraceTarget {
  rules::Protocol protocol = rules::Protocol::kTcp;
  rules::Address destination;
  std::uint16_t port = 0;
  std::vector<rules::Address> sources;   ///< none: from everywhere
  std::chrono::milliseconds lifetime{};  ///< after that nothing more is traced, whatever becomes of the program
  /// Trace answers, too. Their rules ask connection tracking, which the kernel then turns on for the whole namespace:
  /// only where it is on anyway.
  bool replies = false;
};

/// Where in a packet's way a chain of the table stands.
enum class TracePlace : std::uint8_t {
  kStart,    ///< before anything else: a packet has come in or was sent
  kReply,    ///< behind connection tracking: an answer is known as one
  kArrived,  ///< behind all others in input
  kLeft,     ///< behind all others in postrouting
};
/// Of a chain of the table, by its name.
[[nodiscard]] std::optional<TracePlace> trace_place(std::string_view chain);

/// The table that makes the kernel trace a flow: a table of its own, of the destination's family. It decides nothing
/// about packets, and it is gone with this object; where the kernel knows owners of tables (Linux 5.12), also when the
/// process is killed. Older kernels keep it then until somebody deletes it, and it does nothing once `lifetime` is
/// over.
///
/// How many packets are traced a second is limited, and first packets of TCP connections are limited by themselves, so
/// that a busy connection does not hide them.
///
/// Threading: one thread. Failure: needs CAP_NET_ADMIN; EBUSY when another process traces. Cost: one transaction; each
/// packet of the namespace then meets one look-up on its way.
class TraceTable {
 public:
  [[nodiscard]] static rules::Result<TraceTable> make(const TraceTarget& target);
  /// The table lives as long as this socket.
  [[nodiscard]] static rules::Result<TraceTable> make(std::unique_ptr<Socket> socket, const TraceTarget& target);
  TraceTable(TraceTable&&) noexcept = default;
  TraceTable& operator=(TraceTable&&) = delete;
  ~TraceTable();

  /// False: this kernel does not know owners; the table stays when the process is killed.
  [[nodiscard]] bool is_owned() const { return owned_; }

 private:
  TraceTable(NfTables kernel, rules::Family family, bool owned)
      : kernel_(std::make_unique<NfTables>(std::move(kernel))), family_(family), owned_(owned) {}

  std::unique_ptr<NfTables> kernel_;
  rules::Family family_;
  bool owned_;
};

}  // namespace kubenatd::netlink::trace
