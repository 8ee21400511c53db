#include "rules/walk/expression.h"

#include <algorithm>
#include <type_traits>

namespace kubenatd::rules::walk {
namespace {

/// Trees share their branches: one whose levels each name the one below twice has 2^depth paths, and whoever wrote the
/// rule may be hostile.
constexpr std::size_t kMostSteps = 100'000;

class Comparison {
 public:
  [[nodiscard]] bool same(const ExpressionPtr& one, const ExpressionPtr& other) {
    if (one == other) return true;
    if (one == nullptr || other == nullptr || one->what.index() != other->what.index()) return false;
    if (++steps_ > kMostSteps) return false;
    return std::visit(
        [&](const auto& left) { return equal(left, std::get<std::decay_t<decltype(left)>>(other->what)); }, one->what);
  }

 private:
  template <class Leaf>
  [[nodiscard]] static bool equal(const Leaf& one, const Leaf& other) {
    return one == other;
  }
  [[nodiscard]] bool equal(const Bits& one, const Bits& other) {
    return one.mask == other.mask && one.flip == other.flip && same(one.of, other.of);
  }
  [[nodiscard]] bool equal(const BitsOfTwo& one, const BitsOfTwo& other) {
    return one.operation == other.operation && same(one.of, other.of) && same(one.other, other.other);
  }
  [[nodiscard]] bool equal(const Shift& one, const Shift& other) {
    return one.left == other.left && one.by == other.by && same(one.of, other.of);
  }
  [[nodiscard]] bool equal(const Swap& one, const Swap& other) {
    return one.unit == other.unit && same(one.of, other.of);
  }
  [[nodiscard]] bool equal(const Concat& one, const Concat& other) {
    return std::ranges::equal(one.parts, other.parts,
                              [this](const auto& left, const auto& right) { return same(left, right); });
  }
  [[nodiscard]] bool equal(const Slice& one, const Slice& other) {
    return one.offset == other.offset && one.size == other.size && same(one.of, other.of);
  }
  [[nodiscard]] bool equal(const MapLookup& one, const MapLookup& other) {
    return one.map == other.map && one.size == other.size && same(one.key, other.key);
  }
  [[nodiscard]] bool equal(const Draw& one, const Draw& other) {
    return one.kind == other.kind && one.modulus == other.modulus && one.offset == other.offset &&
           one.seed == other.seed && same(one.of, other.of);
  }

  std::size_t steps_ = 0;
};

}  // namespace

bool same(const ExpressionPtr& one, const ExpressionPtr& other) {
  return Comparison().same(one, other);
}

}  // namespace kubenatd::rules::walk
