#pragma once

#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <memory>
#include <string>

#include "netlink/core/messages.h"
#include "rules/error.h"

/// What the parts built on libnl-3 share: ownership of its objects, and the kernel's errors, which libnl does not keep.
namespace kubenatd::netlink::host {

struct LibnlDelete {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_cb* callbacks) const { nl_cb_put(callbacks); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using LibnlCallbacks = std::unique_ptr<nl_cb, LibnlDelete>;
using LibnlMessage = std::unique_ptr<nl_msg, LibnlDelete>;

/// A connected socket of libnl that remembers what the kernel refused.
///
/// Purpose: libnl 3.7.0 makes one of 34 numbers of its own out of an errno, and "Unspecific failure" out of most of
/// them; so the errno and the kernel's extended ack are read from the refusal itself. Threading: one thread. Failure:
/// values. Cost: that of libnl.
class LibnlSocket {
 public:
  /// A blocking receive gives up after 10 seconds, so that an answer that never comes cannot hang the agent. Errors
  /// name `object`.
  [[nodiscard]] static rules::Result<LibnlSocket> connect(int protocol, std::string object);

  [[nodiscard]] nl_sock* get() const { return socket_.get(); }
  /// A copy of the socket's callbacks for nl_recvmsgs; null without memory. Without `check_sequence` messages of any
  /// sequence number are taken, as notifications need it (nl_socket_disable_seq_check is about the socket's own
  /// callbacks only).
  [[nodiscard]] LibnlCallbacks make_callbacks(bool check_sequence) const;

  /// What the kernel refused last; code 0 when it refused nothing.
  [[nodiscard]] const Acknowledgement& refusal() const { return *refusal_; }
  /// The error of a libnl call that has just given `libnl_error`: what the kernel said, else what the system call said,
  /// else what libnl says.
  [[nodiscard]] std::unexpected<rules::Error> failure(std::string operation, int libnl_error) const;

 private:
  LibnlSocket(nl_sock* socket, std::string object);

  std::unique_ptr<nl_sock, LibnlDelete> socket_;
  std::unique_ptr<Acknowledgement> refusal_;  ///< libnl keeps its address
  std::string object_;
};

/// The errno value that fits a libnl error (a negative NLE_ number); EIO when none does.
[[nodiscard]] int errno_of(int libnl_error);

}  // namespace kubenatd::netlink::host
