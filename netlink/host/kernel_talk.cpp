#include "netlink/host/kernel_talk.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace kubenatd::netlink::host {
namespace {

constexpr int kDumpTries = 4;
// The kernel fills at most 32 KiB of a dump at once (6.18).
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

}  // namespace

void KernelRequest::append(const void* bytes, std::size_t size) {
  bytes_.append(static_cast<const char*>(bytes), size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

KernelRequest& KernelRequest::attribute(std::uint16_t type, std::string_view payload) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + payload.size()), type};
  append(&header, sizeof header);
  append(payload.data(), payload.size());
  return *this;
}

KernelRequest& KernelRequest::text(std::uint16_t type, std::string_view value) {
  std::string terminated(value);
  terminated += '\0';
  return attribute(type, terminated);
}

KernelRequest& KernelRequest::open(std::uint16_t type) {
  nests_.push_back(bytes_.size());
  return attribute(type | NLA_F_NESTED, {});
}

KernelRequest& KernelRequest::close() {
  const std::size_t at = nests_.back();
  nests_.pop_back();
  const auto size = static_cast<std::uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &size, sizeof size);
  return *this;
}

std::string_view KernelRequest::finish(std::uint32_t sequence) {
  header_.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  // The end of an answer that is no dump is told by its acknowledgement.
  header_.nlmsg_flags |= NLM_F_REQUEST | (is_dump() ? 0 : NLM_F_ACK);
  header_.nlmsg_seq = sequence;
  std::memcpy(bytes_.data(), &header_, sizeof header_);
  return bytes_;
}

KernelTalk::KernelTalk(LibnlSocket socket) : socket_(std::move(socket)), buffer_(kReadBytes, '\0') {}

rules::Result<KernelTalk> KernelTalk::open(int protocol, std::string object) {
  auto socket = LibnlSocket::connect(protocol, std::move(object));
  if (!socket) return std::unexpected(std::move(socket.error()));
  // Filters of dumps count since 4.20; older kernels give everything, and who asks has to look.
  const int on = 1;
  (void)setsockopt(nl_socket_get_fd(socket->get()), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return KernelTalk(std::move(*socket));
}

rules::Status KernelTalk::ask(KernelRequest request, std::string_view object, const Visitor& visit,
                              const std::function<void()>& restart) {
  for (int tries = 1;; ++tries) {
    const auto whole = ask_once(request.finish(++sequence_), request.is_dump(), object, visit);
    if (!whole) return std::unexpected(whole.error());
    if (*whole || tries == kDumpTries) return {};
    if (restart) restart();
  }
}

rules::Result<bool> KernelTalk::ask_once(std::string_view bytes, bool is_dump, std::string_view object,
                                         const Visitor& visit) {
  const int fd = nl_socket_get_fd(socket_.get());
  const auto failed = [&](const char* operation) {
    const int code = errno;
    return rules::fail(std::string(object), operation, std::strerror(code), code);
  };
  while (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return failed("ask");
  bool whole = true;
  for (;;) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t size =
        ::recvfrom(fd, buffer_.data(), buffer_.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (size < 0) {
      if (errno == EINTR) continue;
      return failed("read the answer");
    }
    if (sender.nl_pid != 0) continue;  // the kernel alone is asked
    if (static_cast<std::size_t>(size) > buffer_.size())
      return rules::fail(std::string(object), "read the answer", "it is too long", EMSGSIZE);
    MessageReader reader({buffer_.data(), static_cast<std::size_t>(size)});
    for (Message message; reader.next(message);) {
      if (message.sequence != sequence_) continue;
      if ((message.flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (message.type != NLMSG_DONE && message.type != NLMSG_ERROR) {
        visit(message);
        continue;
      }
      if (message.type == NLMSG_DONE && !is_dump) continue;
      const Acknowledgement answer =
          message.type == NLMSG_DONE ? read_end_of_dump(message) : read_acknowledgement(message);
      if (answer.code != 0) return rules::fail(std::string(object), "ask the kernel", answer.cause(), answer.code);
      return whole;
    }
  }
}

}  // namespace kubenatd::netlink::host
