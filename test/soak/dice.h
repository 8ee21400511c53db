#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <random>

namespace kubenatd::soak {

/// Chance from a seed: the same answers for the same questions. Threading: one thread; each has dice of its own.
class Dice {
 public:
  /// `who` makes the dice of several threads different.
  Dice(unsigned seed, unsigned who) : random_(seed * 1'000'003U + who) {}

  [[nodiscard]] unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  [[nodiscard]] bool one_in(unsigned count) { return below(count) == 0; }
  [[nodiscard]] std::chrono::milliseconds between(std::chrono::milliseconds least, std::chrono::milliseconds most) {
    return least + std::chrono::milliseconds(below(static_cast<unsigned>((most - least).count()) + 1));
  }
  template <typename List>
  [[nodiscard]] auto& one_of(List& list) {
    return list[below(static_cast<unsigned>(std::size(list)))];
  }

 private:
  std::mt19937 random_;
};

}  // namespace kubenatd::soak
