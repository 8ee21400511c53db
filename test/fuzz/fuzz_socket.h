#pragma once

#include <linux/netlink.h>

#include <cstring>
#include <string>
#include <string_view>

#include "netlink/core/socket.h"
#include "test/fuzz/fuzz.h"

namespace kubenatd::fuzz {

/// A kernel that answers with the pieces of the input, one datagram each, whatever it is asked.
class FuzzSocket final : public netlink::Socket {
 public:
  /// `input` must outlive it, and loses what is read.
  explicit FuzzSocket(std::string_view& input) : input_(input) {}

  [[nodiscard]] int fd() const override { return -1; }
  [[nodiscard]] std::uint32_t port_id() const override { return kPort; }
  void grow_send_buffer(std::size_t /*bytes*/) override {}
  void grow_receive_buffer(std::size_t /*bytes*/) override {}
  [[nodiscard]] rules::Status join(unsigned /*group*/) override { return {}; }
  [[nodiscard]] rules::Status leave(unsigned /*group*/) override { return {}; }
  [[nodiscard]] rules::Status send(std::string_view bytes) override {
    nlmsghdr header;
    require(bytes.size() >= sizeof header, "what is sent has a header");
    for (std::string_view rest = bytes; !rest.empty();) {
      require(rest.size() >= sizeof header, "what is sent has whole messages");
      std::memcpy(&header, rest.data(), sizeof header);
      require(header.nlmsg_len >= sizeof header && header.nlmsg_len <= rest.size(), "what is sent has true lengths");
      sequence_ = header.nlmsg_seq;
      rest.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
    return {};
  }
  [[nodiscard]] rules::Result<netlink::Received> receive() override {
    if (input_.empty()) return rules::fail("socket", "receive", "nothing comes", ETIMEDOUT);
    return next();
  }
  [[nodiscard]] rules::Result<netlink::Received> poll() override { return next(); }
  void drain() override {}

 private:
  static constexpr std::uint32_t kPort = 7;

  netlink::Received next() {
    if (input_.empty()) return {};
    datagram_ = take_piece(input_);
    if (datagram_.empty()) return {netlink::Received::Kind::kOverrun, {}};
    number_messages();
    return {netlink::Received::Kind::kData, datagram_};
  }
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
