// csrc/kernels/conv_padded_rows.h -- copies of input rows with the padding beside them, made once for a chunk of tiles:
// every tile of the row finds its pixels evenly apart
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/arena.h"
#include "kernels/conv.h"
#include "plan/conv_plan.h"

namespace nhwc {

/// Copies n pixels of a row without groups from iw on, which lie x_step apart, to adjacent places; zeros outside.
template <class T>
void copy_pixels(const ConvProblem& q, const T* row, int64_t x_step, int64_t iw, int64_t n, T* to) {
  const int64_t begin = std::clamp<int64_t>(-iw, 0, n), end = std::clamp<int64_t>(q.in[2] - iw, begin, n), c = q.c;
  std::fill_n(to, begin * c, T{});
  const T* from = row + (iw + begin) * x_step;
  if (x_step == c)
    std::memcpy(to + begin * c, from, static_cast<size_t>((end - begin) * c) * sizeof(T));
  else
    for (int64_t i = 0; i < end - begin; ++i)
      std::memcpy(to + (begin + i) * c, from + i * x_step, static_cast<size_t>(c) * sizeof(T));
  std::fill_n(to + end * c, (n - end) * c, T{});
}

/// A table of the rows that have been copied, by their offsets in the input.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const CpuPlan& plan, const ConvOperands& a, Arena& arena)
      : q_(plan.problem),
        x_(static_cast<const T*>(a.x)),
        x_step_(a.x_stride[3]),
        shape_(padded_rows(plan, plan.chunk_tiles)) {
    if (shape_.rows == 0) return;
    mask_ = std::bit_ceil(static_cast<uint64_t>(2 * shape_.rows)) - 1;
    slots_ = arena.take<Slot>(static_cast<int64_t>(mask_ + 1));
    data_ = arena.take<T>(shape_.rows * shape_.pixels * q_.c);
    std::fill_n(slots_, mask_ + 1, Slot{0, 0, 0});
  }
  bool any() const { return shape_.rows > 0; }
  void clear() {
    ++chunk_;
    used_ = 0;
  }
  /// Where the first pixel of the row at this offset lies in its copy, all channels of a pixel adjacent; nullptr where
  /// there is no room for one.
  const T* find(int64_t row) {
    uint64_t i = static_cast<uint64_t>(row) * 0x9e3779b97f4a7c15u >> 32;
    while (slots_[i & mask_].chunk == chunk_ && slots_[i & mask_].row != row) ++i;
    Slot& s = slots_[i & mask_];
    if (s.chunk != chunk_) {
      if (used_ == shape_.rows) return nullptr;
      s = {row, chunk_, used_++};
      copy_pixels(q_, x_ + row, x_step_, -q_.pad[2], shape_.pixels, data_ + s.place * shape_.pixels * q_.c);
    }
    return data_ + (s.place * shape_.pixels + q_.pad[2]) * q_.c;
  }

 private:
  struct Slot {
    int64_t row, chunk, place;  // free where it is another chunk's
  };
  const ConvProblem& q_;
  const T* x_;
  int64_t x_step_;
  PaddedRowsShape shape_;
  int64_t chunk_ = 1, used_ = 0;
  uint64_t mask_ = 0;
  Slot* slots_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace nhwc
