#pragma once

#include "netlink/core/socket.h"
#include "test/fuzz/fuzz_answers.h"

namespace kubenatd::fuzz {

/// A socket to a kernel that answers with the pieces of the input.
class FuzzSocket final : public netlink::Socket {
 public:
  /// `input` must outlive it, and loses what is read.
  explicit FuzzSocket(std::string_view& input) : answers_(input) {}

  [[nodiscard]] int fd() const override { return -1; }
  [[nodiscard]] std::uint32_t port_id() const override { return FuzzAnswers::kPort; }
  void grow_send_buffer(std::size_t /*bytes*/) override {}
  void grow_receive_buffer(std::size_t /*bytes*/) override {}
  [[nodiscard]] rules::Status join(unsigned /*group*/) override { return {}; }
  [[nodiscard]] rules::Status leave(unsigned /*group*/) override { return {}; }
  [[nodiscard]] rules::Status send(std::string_view bytes) override {
    answers_.ask(bytes);
    return {};
  }
  [[nodiscard]] rules::Result<netlink::Received> receive() override {
    const auto datagram = answers_.next();
    if (!datagram) return rules::fail("socket", "receive", "nothing comes", ETIMEDOUT);
    return received(*datagram);
  }
  [[nodiscard]] rules::Result<netlink::Received> poll() override {
    const auto datagram = answers_.next();
    return datagram ? received(*datagram) : netlink::Received{};
  }
  void drain() override {}

 private:
  static netlink::Received received(std::string_view datagram) {
    if (datagram.empty()) return {netlink::Received::Kind::kOverrun, {}};
    return {netlink::Received::Kind::kData, datagram};
  }

  FuzzAnswers answers_;
};

}  // namespace kubenatd::fuzz
