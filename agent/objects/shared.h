#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <utility>

namespace kubenatd::agent::objects {

/// A value that many hold alike, each with a pointer to it. One that equals T{} takes no memory.
/// Threading: as a shared_ptr to const. Failure: none. Cost: to compare, that of the values where they are not the
/// same.
template <class T>
class Shared {
 public:
  Shared() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): whoever has the value need not say that others may have it, too
  Shared(T value) : value_(value == T{} ? nullptr : std::make_shared<const T>(std::move(value))) {}

  const T& operator*() const {
    static const T kNone{};
    return value_ ? *value_ : kNone;
  }
  const T* operator->() const { return &**this; }
  bool operator==(const Shared& other) const { return value_ == other.value_ || **this == *other; }

 private:
  template <class>
  friend class SharedPool;
  std::shared_ptr<const T> value_;
};

/// Finds the values that are alike, so that they are in memory once.
/// Threading: one thread; what was shared may be held and let go by any. Failure: none. Cost: a search among those that
/// are held. What nobody holds any more goes when twice as many are known as were held the last time.
template <class T>
class SharedPool {
 public:
  void share(Shared<T>& one) {
    if (!one.value_) return;
    if (known_.size() >= limit_) forget();
    one.value_ = *known_.insert(one.value_).first;
  }
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  using Pointer = std::shared_ptr<const T>;
  struct ByValue {
    bool operator()(const Pointer& one, const Pointer& other) const { return *one < *other; }
  };
  void forget() {
    std::erase_if(known_, [](const Pointer& one) { return one.use_count() == 1; });
    limit_ = 2 * known_.size() + kFew;
  }

  static constexpr std::size_t kFew = 64;
  std::set<Pointer, ByValue> known_;
  std::size_t limit_ = kFew;
};

}  // namespace kubenatd::agent::objects
