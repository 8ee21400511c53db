#include "test/kernel/fake/twin_socket.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "test/kernel/fake/message_text.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"

namespace kubenatd::test {
namespace {

using netlink::Received;

bool is_element(const std::string& line) {
  return line.find(fmt::format("message {} ", 12)) == 0 || line.find(fmt::format("message {} ", 14)) == 0;
}

/// Elements that follow each other have no order.
void sort_elements(std::vector<std::string>& lines) {
  for (auto at = lines.begin(); at != lines.end();) {
    const auto first = std::find_if(at, lines.end(), is_element);
    at = std::find_if_not(first, lines.end(), is_element);
    std::sort(first, at);
  }
}

}  // namespace

bool enter_beside_twin() {
  if (linux_is_from(6, 17)) return enter_fresh_namespace();
  std::printf("SKIPPED: needs Linux 6.17: the kernel in memory answers like that\n");
  return false;
}

class TwinSocket final : public netlink::Socket {
 public:
  TwinSocket(TwinKernel& twin, std::unique_ptr<netlink::Socket> real, std::unique_ptr<netlink::Socket> fake)
      : twin_(twin), real_(std::move(real)), fake_(std::move(fake)) {}

  [[nodiscard]] int fd() const override { return real_->fd(); }
  [[nodiscard]] std::uint32_t port_id() const override { return real_->port_id(); }
  void grow_send_buffer(std::size_t bytes) override {
    real_->grow_send_buffer(bytes);
    fake_->grow_send_buffer(bytes);
  }
  void grow_receive_buffer(std::size_t bytes) override {
    real_->grow_receive_buffer(bytes);
    fake_->grow_receive_buffer(bytes);
  }
  [[nodiscard]] rules::Status join(unsigned group) override {
    if (auto joined = fake_->join(group); !joined) return joined;
    return real_->join(group);
  }
  [[nodiscard]] rules::Status leave(unsigned group) override {
    if (auto left = fake_->leave(group); !left) return left;
    return real_->leave(group);
  }
  [[nodiscard]] rules::Status send(std::string_view bytes) override {
    settle("(before a request)");
    const auto faked = fake_->send(bytes);
    const auto sent = real_->send(bytes);
    if (faked.has_value() != sent.has_value()) twin_.differences_.emplace_back("only one could send");
    settle(describe_request(bytes));
    return sent;
  }
  [[nodiscard]] rules::Result<Received> receive() override {
    if (queue_.empty()) return real_->receive();
    return take();
  }
  [[nodiscard]] rules::Result<Received> poll() override {
    if (queue_.empty()) settle("(an event)");
    if (queue_.empty()) return Received{};
    return take();
  }
  void drain() override {
    settle("(when drained)");
    queue_.clear();
  }

 private:
  Received take() {
    read_ = std::move(queue_.front());
    queue_.pop_front();
    if (read_.empty()) return {Received::Kind::kOverrun, {}};
    return {Received::Kind::kData, read_};
  }

  std::vector<std::string> read_all(netlink::Socket& socket, std::deque<std::string>* keep) {
    std::vector<std::string> lines;
    for (;;) {
      const auto received = socket.poll();
      if (!received) throw std::runtime_error(received.error().to_string());
      if (received->kind == Received::Kind::kNothing) break;
      if (received->kind == Received::Kind::kOverrun) {
        lines.emplace_back("overrun");
      } else {
        describe_messages(received->data, socket.port_id(), lines);
      }
      if (keep != nullptr) keep->emplace_back(received->data);
    }
    sort_elements(lines);
    return lines;
  }

  void settle(const std::string& occasion) {
    const auto real = read_all(*real_, &queue_);
    const auto fake = read_all(*fake_, nullptr);
    twin_.compared_ += real.size();
    if (real == fake) return;
    std::string text = occasion;
    const auto [kernel, other] = std::mismatch(real.begin(), real.end(), fake.begin(), fake.end());
    text += fmt::format("\n  after {} equal ones of {} and {}", kernel - real.begin(), real.size(), fake.size());
    for (auto at = kernel; at != real.end() && at < kernel + 4; ++at) text += "\n  kernel: " + *at;
    for (auto at = other; at != fake.end() && at < other + 4; ++at) text += "\n  fake:   " + *at;
    twin_.differences_.push_back(std::move(text));
  }

  TwinKernel& twin_;
  std::unique_ptr<netlink::Socket> real_, fake_;
  std::deque<std::string> queue_;
  std::string read_;
};

std::unique_ptr<netlink::Socket> TwinKernel::connect() {
  auto real = netlink::open_socket();
  auto fake = fake_.connect();
  if (!real || !fake) throw std::runtime_error("no socket");
  return std::make_unique<TwinSocket>(*this, std::move(*real), std::move(*fake));
}

}  // namespace kubenatd::test
