// csrc/backend/cpu/elementwise_loop.h -- feeds kernels over contiguous runs from operands of any strides
// Where operands are contiguous along the innermost merged axis, the kernel reads them in place, row by row. Where rows
// are short, blocks of kBlock elements in output order are collected first; an operand that repeats with a short period
// (a bias over channels) is collected once. The output is always row-major.
#pragma once

#include <array>

#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"

namespace nhwc::cpu {

inline constexpr int64_t kBlock = 1024;        // elements collected at a time: 8 KiB at most per operand, on the stack
inline constexpr int64_t kShortRow = 128;      // a kernel call and its loop's ends cost about as much as 100 elements
inline constexpr int64_t kCheapGrain = 32768;  // elements per piece of a parallel loop: some 10 us
inline constexpr int64_t kHeavyGrain = 8192;   // the same for exp and the like

constexpr bool is_heavy(UnaryKind k) {
  using enum UnaryKind;
  return (k >= exp && k <= erfinv) || k == silu || k == gelu;
}
constexpr bool is_heavy(BinaryKind k) {
  using enum BinaryKind;
  return k == power || k == remainder || k == logaddexp || k == arctan2;
}

/// Kernel: f(p, y, n, scalars) with one pointer per operand; bit i of `scalars` says that p[i] is one element.
template <int N, class F>
class ElementwiseLoop {
 public:
  /// `scalar_ok`: the operands that the kernel takes as one element, at most one of them at a time.
  ElementwiseLoop(const Node& n, int64_t grain, unsigned scalar_ok, const F& f)
      : n_(n), f_(f), grain_(grain), scalar_ok_(scalar_ok), item_(size_of(n.dtype)), total_(size_of(n.shape)) {
    for (int i = 0; i < N; ++i) {
      const Node& x = *n.inputs[static_cast<size_t>(i)].node();
      data_[i] = x.data();
      items_[i] = size_of(x.dtype);
      strides_[i] = &x.strides;
      flat_[i] = x.row_major;
    }
  }

  void run() {
    if (total_ == 0) return;
    if (all_flat()) {
      parallel_for(total_, grain_, [this](int64_t b, int64_t e) {
        std::array<const char*, N> p;
        for (int i = 0; i < N; ++i) p[i] = data_[i] + b * items_[i];
        f_(p.data(), out(b), e - b, 0u);
      });
      return;
    }
    loop_ = collapsed();
    if (copy_the_scattered()) loop_ = collapsed();
    if (loop_.ndim() == 1 || loop_.inner() >= kShortRow)
      by_rows();
    else
      by_blocks();
  }

 private:
  using Buffer = std::array<std::array<uint64_t, kBlock>, N>;

  char* out(int64_t i) const { return n_.data() + i * static_cast<int64_t>(item_); }
  bool all_flat() const {
    for (int i = 0; i < N; ++i)
      if (!flat_[i]) return false;
    return true;
  }
  Loop collapsed() const {
    if constexpr (N == 1)
      return collapse(n_.shape, {strides_[0]});
    else if constexpr (N == 2)
      return collapse(n_.shape, {strides_[0], strides_[1]});
    else
      return collapse(n_.shape, {strides_[0], strides_[1], strides_[2]});
  }
  int64_t inner_stride(int i) const { return loop_.strides[i].back(); }

  /// Large operands that are read across the grain (transposed ones) are copied by tiles first.
  bool copy_the_scattered() {
    bool any = false;
    for (int i = 0; i < N; ++i) {
      if (inner_stride(i) == 0 || inner_stride(i) == 1 || total_ < kCheapGrain) continue;
      copies_[i] = allocate(static_cast<size_t>(total_) * items_[i]);
      auto dst = static_cast<char*>(copies_[i]->data);
      dense_ = contiguous_strides(n_.shape);
      copy_strided(dst, dense_, data_[i], *strides_[i], n_.shape, items_[i]);
      data_[i] = dst;
      strides_[i] = &dense_;
      any = true;
    }
    return any;
  }

