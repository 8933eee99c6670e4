// csrc/backend/cpu/strided.cpp -- walking and copying memory by strides
#include "backend/cpu/strided.h"

#include <cstring>

#include "base/thread_pool.h"

namespace nhwc::cpu {

Loop collapse(const Shape& shape, std::initializer_list<const Strides*> strides) {
  Loop l;
  l.operands = static_cast<int>(strides.size());
  const Strides* const* s = strides.begin();
  for (size_t a = 0; a < shape.size(); ++a) {
    if (shape[a] == 1) continue;
    bool merge = !l.shape.empty();
    for (int o = 0; merge && o < l.operands; ++o) merge = l.strides[o].back() == (*s[o])[a] * shape[a];
    if (merge) {
      l.shape.back() *= shape[a];
      for (int o = 0; o < l.operands; ++o) l.strides[o].back() = (*s[o])[a];
    } else {
      l.shape.push_back(shape[a]);
      for (int o = 0; o < l.operands; ++o) l.strides[o].push_back((*s[o])[a]);
    }
  }
  if (l.shape.empty()) {
    l.shape.push_back(1);
    for (int o = 0; o < l.operands; ++o) l.strides[o].push_back(1);
  }
  return l;
}

Walk::Walk(const Loop& loop, int axes, int64_t start) : loop_(loop), axes_(axes), at_(static_cast<size_t>(axes), 0) {
  for (int a = axes - 1; a >= 0; --a) {
    at_[a] = start % loop.shape[a];
    start /= loop.shape[a];
    for (int o = 0; o < loop.operands; ++o) offset[o] += at_[a] * loop.strides[o][a];
  }
}

namespace {

template <class T>
void copy_row(T* dst, int64_t ds, const T* src, int64_t ss, int64_t n) {
  if (ds == 1 && ss == 1) {
    std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
  } else if (ss == 0 && ds == 1) {
    std::fill_n(dst, n, *src);
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * ds] = src[i * ss];
  }
}

/// Axes p and q of a loop of two operands, copied by tiles whose lines stay in L1 on both sides.
template <class T>
void copy_tiled(T* dst, const T* src, int64_t np, int64_t nq, const int64_t dp_dq_sp_sq[4]) {
  constexpr int64_t tile = 64 / static_cast<int64_t>(sizeof(T)) * 2;
  const auto [dp, dq, sp, sq] = std::make_tuple(dp_dq_sp_sq[0], dp_dq_sp_sq[1], dp_dq_sp_sq[2], dp_dq_sp_sq[3]);
  for (int64_t p0 = 0; p0 < np; p0 += tile)
    for (int64_t q0 = 0; q0 < nq; q0 += tile) {
      const int64_t p1 = std::min(p0 + tile, np), q1 = std::min(q0 + tile, nq);
      for (int64_t p = p0; p < p1; ++p)
        for (int64_t q = q0; q < q1; ++q) dst[p * dp + q * dq] = src[p * sp + q * sq];
    }
}

/// The axis other than the last along which the source is adjacent, where reading along the last is not; -1: none.
int tiled_axis(const Loop& l) {
  const int last = l.ndim() - 1;
  if (last < 1 || l.strides[1][last] == 1 || l.strides[1][last] == 0) return -1;
  for (int a = 0; a < last; ++a)
    if (l.strides[1][a] == 1 && l.shape[a] >= 4) return a;
  return -1;
}

Loop moved_to_last_but_one(const Loop& l, int axis) {
  Loop m = l;
  for (int a = axis; a + 2 < l.ndim(); ++a) {
    std::swap(m.shape[a], m.shape[a + 1]);
    for (int o = 0; o < l.operands; ++o) std::swap(m.strides[o][a], m.strides[o][a + 1]);
  }
  return m;
}

template <class T>
void copy_by_tiles(T* dst, const T* src, const Loop& l) {
  const int last = l.ndim() - 1;
  const int64_t np = l.shape[last - 1], nq = l.shape[last];
  int64_t planes = 1;
  for (int a = 0; a < last - 1; ++a) planes *= l.shape[a];
  // A plane is cut along p into strips, so that one large transposition runs on all threads.
  const int64_t strip = std::min(np, std::max<int64_t>(64, grain_of(nq * static_cast<int64_t>(sizeof(T))) / 64 * 64));
  const int64_t strips = (np + strip - 1) / strip;
  const int64_t steps[4] = {l.strides[0][last - 1], l.strides[0][last], l.strides[1][last - 1], l.strides[1][last]};
  parallel_for(planes * strips, grain_of(strip * nq * static_cast<int64_t>(sizeof(T))), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      Walk w(l, last - 1, i / strips);
      const int64_t p = i % strips * strip;
      copy_tiled(dst + w.offset[0] + p * steps[0], src + w.offset[1] + p * steps[2], std::min(strip, np - p), nq, steps);
    }
  });
}

