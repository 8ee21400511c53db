#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::agent::state {

/// What of a Service is left out, each with the reason; the first few.
struct LeftOut {
  static constexpr std::size_t kMostLines = 4;
  std::vector<std::string> lines;  ///< "external IP 10.96.0.1:443/tcp is left out: it is the cluster IP of ..."
  std::size_t count = 0;
  bool operator==(const LeftOut&) const = default;

  /// Counts so many more; `line()` says which, and is asked only where there is room for its text.
  void add(std::size_t more, const auto& line) {
    count += more;
    if (lines.size() < kMostLines) lines.push_back(line());
  }
};

/// What is left out of which Service, and what of it is still to be told.
///
/// Purpose: a line is told when it comes, not at each change of its Service.
/// Threading: one thread. Failure: none.
/// Cost: a look-up for each Service that was looked at, and its lines where it has some.
class LeftOutServices {
 public:
  /// What is left out of the Service now; a count of 0: nothing any more.
  void set(const objects::ObjectKey& service, LeftOut now);

  [[nodiscard]] const std::map<objects::ObjectKey, LeftOut>& all() const { return all_; }
  /// Grows with each change of all().
  [[nodiscard]] std::size_t changes() const { return changes_; }
  /// Lines for people that were not told before.
  [[nodiscard]] std::vector<std::string> take_remarks() { return std::exchange(remarks_, {}); }

 private:
  std::map<objects::ObjectKey, LeftOut> all_;
  std::size_t changes_ = 0;
  std::vector<std::string> remarks_;
};

}  // namespace kubenatd::agent::state
