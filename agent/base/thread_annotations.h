#pragma once

#include <mutex>

/// What Clang's -Wthread-safety is told about locks (scripts/tidy.sh makes its findings errors). Nothing to g++.
#if defined(__clang__)
#define KUBENATD_THREAD_ANNOTATION(annotation) __attribute__((annotation))
#else
#define KUBENATD_THREAD_ANNOTATION(annotation)
#endif

/// A class whose objects are locks, and one that holds a lock as long as it lives.
#define KUBENATD_CAPABILITY(name) KUBENATD_THREAD_ANNOTATION(capability(name))
#define KUBENATD_SCOPED_CAPABILITY KUBENATD_THREAD_ANNOTATION(scoped_lockable)
/// On a member: to be used only with this mutex held.
#define KUBENATD_GUARDED_BY(mutex) KUBENATD_THREAD_ANNOTATION(guarded_by(mutex))
/// On a function: its caller holds the mutex; its caller must not hold it, as it takes it itself.
#define KUBENATD_REQUIRES(...) KUBENATD_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define KUBENATD_EXCLUDES(...) KUBENATD_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
/// On a function: it takes the mutex and keeps it; it gives it back; afterwards it is known to be held.
#define KUBENATD_ACQUIRE(...) KUBENATD_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define KUBENATD_RELEASE(...) KUBENATD_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define KUBENATD_ASSERTS(...) KUBENATD_THREAD_ANNOTATION(assert_capability(__VA_ARGS__))

namespace kubenatd::agent::base {

/// std::mutex with annotations, which libstdc++'s does not have.
///
/// Threading: any. Failure: none. Cost: as std::mutex.
class KUBENATD_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() KUBENATD_ACQUIRE() { mutex_.lock(); }
  void unlock() KUBENATD_RELEASE() { mutex_.unlock(); }
  /// For predicates of condition variables: they run with the mutex held, which Clang cannot see.
  void is_held() const KUBENATD_ASSERTS(this) {}

 private:
  std::mutex mutex_;
};

/// Holds a Mutex while it lives, but for what lies between unlock() and lock(). Can be given to
/// std::condition_variable_any.
///
/// Threading: one thread. Failure: none. Cost: as std::unique_lock.
class KUBENATD_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) KUBENATD_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() KUBENATD_RELEASE() {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void lock() KUBENATD_ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }
  void unlock() KUBENATD_RELEASE() {
    held_ = false;
    mutex_.unlock();
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

}  // namespace kubenatd::agent::base