template <class T>
void copy_by_rows(T* dst, const T* src, const Loop& l) {
  const int last = l.ndim() - 1;
  const int64_t n = l.inner(), ds = l.strides[0][last], ss = l.strides[1][last];
  if (last == 0) {  // one long row: cut it
    parallel_for(n, grain_of(sizeof(T)), [&](int64_t b, int64_t e) { copy_row(dst + b * ds, ds, src + b * ss, ss, e - b); });
    return;
  }
  int64_t rows = 1;
  for (int a = 0; a < last; ++a) rows *= l.shape[a];
  parallel_for(rows, grain_of(n * static_cast<int64_t>(sizeof(T))), [&](int64_t b, int64_t e) {
    Walk w(l, last, b);
    for (int64_t r = b; r < e; ++r, w.next()) copy_row(dst + w.offset[0], ds, src + w.offset[1], ss, n);
  });
}

}  // namespace

void copy_strided(char* dst, const Strides& dst_strides, const char* src, const Strides& src_strides, const Shape& shape,
                  size_t item) {
  if (size_of(shape) == 0) return;
  const Loop l = collapse(shape, {&dst_strides, &src_strides});
  const int axis = tiled_axis(l);
  visit_item(item, [&]<class T>(T*) {
    auto d = reinterpret_cast<T*>(dst);
    auto s = reinterpret_cast<const T*>(src);
    if (axis >= 0) copy_by_tiles(d, s, moved_to_last_but_one(l, axis));
    else copy_by_rows(d, s, l);
  });
}

void gather(char* dst, const char* src, const Loop& l, int o, int64_t start, int64_t count, size_t item) {
  const int last = l.ndim() - 1;
  const int64_t n = l.inner(), step = l.strides[o][last];
  Walk w(l, last, start / n);
  int64_t skip = start % n;
  visit_item(item, [&]<class T>(T*) {
    auto d = reinterpret_cast<T*>(dst);
    auto s = reinterpret_cast<const T*>(src);
    while (count > 0) {
      const int64_t m = std::min(n - skip, count);
      const T* from = s + w.offset[o] + skip * step;
      if (m < 16) {
        for (int64_t i = 0; i < m; ++i) d[i] = from[i * step];
      } else {
        copy_row(d, 1, from, step, m);
      }
      d += m;
      count -= m;
      skip = 0;
      w.next();
    }
  });
}

void copy_row_major(char* dst, const Node& x) {
  copy_strided(dst, contiguous_strides(x.shape), x.data(), x.strides, x.shape, size_of(x.dtype));
}

RowMajor::RowMajor(const Node& x) {
  if (x.row_major) {
    data_ = x.data();
    return;
  }
  copy_ = allocate(static_cast<size_t>(size_of(x.shape)) * size_of(x.dtype));
  copy_row_major(static_cast<char*>(copy_->data), x);
  data_ = static_cast<const char*>(copy_->data);
}

Shape without_axis(const Dims& d, int axis) {
  Dims r = d;
  r.erase(static_cast<size_t>(axis));
  return r;
}

bool can_take(const Node& n, size_t i) {
  const Node& in = *n.inputs[i].node();
  // What was derived from the contents (packed weights) would go on being found; a lent or exported block is not ours.
  return in.row_major && in.refs.load(std::memory_order_acquire) == 1 && in.buffer->owned && !in.buffer->derived &&
         in.buffer->immutable.load(std::memory_order_relaxed) && in.buffer->refs.load(std::memory_order_acquire) == 1 &&
         size_of(in.dtype) == size_of(n.dtype) && in.shape == n.shape &&
         in.buffer->bytes <= 2 * static_cast<size_t>(size_of(n.shape)) * size_of(n.dtype) + 256;  // no scrap of a large block
}

int take_or_allocate(Node& n, bool may_reuse) {
  if (may_reuse)
    for (size_t i = 0; i < n.inputs.size(); ++i)
      if (can_take(n, i)) {
        const Node& in = *n.inputs[i].node();
        share_storage(n, in, contiguous_strides(n.shape), in.offset);
        return static_cast<int>(i);
      }
  allocate_output(n);
  return -1;
}

}  // namespace nhwc::cpu
