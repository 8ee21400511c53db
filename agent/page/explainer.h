#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/serve/http_server.h"

namespace kubenatd::agent::page {

/// What became of a question: the JSON of `explain` or `trace`, or why there is none.
struct Explained {
  bool understood = true;  ///< the question is one
  std::string json;        ///< empty: there is no answer
  std::string error;
};
/// Answers "10.96.0.10:53/udp", as asked by "10.244.1.5", "node" or nobody in particular. Runs in a thread of its own.
using Explain = std::function<Explained(const std::string& to, const std::string& from)>;

/// Questions of the page about packets.
///
/// Purpose: an answer takes the objects and rules of the whole node, so it is neither the run loop's work nor that of a
/// lane: who asks is told 202 until the answer is there, and asks again. Threading: handler() in its lane; one thread
/// works at a time. Failure: one question at a time, another one is told 429, and so is one that comes less than the
/// pause after the last. A question that is still being worked on when this ends is left behind: it keeps what it uses,
/// and ends by itself. Cost: that of `kubenatd explain` or `trace`, at most once in a pause; nothing when nobody asks.
class Explainer {
 public:
  static constexpr std::chrono::milliseconds kPause{1000};
  static constexpr std::size_t kLongestQuestion = 512;

  /// `pause` lies between two questions.
  explicit Explainer(Explain explain, std::chrono::milliseconds pause = kPause);
  ~Explainer();
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  /// `to`, `from`, and `ask`, which tells questions apart that are the same.
  [[nodiscard]] serve::HttpResponse answer(const serve::HttpRequest& request);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace kubenatd::agent::page
