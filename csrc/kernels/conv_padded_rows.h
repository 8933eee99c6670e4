// csrc/kernels/conv_padded_rows.h -- copies of input rows with the padding beside them, made once for a chunk of tiles:
// every tile of the row finds its pixels evenly apart
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/arena.h"
#include "plan/conv_plan.h"

namespace nhwc {

/// A table of the rows that have been copied, by their offsets in the input.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const ConvPlan& plan, Arena& arena)
      : shape_(padded_rows(plan, plan.chunk_tiles)), size_(shape_.values(plan.problem)) {
    if (shape_.rows == 0) return;
    mask_ = std::bit_ceil(static_cast<uint64_t>(2 * shape_.rows)) - 1;
    slots_ = arena.take<Slot>(static_cast<int64_t>(mask_ + 1));
    data_ = arena.take<T>(shape_.rows * size_);
    std::fill_n(slots_, mask_ + 1, Slot{0, 0});
  }
  bool any() const { return shape_.rows > 0; }
  int64_t pixels() const { return shape_.pixels; }
  void clear() {
    ++chunk_;
    used_ = 0;
  }
  /// The copy of the row; copy(to) makes it where it is not there. nullptr: no room.
  template <class Copy>
  const T* find(int64_t row, Copy copy) {
    uint64_t i = static_cast<uint64_t>(row) * 0x9e3779b97f4a7c15u >> 32;
    for (;; ++i) {
      Slot& s = slots_[i & mask_];
      if (s.chunk == chunk_ && s.row == row) return data_ + s.place * size_;
      if (s.chunk == chunk_) continue;
      if (used_ == shape_.rows) return nullptr;
      s = {row, chunk_, used_++};
      copy(data_ + s.place * size_);
      return data_ + s.place * size_;
    }
  }

 private:
  struct Slot {
    int64_t row;
    int64_t chunk, place = 0;  // free where it is another chunk's
  };
  PaddedRowsShape shape_;
  int64_t size_, chunk_ = 1, used_ = 0;
  uint64_t mask_ = 0;
  Slot* slots_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace nhwc
