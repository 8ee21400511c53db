#include "agent/serve/metric_buckets.h"

namespace kubenatd::agent::serve {

std::vector<double> sync_buckets() {
  std::vector<double> buckets;
  double bound = 0.001;
  for (int i = 0; i < 15; ++i, bound *= 2) buckets.push_back(bound);
  return buckets;
}

std::vector<double> programming_buckets() {
  std::vector<double> buckets{0.25, 0.5};
  for (int i = 1; i <= 59; ++i) buckets.push_back(i);
  for (int i = 60; i <= 115; i += 5) buckets.push_back(i);
  for (int i = 120; i <= 300; i += 30) buckets.push_back(i);
  return buckets;
}

}  // namespace kubenatd::agent::serve
