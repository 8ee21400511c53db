#pragma once

#include <map>
#include <string>

#include "test/soak/agent.h"
#include "test/soak/figures.h"
#include "test/soak/run.h"

namespace kubenatd::soak {

/// The figures of a run.
struct Report {
  std::size_t changes = 0;
  std::size_t lives = 0;
  std::size_t ends = 0;     ///< of them, for want of memory
  std::size_t refused = 0;  ///< damage that the kernel did not allow
  bool owned = false;       ///< half of the lives owned their table
  std::map<std::string, Clock::duration> healing;
  Clock::duration no_news{};
  Usage start, end;
  std::size_t complaints = 0;

  void print(const RunOptions& options, const FaultLog& faults, const Figures::Summary& traffic) const;
};

}  // namespace kubenatd::soak
