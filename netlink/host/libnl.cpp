#include "netlink/host/libnl.h"

#include <netlink/errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace kubenatd::netlink::host {

namespace {

/// libnl gives the place of the error inside the datagram that it has read: the header lies right before it.
int note_refusal(sockaddr_nl* /*from*/, nlmsgerr* error, void* arg) {
  const char* start = reinterpret_cast<const char*>(error) - NLMSG_HDRLEN;
  MessageReader reader({start, reinterpret_cast<const nlmsghdr*>(start)->nlmsg_len});
  if (Message message; reader.next(message)) *static_cast<Acknowledgement*>(arg) = read_acknowledgement(message);
  return NL_STOP;  // libnl makes its own error of it and returns
}

}  // namespace

LibnlSocket::LibnlSocket(nl_sock* socket, std::string object)
    : socket_(socket), refusal_(std::make_unique<Acknowledgement>()), object_(std::move(object)) {}

rules::Result<LibnlSocket> LibnlSocket::connect(int protocol, std::string object) {
  LibnlSocket socket(nl_socket_alloc(), std::move(object));
  if (socket.get() == nullptr) return rules::fail(socket.object_, "open netlink socket", "out of memory", ENOMEM);
  errno = 0;
  if (const int error = nl_connect(socket.get(), protocol); error < 0)
    return socket.failure("open netlink socket", error);
  const int fd = nl_socket_get_fd(socket.get());
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
    const int code = errno;
    return rules::fail(socket.object_, "set receive timeout", std::strerror(code), code);
  }
  // Without extended acks a refusal only loses its explanation. A refusal need not bring the refused message back.
  // Kernels before 4.12 and 4.3 do not know these: no harm.
  const int on = 1;
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (const int error = nl_socket_modify_err_cb(socket.get(), NL_CB_CUSTOM, note_refusal, socket.refusal_.get());
      error < 0)
    return socket.failure("set callbacks", error);
  return socket;
}

LibnlCallbacks LibnlSocket::make_callbacks(bool check_sequence) const {
  nl_cb* own = nl_socket_get_cb(get());
  LibnlCallbacks callbacks(nl_cb_clone(own));
  nl_cb_put(own);
  if (callbacks && !check_sequence) {
    const auto accept = [](nl_msg* /*message*/, void* /*arg*/) -> int { return NL_OK; };
    nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, accept, nullptr);
  }
  return callbacks;
}

std::unexpected<rules::Error> LibnlSocket::failure(std::string operation, int libnl_error) const {
  const int last_errno = errno;
  if (refusal_->code != 0) return rules::fail(object_, std::move(operation), refusal_->cause(), refusal_->code);
  if (libnl_error == -NLE_FAILURE && last_errno != 0)
    return rules::fail(object_, std::move(operation), std::strerror(last_errno), last_errno);
  return rules::fail(object_, std::move(operation), nl_geterror(libnl_error), errno_of(libnl_error));
}

int errno_of(int libnl_error) {
  switch (libnl_error < 0 ? -libnl_error : libnl_error) {
    case NLE_SUCCESS: return 0;
    case NLE_INTR:
    case NLE_DUMP_INTR: return EINTR;
    case NLE_BAD_SOCK: return EBADF;
    case NLE_AGAIN: return EAGAIN;
    case NLE_NOMEM: return ENOMEM;
    case NLE_EXIST: return EEXIST;
    case NLE_INVAL: return EINVAL;
    case NLE_RANGE: return ERANGE;
    case NLE_MSGSIZE: return EMSGSIZE;
    case NLE_OPNOTSUPP:
    case NLE_MSGTYPE_NOSUPPORT: return EOPNOTSUPP;
    case NLE_AF_NOSUPPORT: return EAFNOSUPPORT;
    case NLE_PROTO_MISMATCH: return EPROTONOSUPPORT;
    case NLE_OBJ_NOTFOUND: return ENOENT;
    case NLE_NOADDR: return EADDRNOTAVAIL;
    case NLE_BUSY: return EBUSY;
    case NLE_NOACCESS: return EACCES;
    case NLE_PERM: return EPERM;
    case NLE_NODEV: return ENODEV;
    default: return EIO;
  }
}

}  // namespace kubenatd::netlink::host