  void by_rows() {
    unsigned scalars = 0;
    bool collect = false;
    for (int i = 0; i < N; ++i) {
      const bool one = inner_stride(i) == 0 && (scalar_ok_ >> i & 1) && scalars == 0;
      scalars |= static_cast<unsigned>(one) << i;
      collect |= !one && inner_stride(i) != 1;
    }
    const int64_t inner = loop_.inner(), segment = std::min(inner, grain_), segments = (inner + segment - 1) / segment;
    parallel_for(total_ / inner * segments, std::max<int64_t>(1, grain_ / segment), [&](int64_t b, int64_t e) {
      Walk w(loop_, loop_.ndim() - 1, b / segments);
      for (int64_t s = b; s < e; ++s) {
        const int64_t from = s % segments * segment, to = std::min(from + segment, inner);
        if (collect)
          collected_row(w, s / segments * inner, from, to, scalars);
        else
          row(w, s / segments * inner, from, to, scalars);
        if (s % segments == segments - 1) w.next();
      }
    });
  }
  void row(const Walk& w, int64_t start, int64_t from, int64_t to, unsigned scalars) const {
    std::array<const char*, N> p;
    for (int i = 0; i < N; ++i) p[i] = data_[i] + (w.offset[i] + from * inner_stride(i)) * items_[i];
    f_(p.data(), out(start + from), to - from, scalars);
  }
  void collected_row(const Walk& w, int64_t start, int64_t from, int64_t to, unsigned scalars) const {
    Buffer buffer;
    for (int64_t at = from; at < to; at += kBlock) {
      const int64_t m = std::min(kBlock, to - at);
      std::array<const char*, N> p;
      for (int i = 0; i < N; ++i) {
        p[i] = data_[i] + (w.offset[i] + at * inner_stride(i)) * items_[i];
        if (inner_stride(i) == 1 || (scalars >> i & 1)) continue;
        visit_item(static_cast<size_t>(items_[i]), [&]<class T>(T*) {
          auto to_buffer = reinterpret_cast<T*>(buffer[i].data());
          auto x = reinterpret_cast<const T*>(p[i]);
          for (int64_t j = 0; j < m; ++j) to_buffer[j] = x[j * inner_stride(i)];
        });
        p[i] = reinterpret_cast<const char*>(buffer[i].data());
      }
      f_(p.data(), out(start + at), m, scalars);
    }
  }

  enum class Access { flat, periodic, gathered };
  /// Elements after which operand i repeats; 0: it does not, or later than kBlock.
  int64_t period(int i) const {
    int64_t p = 1;
    int a = loop_.ndim() - 1;
    while (a >= 0) {
      bool repeats = true;
      for (int o = 0; o <= a; ++o) repeats &= loop_.strides[i][o] == 0;
      if (repeats) return p <= kBlock ? p : 0;
      p *= loop_.shape[a--];
    }
    return 0;
  }
  void by_blocks() {
    std::array<Access, N> access;
    std::array<int64_t, N> periods;
    int64_t block = kBlock;
    for (int i = 0; i < N; ++i) {
      periods[i] = period(i);
      if (periods[i] > 0) block = std::min(block, kBlock / periods[i] * periods[i]);
    }
    for (int i = 0; i < N; ++i) {
      access[i] = periods[i] > 0 && block % periods[i] == 0 ? Access::periodic : Access::gathered;
      int64_t expect = 1;
      bool flat = true;
      for (int a = loop_.ndim() - 1; a >= 0; expect *= loop_.shape[a--]) flat &= loop_.strides[i][a] == expect;
      if (flat) access[i] = Access::flat;
    }
    parallel_for(total_, std::max<int64_t>(grain_ / block, 1) * block, [&](int64_t b, int64_t e) {
      Buffer buffer;
      for (int64_t at = b; at < e; at += block) {
        const int64_t m = std::min(block, e - at);
        std::array<const char*, N> p;
        for (int i = 0; i < N; ++i) {
          auto collected = reinterpret_cast<char*>(buffer[i].data());
          p[i] = access[i] == Access::flat ? data_[i] + at * items_[i] : collected;
          if (access[i] == Access::gathered || (access[i] == Access::periodic && at == b))
            gather(collected, data_[i], loop_, i, at, m, static_cast<size_t>(items_[i]));
        }
        f_(p.data(), out(at), m, 0u);
      }
    });
  }

  const Node& n_;
  const F& f_;
  int64_t grain_;
  unsigned scalar_ok_;
  size_t item_;
  int64_t total_;
  std::array<const char*, N> data_;
  std::array<int64_t, N> items_;
  std::array<const Strides*, N> strides_;
  std::array<bool, N> flat_;
  std::array<BufferRef, N> copies_;
  Strides dense_;
  Loop loop_;
};

/// Allocates n's storage or takes an input's, and computes it by the kernel.
template <int N, class F>
void run_elementwise(Node& n, bool may_reuse, int64_t grain, unsigned scalar_ok, const F& f) {
  if (take_or_allocate(n, may_reuse) < 0) {
    ElementwiseLoop<N, F>(n, grain, scalar_ok, f).run();
    return;
  }
  UninterruptedScope to_the_end;  // half of an input overwritten could not be computed again
  ElementwiseLoop<N, F>(n, grain, scalar_ok, f).run();
}

}  // namespace nhwc::cpu
