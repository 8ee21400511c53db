#pragma once

#include <optional>
#include <string>

/// Network namespaces of a test: unnamed, held by a descriptor, gone with the process.
namespace kubenatd::test {

/// An empty network namespace.
///
/// Threading: `fd()` may be used by any thread. Failure: throws std::runtime_error, which ends the test case.
class Namespace {
 public:
  /// A new one; the calling thread stays where it is. The loopback interface is up.
  [[nodiscard]] static Namespace create();
  Namespace(Namespace&& other) noexcept;
  Namespace& operator=(Namespace&& other) noexcept;
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace();

  [[nodiscard]] int fd() const { return fd_; }
  /// A path that `ip link ... netns PATH` takes.
  [[nodiscard]] std::string path() const;

 private:
  explicit Namespace(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Moves the calling thread into a namespace and back again at the end of the scope.
class Inside {
 public:
  explicit Inside(int namespace_fd);
  explicit Inside(const Namespace& where) : Inside(where.fd()) {}
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside();

 private:
  int home_ = -1;
};

/// Why this process cannot make network namespaces, or nothing when it can.
[[nodiscard]] std::optional<std::string> namespaces_missing();

/// Writes a value below /proc/sys of the namespace ("net/ipv4/ip_forward").
void set_sysctl(const Namespace& where, const std::string& name, const std::string& value);
[[nodiscard]] std::string get_sysctl(const Namespace& where, const std::string& name);

/// The number of transactions that changed nf_tables in the namespace (its generation id).
[[nodiscard]] unsigned nf_tables_generation(const Namespace& where);

}  // namespace kubenatd::test

/// Ends a test case that needs namespaces, with the line that counts it as skipped.
#define KUBENATD_NEEDS_NAMESPACES()                                    \
  do {                                                                 \
    if (const auto missing = ::kubenatd::test::namespaces_missing()) { \
      std::printf("SKIPPED: %s\n", missing->c_str());                  \
      return;                                                          \
    }                                                                  \
  } while (false)
