#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/messages.h"
#include "netlink/host/libnl.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// A message to the kernel: its own fixed part, then attributes.
///
/// Purpose: short questions of any netlink protocol. Threading: a value, one thread. Failure: none. Cost: one string.
class KernelRequest {
 public:
  template <class Fixed>
  KernelRequest(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) : header_{0, type, flags, 0, 0} {
    append(&header_, sizeof header_);
    append(&fixed, sizeof fixed);
  }
  KernelRequest& attribute(std::uint16_t type, std::string_view payload);
  KernelRequest& text(std::uint16_t type, std::string_view value);  ///< with its NUL
  /// A number in the host's order, as rtnetlink has it.
  template <class Number>
  KernelRequest& number(std::uint16_t type, Number value) {
    return attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  KernelRequest& open(std::uint16_t type);
  KernelRequest& close();

  [[nodiscard]] std::string_view finish(std::uint32_t sequence);
  [[nodiscard]] bool is_dump() const { return (header_.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP; }

 private:
  void append(const void* bytes, std::size_t size);

  nlmsghdr header_;
  std::string bytes_;
  std::vector<std::size_t> nests_;
};

/// Questions to the kernel over one socket.
///
/// Threading: one thread. Failure: values; a refusal carries errno and the kernel's extended ack. A dump that others
/// interrupt (NLM_F_DUMP_INTR) is repeated a few times and then taken as it is. Cost: one request a question.
class KernelTalk {
 public:
  [[nodiscard]] static rules::Result<KernelTalk> open(int protocol, std::string object);

  using Visitor = std::function<void(const Message&)>;
  /// Visits what the kernel answers. `restart` is called before a dump is repeated.
  [[nodiscard]] rules::Status ask(KernelRequest request, std::string_view object, const Visitor& visit,
                                  const std::function<void()>& restart = {});

 private:
  explicit KernelTalk(LibnlSocket socket);
  /// False: it was interrupted.
  [[nodiscard]] rules::Result<bool> ask_once(std::string_view bytes, bool is_dump, std::string_view object,
                                             const Visitor& visit);

  LibnlSocket socket_;
  std::uint32_t sequence_ = 0;
  std::string buffer_;
};

}  // namespace kubenatd::netlink::host
