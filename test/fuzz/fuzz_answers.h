#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "test/fuzz/fuzz.h"

namespace kubenatd::fuzz {

/// What a kernel answers: the pieces of the input, one datagram each, whatever it is asked.
class FuzzAnswers {
 public:
  /// Of every socket.
  static constexpr std::uint32_t kPort = 7;

  /// `input` must outlive it, and loses what is read.
  explicit FuzzAnswers(std::string_view& input) : input_(input) {}

  /// A question: whole messages. The answers are to the last of them.
  void ask(std::string_view bytes) {
    nlmsghdr header;
    require(bytes.size() >= sizeof header, "what is sent has a header");
    for (std::string_view rest = bytes; !rest.empty();) {
      require(rest.size() >= sizeof header, "what is sent has whole messages");
      std::memcpy(&header, rest.data(), sizeof header);
      require(header.nlmsg_len >= sizeof header && header.nlmsg_len <= rest.size(), "what is sent has true lengths");
      sequence_ = header.nlmsg_seq;
      rest.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
  }

  /// The next datagram, valid until the next call; an empty one stands for an overrun. None: the input has ended.
  [[nodiscard]] std::optional<std::string_view> next() {
    if (input_.empty()) return std::nullopt;
    datagram_ = take_piece(input_);
    number_messages();
    return datagram_;
  }

 private:
  /// Messages of sequence 0xffffffff get that of the last question, and are for this socket.
  void number_messages() {
    nlmsghdr header;
    for (std::size_t at = 0; datagram_.size() - at >= sizeof header;) {
      std::memcpy(&header, datagram_.data() + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram_.size() - at) return;
      if (header.nlmsg_seq == 0xffffffff) {
        header.nlmsg_seq = sequence_;
        header.nlmsg_pid = kPort;
        std::memcpy(datagram_.data() + at, &header, sizeof header);
      }
      at = std::min(at + NLMSG_ALIGN(header.nlmsg_len), datagram_.size());
    }
  }

  std::string_view& input_;
  std::string datagram_;
  std::uint32_t sequence_ = 0;
};

}  // namespace kubenatd::fuzz
