// csrc/base/scratch_vec.h -- a vector kept inline, which grows into scratch: a kernel that has run takes no new memory
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/allocator.h"

namespace nhwc {

/// The first N elements need no scratch. For plain data, within one kernel.
template <class T, uint32_t N>
class ScratchVec {
  static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlignment);

 public:
  ScratchVec() = default;
  ScratchVec(size_t n, const T& fill) {
    while (size_ < n) push_back(fill);
  }
  ScratchVec(const ScratchVec&) = delete;
  ScratchVec& operator=(const ScratchVec&) = delete;

  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void push_back(T v) {
    if (size_ == capacity_) grow();
    new (data_ + size_++) T(std::move(v));
  }
  template <class... A>
  void emplace_back(A&&... args) {
    push_back(T(std::forward<A>(args)...));
  }
  void clear() { size_ = 0; }
  void resize(size_t n) {
    while (size_ < n) push_back(T());
    size_ = static_cast<uint32_t>(n);
  }
  template <class It>
  void append(It first, It last) {
    for (; first != last; ++first) push_back(T(*first));
  }

 private:
  [[gnu::noinline]] void grow() {
    std::optional<Scratch>& fresh = blocks_[1 - in_use_];
    fresh.emplace(2 * size_t(capacity_) * sizeof(T));
    std::uninitialized_copy(begin(), end(), fresh->as<T>());
    blocks_[in_use_].reset();
    in_use_ = 1 - in_use_;
    data_ = fresh->as<T>();
    capacity_ *= 2;
  }

  T* data_ = reinterpret_cast<T*>(inline_);
  uint32_t size_ = 0, capacity_ = N;
  int in_use_ = 0;
  std::optional<Scratch> blocks_[2];
  alignas(T) unsigned char inline_[N * sizeof(T)];
};

}  // namespace nhwc
