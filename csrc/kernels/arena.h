// csrc/kernels/arena.h -- the scratch of one thread in a loop nest: on the stack where it is small
#pragma once

#include "base/allocator.h"
#include "nhwc/error.h"

namespace nhwc {

/// Hands out aligned pieces of one block; nothing is freed before the arena is. Small ones cost no allocation.
class Arena {
 public:
  explicit Arena(size_t bytes)
      : heap_(bytes > sizeof stack_ ? bytes : 0), left_(bytes > sizeof stack_ ? bytes : sizeof stack_) {
    next_ = bytes > sizeof stack_ ? heap_.as<char>() : stack_;
  }
  template <class T>
  T* take(int64_t n) {
    const size_t bytes = (static_cast<size_t>(n) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    NHWC_CHECK(bytes <= left_, "a tile needs more scratch than the plan says");
    left_ -= bytes;
    char* p = next_;
    next_ += bytes;
    return reinterpret_cast<T*>(p);
  }

 private:
  alignas(kAlignment) char stack_[24 << 10];
  Scratch heap_;
  size_t left_;
  char* next_;
};

}  // namespace nhwc
