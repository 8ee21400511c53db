#pragma once

#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <memory>
#include <string>

#include "rules/error.h"

/// What the parts built on libnl-3 share: ownership of its objects, and its errors as errno values.
namespace kubenatd::netlink::host {

struct LibnlDelete {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_cb* callbacks) const { nl_cb_put(callbacks); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using LibnlSocket = std::unique_ptr<nl_sock, LibnlDelete>;
using LibnlCallbacks = std::unique_ptr<nl_cb, LibnlDelete>;
using LibnlMessage = std::unique_ptr<nl_msg, LibnlDelete>;

/// A connected socket of a netlink protocol. A blocking receive gives up after 10 seconds, so that an answer that never
/// comes cannot hang the agent. Errors name `object`.
[[nodiscard]] rules::Result<LibnlSocket> connect_libnl(int protocol, const std::string& object);

/// Callbacks for nl_recvmsgs; null without memory. Without `check_sequence` messages of any sequence number are taken,
/// as notifications need it (nl_socket_disable_seq_check is about the socket's own callbacks only).
[[nodiscard]] LibnlCallbacks make_callbacks(bool check_sequence);

/// The errno value that fits a libnl error (a negative NLE_ number); EIO when none does.
[[nodiscard]] int errno_of(int libnl_error);

/// An error from a libnl call's return value.
[[nodiscard]] std::unexpected<rules::Error> libnl_failure(std::string object, std::string operation, int libnl_error);

}  // namespace kubenatd::netlink::host
