#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kubenatd::soak {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// What a fault may do to traffic.
enum class Harm : std::uint8_t {
  kNothing,  ///< no connection may notice it
  kNews,     ///< what the API server says comes late: connections go to endpoints of before, which still answer
  kRules,    ///< rules are missing or wrong: connections may fail
};

/// The faults of a run, when each of them stood, and what may be blamed on them.
///
/// Threading: any. Failure: none. Cost: memory for each fault; explain() looks at all.
class FaultLog {
 public:
  /// A fault that stands until this ends.
  class Window {
   public:
    Window(FaultLog& log, std::size_t number) : log_(&log), number_(number) {}
    Window(Window&& other) noexcept;
    Window& operator=(Window&&) = delete;
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    ~Window() { end({}); }
    /// Its harm may be felt for so long still.
    void end(Clock::duration slack);

   private:
    FaultLog* log_;
    std::size_t number_;
  };

  /// `counted` false: a consequence of another fault, which is no fault of its own.
  [[nodiscard]] Window begin(const std::string& kind, Harm harm, bool counted = true);
  /// A kind of fault that cannot be made here.
  void skip(const std::string& kind, const std::string& why);

  /// A fault that may do this harm, or a greater one up to `most`, and stood at a moment between the two: the last one
  /// of the least harm.
  [[nodiscard]] std::optional<std::string> explain(Harm harm, Time from, Time to, Harm most = Harm::kRules) const;
  /// Since when no fault has stood that does this harm or a greater one; `now` when one stands.
  [[nodiscard]] Time calm_since(Harm harm, Time now) const;
  /// The last faults, for whoever looks into a failure.
  [[nodiscard]] std::string recent(Time now) const;

  [[nodiscard]] std::map<std::string, std::size_t> counts() const;
  [[nodiscard]] std::map<std::string, std::string> skipped() const;

 private:
  struct Fault {
    std::string kind;
    Harm harm;
    Time begin;
    Time end = Time::max();
  };
  mutable std::mutex mutex_;
  std::deque<Fault> faults_;
  std::map<std::string, std::size_t> counts_;
  std::map<std::string, std::string> skipped_;
};

/// What kubenatd is to blame for. Threading: any.
class Complaints {
 public:
  /// Says it on stderr, the first ones in full.
  void add(const std::string& what);
  [[nodiscard]] std::size_t count() const;

 private:
  static constexpr std::size_t kShown = 20;
  mutable std::mutex mutex_;
  std::size_t count_ = 0;
};

[[nodiscard]] inline double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace kubenatd::soak
