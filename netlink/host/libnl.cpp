#include "netlink/host/libnl.h"

#include <netlink/errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace kubenatd::netlink::host {

rules::Result<LibnlSocket> connect_libnl(int protocol, const std::string& object) {
  LibnlSocket socket(nl_socket_alloc());
  if (!socket) return rules::fail(object, "open netlink socket", "out of memory", ENOMEM);
  if (const int error = nl_connect(socket.get(), protocol); error < 0)
    return libnl_failure(object, "open netlink socket", error);
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  if (setsockopt(nl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
    const int code = errno;
    return rules::fail(object, "set receive timeout", std::strerror(code), code);
  }
  return socket;
}

LibnlCallbacks make_callbacks(bool check_sequence) {
  LibnlCallbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
  if (callbacks && !check_sequence) {
    const auto accept = [](nl_msg* /*message*/, void* /*arg*/) -> int { return NL_OK; };
    nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, accept, nullptr);
  }
  return callbacks;
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

std::unexpected<rules::Error> libnl_failure(std::string object, std::string operation, int libnl_error) {
  return rules::fail(std::move(object), std::move(operation), nl_geterror(libnl_error), errno_of(libnl_error));
}

}  // namespace kubenatd::netlink::host
