// csrc/backend/cpu/strided.h -- walking and copying memory by strides
#pragma once

#include <algorithm>

#include "backend/views.h"

namespace nhwc::cpu {

/// An odometer over the leading `axes` axes of a loop, with the element offset of every operand.
class Walk {
 public:
  /// Stands at the `start`-th position in row-major order of those axes.
  Walk(const Loop& loop, int axes, int64_t start);
  void next() {
    for (int a = axes_ - 1; a >= 0; --a) {
      for (int o = 0; o < loop_.operands; ++o) offset[o] += loop_.strides[o][a];
      if (++at_[a] < loop_.shape[a]) return;
      for (int o = 0; o < loop_.operands; ++o) offset[o] -= loop_.strides[o][a] * loop_.shape[a];
      at_[a] = 0;
    }
  }
  int64_t offset[kMaxOperands] = {};

 private:
  const Loop& loop_;
  int axes_;
  Dims at_;
};

/// dst[i] = src[i] for elements of `item` bytes (1, 2, 4 or 8) over `shape`; in parallel where it is large. The two
/// must not overlap. Transpositions go by square tiles.
void copy_strided(char* dst, const Strides& dst_strides, const char* src, const Strides& src_strides,
                  const Shape& shape, size_t item);

/// dst[0..count) = elements [start, start + count) in row-major order of operand `o` of the loop; on this thread.
void gather(char* dst, const char* src, const Loop& loop, int o, int64_t start, int64_t count, size_t item);

/// Fills dst with row-major copies of `x`.
void copy_row_major(char* dst, const Node& x);
/// Repeats the first `period` bytes until there are `bytes`.
void repeat(char* data, int64_t period, int64_t bytes);
/// `x` itself where it is row-major, else a row-major copy that lives as long as this.
class RowMajor {
 public:
  explicit RowMajor(const Node& x) : RowMajor(&x) {}
  explicit RowMajor(const Node* x);  // null: no data
  RowMajor(const RowMajor&) = delete;
  RowMajor& operator=(const RowMajor&) = delete;
  const char* data() const { return data_; }

 private:
  alignas(kAlignment) char small_[2048];
  Scratch large_;
  const char* data_;
};

/// True where `in`, of which n's computation holds all of `reads` handles, dies with it and nobody else sees its
/// storage, which has n's size and order.
bool can_take(const Node& n, const Node& in, uint32_t reads);
/// The same for input `i`, where only that input holds it.
inline bool can_take(const Node& n, size_t i) { return can_take(n, *n.inputs[i].node(), 1); }
/// Takes over the storage of the first input that can be taken, else allocates. Returns the input taken, or -1.
int take_or_allocate(Node& n, bool may_reuse);

/// Calls f(T*) with an unsigned integer type of `item` bytes: for code that only moves elements.
template <class F>
void visit_item(size_t item, F&& f) {
  switch (item) {
    case 1:
      f(static_cast<uint8_t*>(nullptr));
      break;
    case 2:
      f(static_cast<uint16_t*>(nullptr));
      break;
    case 4:
      f(static_cast<uint32_t*>(nullptr));
      break;
    default:
      f(static_cast<uint64_t*>(nullptr));
      break;
  }
}

/// About this many bytes per piece of a parallel loop: some 5 us at memory speed, against 1-2 us to hand a piece out.
inline constexpr int64_t kPieceBytes = 256 << 10;
inline int64_t grain_of(int64_t bytes_per_step) {
  return std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(bytes_per_step, 1));
}

}  // namespace nhwc::cpu
