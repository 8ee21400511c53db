#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "test/support/namespace.h"

/// Programs that a test runs, and the small things around them.
namespace kubenatd::test {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

struct ProcessResult {
  int status = 0;  ///< exit status, or 256 + signal
  std::string out;
  std::string err;
  [[nodiscard]] bool ok() const { return status == 0; }
  /// Both outputs and the status, for INFO().
  [[nodiscard]] std::string describe() const;
};

struct ProcessOptions {
  int namespace_fd = -1;  ///< network namespace of the child; -1: the caller's
  std::string input;
  std::chrono::milliseconds timeout{30'000};  ///< of run(): then it is killed and an exception thrown
  std::optional<uid_t> uid;                   ///< drop to this user and group, without other groups
};

/// How many times longer everything may take here: KUBENATD_TEST_PATIENCE, a number, for machines that are emulated.
/// All limits of this header, and those of an answer, count so many times.
[[nodiscard]] int patience();

/// A running program. Its outputs go to memory, so it never blocks on the test.
///
/// Threading: one thread. The child is killed when the thread that started it ends. Failure: the constructor throws;
/// a program that is not found exits with status 127. The destructor kills and reaps.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  void signal(int number) const;
  /// The result, when the child has ended within the time.
  [[nodiscard]] std::optional<ProcessResult> wait(std::chrono::milliseconds timeout);
  /// What it has written so far.
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;
  /// CPU time so far, of user and system together.
  [[nodiscard]] std::chrono::milliseconds cpu_time() const;

 private:
  pid_t pid_ = -1;
  Descriptor process_;
  Descriptor input_, out_, err_;
  std::optional<int> status_;
};

/// Runs a program to its end.
[[nodiscard]] ProcessResult run(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
[[nodiscard]] ProcessResult run_in(const Namespace& where, const std::vector<std::string>& arguments,
                                   std::string input = {});
/// As run_in, for steps that must succeed: throws with both outputs when they do not.
std::string must_run_in(const Namespace& where, const std::vector<std::string>& arguments, std::string input = {});

/// Calls `condition` until it holds; false when it does not within `limit`.
[[nodiscard]] bool eventually(const std::function<bool()>& condition,
                              std::chrono::milliseconds limit = std::chrono::seconds(10));

/// A folder of its own, readable by everyone, removed with its content.
class TempFolder {
 public:
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Puts a file in place in one step, so that a reader never sees half of it.
  std::filesystem::path write(const std::string& name, std::string_view text) const;
  void remove(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

[[nodiscard]] std::string read_file(const std::filesystem::path& path);
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);
/// Empty when both texts are equal; else the lines that only one of them has ("- was", "+ is"), or a word on the order.
[[nodiscard]] std::string changed_lines(std::string_view was, std::string_view is);

}  // namespace kubenatd::test
