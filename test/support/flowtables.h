#pragma once

#include <cstdio>

#include "test/support/linux_release.h"
#include "test/support/process.h"

namespace kubenatd::test {

/// Whether the kernel has flowtables, by nft's own try.
[[nodiscard]] inline bool has_flowtables() {
  const Namespace where = Namespace::create();
  return run_in(where, {"nft", "-f", "-"},
                "table ip t {\n\tflowtable f { hook ingress priority 0; }\n"
                "\tchain c { type filter hook forward priority 0; flow add @f; }\n}\n")
             .status == 0;
}

}  // namespace kubenatd::test

/// Ends a test case of the fast path where there can be none, with the line that counts it as skipped.
#define KUBENATD_NEEDS_FLOWTABLES()                       \
  do {                                                    \
    KUBENATD_NEEDS_LINUX(6, 1, "the fast path");          \
    if (!::kubenatd::test::has_flowtables()) {            \
      std::puts("SKIPPED: the kernel has no flowtables"); \
      return;                                             \
    }                                                     \
  } while (false)
