// csrc/backend/cpu/strided.cpp -- walking and copying memory by strides
#include "backend/cpu/strided.h"

#include <cstring>

#include "base/thread_pool.h"

namespace nhwc::cpu {

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
    typedef T V __attribute__((vector_size(16)));
    constexpr int64_t lanes = 16 / static_cast<int64_t>(sizeof(T));
    const V v = V{} + *src;
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) std::memcpy(dst + i, &v, sizeof v);
    for (; i < n; ++i) dst[i] = *src;
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * ds] = src[i * ss];
  }
}

/// y[p * ys + q] = x[q * xs + p] for 4 x 4 elements.
template <class T>
void transpose_4x4(T* y, int64_t ys, const T* x, int64_t xs) {
  typedef T V __attribute__((vector_size(4 * sizeof(T))));
  V r[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&r[i], x + i * xs, sizeof(V));
  const V ab_lo = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
          ab_hi = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const V cd_lo = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
          cd_hi = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(ab_lo, cd_lo, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(ab_lo, cd_lo, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(ab_hi, cd_hi, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(ab_hi, cd_hi, 2, 3, 6, 7);
  for (int i = 0; i < 4; ++i) std::memcpy(y + i * ys, &r[i], sizeof(V));
}

/// y[p * yp + q * yq] = x[p + q * xq] for np x nq elements. By tiles through a buffer, so that memory is read and
/// written in runs of some lines and no power of two among the strides makes them share a cache set.
template <class T>
void copy_tiled(T* y, const T* x, int64_t np, int64_t nq, int64_t yp, int64_t yq, int64_t xq) {
  constexpr int64_t tile = sizeof(T) < 8 ? 64 : 32, width = tile + 16 / static_cast<int64_t>(sizeof(T));
  T buffer[tile * width];
  for (int64_t q0 = 0; q0 < nq; q0 += tile)
    for (int64_t p0 = 0; p0 < np; p0 += tile) {
      const int64_t pn = std::min(tile, np - p0), qn = std::min(tile, nq - q0);
      for (int64_t q = 0; q < qn; ++q)
        std::memcpy(buffer + q * width, x + p0 + (q0 + q) * xq, static_cast<size_t>(pn) * sizeof(T));
      T* to = y + p0 * yp + q0 * yq;
      const int64_t p4 = yq == 1 ? pn / 4 * 4 : 0, q4 = qn / 4 * 4;
      for (int64_t p = 0; p < p4; p += 4) {
        for (int64_t q = 0; q < q4; q += 4) transpose_4x4(to + p * yp + q, yp, buffer + q * width + p, width);
        for (int64_t i = p; i < p + 4; ++i)
          for (int64_t q = q4; q < qn; ++q) to[i * yp + q] = buffer[q * width + i];
      }
      for (int64_t p = p4; p < pn; ++p)
        for (int64_t q = 0; q < qn; ++q) to[p * yp + q * yq] = buffer[q * width + p];
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
  // A plane is cut both ways into pieces of up to 64 K elements, so that one large transposition runs on all threads.
  const int64_t p_cut = std::min<int64_t>(np, 1024),
                q_cut = std::min(nq, std::max<int64_t>(64, 65536 / p_cut / 64 * 64));
  const int64_t p_cuts = (np + p_cut - 1) / p_cut, q_cuts = (nq + q_cut - 1) / q_cut, cuts = p_cuts * q_cuts;
  const int64_t yp = l.strides[0][last - 1], yq = l.strides[0][last], xq = l.strides[1][last];
  parallel_for(planes * cuts, std::max<int64_t>(1, 65536 / (p_cut * q_cut)), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      Walk w(l, last - 1, i / cuts);
      const int64_t p = i % cuts % p_cuts * p_cut, q = i % cuts / p_cuts * q_cut;
      copy_tiled(dst + w.offset[0] + p * yp + q * yq, src + w.offset[1] + p + q * xq, std::min(p_cut, np - p),
                 std::min(q_cut, nq - q), yp, yq, xq);
    }
  });
}

template <class T>
void copy_by_rows(T* dst, const T* src, const Loop& l) {
  const int last = l.ndim() - 1;
  const int64_t n = l.inner(), ds = l.strides[0][last], ss = l.strides[1][last];
  if (last == 0) {  // one long row: cut it
    parallel_for(n, grain_of(sizeof(T)),
                 [&](int64_t b, int64_t e) { copy_row(dst + b * ds, ds, src + b * ss, ss, e - b); });
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

void copy_strided(char* dst, const Strides& dst_strides, const char* src, const Strides& src_strides,
                  const Shape& shape, size_t item) {
  if (size_of(shape) == 0) return;
  const Loop l = collapse(shape, {&dst_strides, &src_strides});
  const int axis = tiled_axis(l);
  visit_item(item, [&]<class T>(T*) {
    auto d = reinterpret_cast<T*>(dst);
    auto s = reinterpret_cast<const T*>(src);
    if (axis >= 0)
      copy_by_tiles(d, s, moved_to_last_but_one(l, axis));
    else
      copy_by_rows(d, s, l);
  });
}

namespace {

/// Short rows: without the call of memcpy.
template <class T>
void copy_short_row(T* dst, const T* src, int64_t step, int64_t n) {
  if (step == 1 && n * static_cast<int64_t>(sizeof(T)) % 16 == 0) {
    for (int64_t i = 0; i < n; i += 16 / static_cast<int64_t>(sizeof(T))) std::memcpy(dst + i, src + i, 16);
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * step];
  }
}

}  // namespace

void gather(char* dst, const char* src, const Loop& l, int o, int64_t start, int64_t count, size_t item) {
  const int last = l.ndim() - 1;
  const int64_t n = l.inner(), step = l.strides[o][last];
  const int64_t rows = last > 0 ? l.shape[last - 1] : 1, row_step = last > 0 ? l.strides[o][last - 1] : 0;
  Walk w(l, std::max(last - 1, 0), start / n / rows);
  int64_t row = start / n % rows, skip = start % n;
  visit_item(item, [&]<class T>(T*) {
    auto d = reinterpret_cast<T*>(dst);
    for (; count > 0; w.next(), row = 0) {
      const T* from = reinterpret_cast<const T*>(src) + w.offset[o] + row * row_step;
      for (; row < rows && count > 0; ++row, from += row_step, skip = 0) {
        const int64_t m = std::min(n - skip, count);
        if (m <= 64)
          copy_short_row(d, from + skip * step, step, m);
        else
          copy_row(d, 1, from + skip * step, step, m);
        d += m;
        count -= m;
      }
    }
  });
}

void copy_row_major(char* dst, const Node& x) {
  copy_strided(dst, contiguous_strides(x.shape), x.data(), x.strides, x.shape, size_of(x.dtype));
}

namespace {

size_t bytes_to_copy(const Node* x) {
  return !x || x->row_major ? 0 : static_cast<size_t>(size_of(x->shape)) * size_of(x->dtype);
}

}  // namespace

RowMajor::RowMajor(const Node* x)
    : large_(bytes_to_copy(x) > sizeof small_ ? bytes_to_copy(x) : 0), data_(x ? x->data() : nullptr) {
  if (!x || x->row_major) return;
  char* copy = large_.as<char>() ? large_.as<char>() : small_;
  copy_row_major(copy, *x);
  data_ = copy;
}

void repeat(char* data, int64_t period, int64_t bytes) {
  for (int64_t done = period; done < bytes; done *= 2)
    std::memcpy(data + done, data, static_cast<size_t>(std::min(done, bytes - done)));
}

bool can_take(const Node& n, const Node& in, uint32_t reads) {
  // What was derived from the contents (packed weights) would go on being found; a lent or exported block is not ours.
  return !n.recomputed && in.row_major && in.refs.load(std::memory_order_acquire) == reads && in.buffer->owned &&
         !in.buffer->has_derived.load(std::memory_order_relaxed) &&
         in.buffer->immutable.load(std::memory_order_relaxed) && in.buffer->refs.load(std::memory_order_acquire) == 1 &&
         size_of(in.dtype) == size_of(n.dtype) && in.shape == n.shape &&
         in.buffer->bytes <=
             2 * static_cast<size_t>(size_of(n.shape)) * size_of(n.dtype) + 256;  // no scrap of a large block
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
