#pragma once

#include <cstddef>

/// Bounds on what a text may make the reader do.
namespace kubenatd::rules::walk::nft {

/// Of one list, concatenation or chain of operations, out of a set.
inline constexpr std::size_t kMaxParts = 64;

/// Counts how deep brackets are.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  Deeper(Deeper&&) = delete;
  Deeper& operator=(Deeper&&) = delete;
  [[nodiscard]] bool too_deep() const { return depth_ > kMostDeep; }

 private:
  static constexpr int kMostDeep = 16;  ///< nft itself writes two
  int& depth_;
};

}  // namespace kubenatd::rules::walk::nft
