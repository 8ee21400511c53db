#pragma once

#include <cstddef>
#include <string>

/// A run of one mode, from an empty node to the look at the end.
namespace kubenatd::soak {

struct RunOptions {
  std::string program;
  std::string mode;
  unsigned seed = 1;
  double minutes = 1;
  unsigned services = 2000;
  int rate = 300;    ///< new connections a second
  int changes = 40;  ///< changes of objects a second
  std::string logs;  ///< folder for the agent's logs; empty: none
};

/// Prints what happened. Returns how many times kubenatd is to blame. Failure: throws when the machine does not let it.
[[nodiscard]] std::size_t soak(const RunOptions& options);

}  // namespace kubenatd::soak
