#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace kubenatd::netlink {

/// Growing memory for a transaction of up to some 100 MB.
///
/// Purpose: unlike std::vector it does not clear memory that is written next, and it grows by realloc, which moves
/// pages instead of bytes when the buffer is large. Threading: none. Failure: std::bad_alloc. Cost: it grows by half
/// each time.
class MessageBuffer {
 public:
  [[nodiscard]] char* data() { return memory_.get(); }
  [[nodiscard]] const char* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  /// A place for up to `bytes` more bytes, at the end; add() then says how many were used.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(size_ + bytes);
    return memory_.get() + size_;
  }
  void add(std::size_t bytes) { size_ += bytes; }
  void shrink(std::size_t size) { size_ = size; }
  void release() {
    memory_.reset();
    size_ = capacity_ = 0;
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  void grow(std::size_t needed) {
    std::size_t capacity = capacity_ + capacity_ / 2;
    if (capacity < needed) capacity = needed;
    if (capacity < 4096) capacity = 4096;
    void* memory = std::realloc(memory_.get(), capacity);
    if (memory == nullptr) throw std::bad_alloc();
    (void)memory_.release();
    memory_.reset(static_cast<char*>(memory));
    capacity_ = capacity;
  }

  std::unique_ptr<char, Free> memory_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace kubenatd::netlink
