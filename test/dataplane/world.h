#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "agent/dataplane/kernel.h"
#include "netlink/core/nf_tables.h"

namespace kubenatd::test {
class FakeKernel;
}  // namespace kubenatd::test

namespace kubenatd::agent::test {

/// Where a case of the sync runs: the kernel in a network namespace of its own, with the real programs, or a kernel in
/// memory, with programs that do the same to it. A case sees no difference, and so the fake cannot lie.
///
/// Threading: one thread, but kernel().connect() may be called by any. Failure: exceptions, which end the case. Cost:
/// real programs are started, a few milliseconds each.
class World {
 public:
  virtual ~World() = default;
  [[nodiscard]] virtual dataplane::Kernel& kernel() = 0;
  /// For orders of what is to go wrong; none: this is the real kernel.
  [[nodiscard]] virtual kubenatd::test::FakeKernel* fake() = 0;
  /// Runs a program, which must succeed; what it printed.
  virtual std::string run(const std::vector<std::string>& words, const std::string& input) = 0;
};

/// The world of the running case.
[[nodiscard]] World& world();

/// Leaves the world of before and enters an empty one. KUBENATD_TEST_KERNEL says which: "real", "fake", or unset: the
/// real one where the rights and programs are there. False, and a line "SKIPPED: ...", when the real one is asked for
/// and is not to be had.
[[nodiscard]] bool enter_fresh_world();

/// A conversation with the world's kernel.
[[nodiscard]] netlink::NfTables open_tables();
/// Number of transactions that changed nf_tables.
[[nodiscard]] std::uint32_t generation();
/// Runs a program in the world; it must succeed.
std::string must_run(const std::vector<std::string>& words, const std::string& input = {});
/// Splits at blanks: for commands without quoting.
std::string must_run(const std::string& command);
/// From now on -m recent is refused, as Linux does it by itself for --reap without a time (recent_mt_check,
/// net/netfilter/xt_recent.c, 6.18). The kernel in memory knows nothing of that.
void refuse_recent();

}  // namespace kubenatd::agent::test

/// Begins a case in a world of its own, or skips it.
#define SYNC_TEST_WORLD() \
  if (!::kubenatd::agent::test::enter_fresh_world()) return

/// The same for a case that only the real kernel can tell, and says why. Such a case has the tag [real].
#define REAL_WORLD_ONLY(why)                                 \
  SYNC_TEST_WORLD();                                         \
  do {                                                       \
    if (::kubenatd::agent::test::world().fake()) {           \
      std::printf("SKIPPED: on the fake kernel: " why "\n"); \
      return;                                                \
    }                                                        \
  } while (false)

/// The same for a case with errors on order. Such a case has the tag [fake].
#define FAKE_WORLD_ONLY(why)                                 \
  SYNC_TEST_WORLD();                                         \
  do {                                                       \
    if (!::kubenatd::agent::test::world().fake()) {          \
      std::printf("SKIPPED: on the real kernel: " why "\n"); \
      return;                                                \
    }                                                        \
  } while (false)
