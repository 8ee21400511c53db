#include "agent/seen/inquiries.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace kubenatd::agent::seen {

rules::Result<std::unique_ptr<Inquiries>> Inquiries::open() {
  base::Descriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return rules::fail("status pages", "open an eventfd", std::generic_category().message(errno), errno);
  return std::unique_ptr<Inquiries>(new Inquiries(std::move(event)));
}

void Inquiries::answer(const std::function<ServicesPage(const ServicesQuery&)>& find, const dataplane::Model* model) {
  std::uint64_t count = 0;
  static_cast<void>(::read(event_.get(), &count, sizeof(count)));
  std::vector<std::shared_ptr<Question>> questions;
  {
    const base::MutexLock lock(mutex_);
    questions = std::exchange(waiting_, {});
  }
  for (const auto& question : questions) {
    std::optional<ServicesPage> page;
    if (!question->look) {
      page = find(question->query);
    } else if (model != nullptr) {
      question->look(*model);
    }
    const base::MutexLock lock(mutex_);
    question->page = std::move(page);
    question->done = true;
    answered_.notify_all();
  }
}

void Inquiries::close() {
  const base::MutexLock lock(mutex_);
  closed_ = true;
  answered_.notify_all();
}

std::expected<ServicesPage, Inquiries::Failure> Inquiries::ask(const ServicesQuery& query,
                                                               std::chrono::milliseconds patience) {
  const auto question = std::make_shared<Question>(query);
  if (const auto failure = wait_for(question, patience)) return std::unexpected(*failure);
  return std::move(*question->page);
}

std::expected<void, Inquiries::Failure> Inquiries::look(Look look, std::chrono::milliseconds patience) {
  const auto question = std::make_shared<Question>();
  question->look = std::move(look);
  if (const auto failure = wait_for(question, patience)) return std::unexpected(*failure);
  return {};
}

std::optional<Inquiries::Failure> Inquiries::wait_for(const std::shared_ptr<Question>& question,
                                                      std::chrono::milliseconds patience) {
  base::MutexLock lock(mutex_);
  if (closed_) return Failure::kClosed;
  if (waiting_.size() >= kMostWaiting) return Failure::kBusy;
  waiting_.push_back(question);
  constexpr std::uint64_t kOne = 1;
  static_cast<void>(::write(event_.get(), &kOne, sizeof(kOne)));
  answered_.wait_for(lock, patience, [&] {
    mutex_.is_held();
    return closed_ || question->done;
  });
  if (question->done) return std::nullopt;
  std::erase(waiting_, question);
  return closed_ ? Failure::kClosed : Failure::kBusy;
}

}  // namespace kubenatd::agent::seen
