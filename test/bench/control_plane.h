#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "test/bench/api_connection.h"
#include "test/support/namespace.h"
#include "test/support/process.h"

namespace kubenatd::bench {

/// CPU seconds of a process so far, with those of the programs that it runs and has run.
[[nodiscard]] double cpu_seconds_of(pid_t process);
/// A line of /proc/PID/status that counts kB ("VmRSS:", "VmHWM:"), in MB.
[[nodiscard]] double memory_of(pid_t process, std::string_view field);

/// A real API server with its etcd, in a network namespace to which nodes are linked, and the cluster of make_cluster()
/// in it, as large as wanted.
///
/// Threading: one thread; connect() may be used by several. Failure: throws std::runtime_error with what the programs
/// have said. Cost: some seconds to start, and some milliseconds for each Service.
class ControlPlane {
 public:
  /// `programs`: the folder with kube-apiserver; etcd is that of PATH.
  explicit ControlPlane(const std::filesystem::path& programs);
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;
  ~ControlPlane();

  /// Adds Services until there are so many. There is no way back.
  void grow(std::size_t services);
  /// Replaces the slice of one Service, by a slice with so many endpoints.
  void change(ApiConnection& connection, std::size_t service, std::size_t endpoints, std::size_t variant) const;
  [[nodiscard]] ApiConnection connect() const;
  /// A kubeconfig for a node.
  [[nodiscard]] std::filesystem::path kubeconfig() const { return folder_.path() / "kubeconfig"; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  /// CPU seconds of the API server alone.
  [[nodiscard]] double cpu() const { return cpu_seconds_of(server_->pid()); }
  /// Links a node's namespace as its eth0, with an address of its own for each number from 0 on.
  void link(const test::Namespace& node, std::size_t number) const;

  static constexpr std::size_t kEndpoints = 4;  ///< of a Service

 private:
  void wait_until_ready();

  test::Namespace network_ = test::Namespace::create();
  test::TempFolder folder_;
  std::optional<test::Child> etcd_, server_;
  std::size_t services_ = 0;
};

}  // namespace kubenatd::bench
