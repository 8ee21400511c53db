#include "agent/page/explainer.h"

#include <condition_variable>
#include <exception>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/memory.h"
#include "agent/base/query.h"
#include "agent/base/signals_blocked.h"
#include "agent/base/thread_annotations.h"
#include "agent/page/guard.h"

namespace kubenatd::agent::page {
namespace {

using Clock = std::chrono::steady_clock;
using serve::HttpResponse;

/// For a question that is being worked on when the agent ends.
constexpr std::chrono::milliseconds kPatience{1000};

struct Question {
  std::string to, from, ask;
  bool operator==(const Question&) const = default;
};

std::optional<Question> parse(const std::string& query) {
  const auto values = base::parse_query(query);
  if (!values) return std::nullopt;
  Question question;
  for (const auto& [name, value] : *values) {
    if (value.size() > Explainer::kLongestQuestion) return std::nullopt;
    if (name == "to") {
      question.to = value;
    } else if (name == "from") {
      question.from = value;
    } else if (name == "ask") {
      question.ask = value;
    } else {
      return std::nullopt;
    }
  }
  return question;
}

HttpResponse later(unsigned status, std::string text) {
  HttpResponse response = refusal(status, std::move(text));
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse to_response(const Explained& explained) {
  if (!explained.json.empty()) return serve::json_text(200, explained.json);
  return refusal(explained.understood ? 503 : 400, explained.error + "\n");
}

}  // namespace

struct Explainer::Shared {
  Shared(Explain how, std::chrono::milliseconds between) : explain(std::move(how)), pause(between) {}
  void work(const Question& asked);

  const Explain explain;
  const std::chrono::milliseconds pause;
  base::Mutex mutex;
  std::condition_variable_any idle;
  std::optional<Question> question KUBENATD_GUARDED_BY(mutex);
  std::optional<Explained> answer KUBENATD_GUARDED_BY(mutex);  ///< none: it is being worked on
  bool working KUBENATD_GUARDED_BY(mutex) = false;
  Clock::time_point next KUBENATD_GUARDED_BY(mutex);
};

void Explainer::Shared::work(const Question& asked) {
  Explained explained;
  try {
    explained = explain(asked.to, asked.from);
  } catch (const std::exception& error) {
    explained = {.understood = true, .json = {}, .error = error.what()};
  }
  // What the answer took is free now.
  base::give_back_heap();
  const base::MutexLock lock(mutex);
  answer = std::move(explained);
  working = false;
  next = Clock::now() + pause;
  idle.notify_all();
}

Explainer::Explainer(Explain explain, std::chrono::milliseconds pause)
    : shared_(std::make_shared<Shared>(std::move(explain), pause)) {}

Explainer::~Explainer() {
  base::MutexLock lock(shared_->mutex);
  shared_->idle.wait_for(lock, kPatience, [this] {
    shared_->mutex.is_held();
    return !shared_->working;
  });
}

HttpResponse Explainer::answer(const serve::HttpRequest& request) {
  auto question = parse(request.query);
  if (!question || question->to.empty()) return refusal(400, "400 this is no question: to=ADDRESS:PORT&from=ADDRESS\n");
  const base::MutexLock lock(shared_->mutex);
  if (shared_->question == question) {
    if (shared_->answer) return to_response(*shared_->answer);
    return later(202, "it is being worked on; ask again\n");
  }
  if (shared_->working || Clock::now() < shared_->next)
    return later(429, "429 one question at a time, and a pause between two\n");
  const base::SignalsBlocked blocked;
  try {
    std::thread([shared = shared_, asked = *question] { shared->work(asked); }).detach();
  } catch (const std::system_error& error) {
    return refusal(503, std::string("503 there is no thread for it: ") + error.what() + "\n");
  }
  shared_->working = true;
  shared_->question = std::move(question);
  shared_->answer.reset();
  return later(202, "it is being worked on; ask again\n");
}

}  // namespace kubenatd::agent::page
