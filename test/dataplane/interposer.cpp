#include "test/dataplane/interposer.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kubenatd::agent::test {

using netlink::Received;

class Interposer::Wrapped final : public netlink::Socket {
 public:
  Wrapped(std::unique_ptr<netlink::Socket> inner, std::shared_ptr<Orders> orders)
      : inner_(std::move(inner)), orders_(std::move(orders)) {}

  int fd() const override { return inner_->fd(); }
  std::uint32_t port_id() const override { return inner_->port_id(); }
  void grow_send_buffer(std::size_t bytes) override { inner_->grow_send_buffer(bytes); }
  void grow_receive_buffer(std::size_t bytes) override { inner_->grow_receive_buffer(bytes); }
  rules::Status join(unsigned group) override { return inner_->join(group); }
  rules::Status leave(unsigned group) override { return inner_->leave(group); }
  void drain() override { inner_->drain(); }

  rules::Status send(std::string_view bytes) override {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    const bool commits = header.nlmsg_type == NFNL_MSG_BATCH_BEGIN;
    if (orders_->left == 0) return rules::fail("netlink socket", "send", "the agent is dead", EPIPE);
    if (!commits) return inner_->send(bytes);
    --orders_->left;
    if (orders_->before_commit) orders_->before_commit();
    ++orders_->commits;
    orders_->largest = std::max(orders_->largest, bytes.size());
    auto sent = inner_->send(bytes);
    if (orders_->lost_answers != 0) {
      --orders_->lost_answers;
      inner_->drain();
      overrun_ = true;
    }
    return sent;
  }
  rules::Result<Received> receive() override { return lost() ? told() : inner_->receive(); }
  rules::Result<Received> poll() override { return lost() ? told() : inner_->poll(); }

 private:
  [[nodiscard]] bool lost() { return std::exchange(overrun_, false); }
  static rules::Result<Received> told() { return Received{.kind = Received::Kind::kOverrun, .data = {}}; }

  std::unique_ptr<netlink::Socket> inner_;
  std::shared_ptr<Orders> orders_;
  bool overrun_ = false;
};

rules::Result<std::unique_ptr<netlink::Socket>> Interposer::connect() {
  auto socket = inner_.connect();
  if (!socket) return std::unexpected(socket.error());
  return std::make_unique<Wrapped>(std::move(*socket), orders_);
}

}  // namespace kubenatd::agent::test
