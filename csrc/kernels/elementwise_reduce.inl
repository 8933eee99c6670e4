// csrc/kernels/elementwise_reduce.inl -- reductions of rows and columns, and the softmax of a row
// The order of combining depends on n and the instruction set alone. float32 is summed in blocks of kFloatRun terms per
// lane, and the blocks in double.
#pragma once

#include "kernels/elementwise_binary.inl"

namespace nhwc {
namespace {

constexpr int64_t kFloatRun = 64;  // float32 terms added up in float32: an error of 64 roundings at most

template <ReduceKind K, class T>
NHWC_INLINE T combine(T a, T b) {
  if constexpr (K == ReduceKind::max)
    return max_of(a, b);
  else if constexpr (K == ReduceKind::min)
    return min_of(a, b);
  else if constexpr (std::is_floating_point_v<T>)
    return K == ReduceKind::sum ? a + b : a * b;
  else
    return static_cast<T>(K == ReduceKind::sum ? uint64_t(a) + uint64_t(b) : uint64_t(a) * uint64_t(b));
}
template <ReduceKind K, class T>
constexpr T identity() {
  if constexpr (K == ReduceKind::sum)
    return T(0);
  else if constexpr (K == ReduceKind::prod)
    return T(1);
  else if constexpr (std::is_floating_point_v<T>)
    return K == ReduceKind::max ? -T(__builtin_inf()) : T(__builtin_inf());
  else {
    constexpr bool is_signed = std::is_signed_v<T>;
    constexpr T least = is_signed ? static_cast<T>(uint64_t(1) << (8 * sizeof(T) - 1)) : T(0);
    return K == ReduceKind::max ? least : static_cast<T>(~least);
  }
}

/// The type that terms are combined in before the accumulator sees them.
template <ReduceKind K, class T>
using Total =
    std::conditional_t<accumulator(K, Dtype::float32) == Dtype::float64 && std::is_same_v<T, float>, double, T>;

/// As compiler vectors; the unaligned one is for memory.
template <class T>
struct Lanes {
  static constexpr int count = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T V __attribute__((vector_size(kVectorBytes)));
  typedef T U __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  static NHWC_INLINE V load(const T* p) { return *reinterpret_cast<const U*>(p); }
  static NHWC_INLINE void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }
  template <ReduceKind K>
  static NHWC_INLINE V combine(V a, V t) {
    if constexpr (K == ReduceKind::sum)
      return a + t;
    else if constexpr (K == ReduceKind::prod)
      return a * t;
    else if constexpr (std::is_floating_point_v<T>) {
      const V y = (K == ReduceKind::max ? a > t : a < t) ? a : t;
      return a != a ? a : y;
    } else
      return (K == ReduceKind::max ? a > t : a < t) ? a : t;
  }
};

/// One row: up to four vectors of partial results, then a tree over the lanes.
template <ReduceKind K, class T>
NHWC_INLINE Total<K, T> reduce_row(const T* x, int64_t n) {
  if constexpr (std::is_integral_v<T>) {  // in any order the same: the compiler's own vectors will do
    T total = identity<K, T>();
    for (int64_t i = 0; i < n; ++i) total = combine<K>(total, x[i]);
    return total;
  }
  using L = Lanes<T>;
  using S = Total<K, T>;
  constexpr int64_t lanes = L::count, block = 4 * lanes;
  S total = identity<K, S>();
  int64_t i = 0;
  while (n - i >= lanes) {
    typename L::V acc[4];
    const bool wide = n - i >= block;
    acc[0] = L::load(x + i);
    if (wide) {
      NHWC_UNROLL for (int v = 1; v < 4; ++v) acc[v] = L::load(x + i + v * lanes);
      i += block;
      int64_t steps = (n - i) / block;
      if constexpr (!std::is_same_v<S, T>) steps = steps < kFloatRun - 1 ? steps : kFloatRun - 1;
      for (int64_t s = 0; s < steps; ++s, i += block)
        NHWC_UNROLL for (int v = 0; v < 4; ++v) acc[v] = L::template combine<K>(acc[v], L::load(x + i + v * lanes));
      acc[0] = L::template combine<K>(L::template combine<K>(acc[0], acc[1]), L::template combine<K>(acc[2], acc[3]));
    } else {
      for (i += lanes; n - i >= lanes; i += lanes) acc[0] = L::template combine<K>(acc[0], L::load(x + i));
    }
    T part[lanes];
    L::store(part, acc[0]);
    NHWC_UNROLL for (int width = L::count / 2; width > 0; width /= 2) NHWC_UNROLL for (int j = 0; j < width; ++j)
        part[j] = combine<K>(part[j], part[j + width]);
    total = combine<K>(total, static_cast<S>(part[0]));
  }
  for (; i < n; ++i) total = combine<K>(total, static_cast<S>(x[i]));
  return total;
}

/// Rows too short for vectors along them: several rows at once, each summed from left to right.
constexpr int64_t kShort = 24, kRowsAtOnce = 16;

template <ReduceKind K, class T>
void reduce_rows(const void* xv, int64_t row_step, int64_t rows, int64_t n, void* yv) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<Total<K, T>*>(yv);
  int64_t r = 0;
  if (std::is_floating_point_v<T> && n > 0 && n < kShort)
    for (; r + kRowsAtOnce <= rows; r += kRowsAtOnce) {
      T acc[kRowsAtOnce];
      const T* row = x + r * row_step;
      for (int q = 0; q < kRowsAtOnce; ++q) acc[q] = row[q * row_step];
      for (int64_t j = 1; j < n; ++j)
        for (int q = 0; q < kRowsAtOnce; ++q) acc[q] = combine<K>(acc[q], row[q * row_step + j]);
      for (int q = 0; q < kRowsAtOnce; ++q) y[r + q] = static_cast<Total<K, T>>(acc[q]);
    }
  for (; r < rows; ++r) y[r] = reduce_row<K>(x + r * row_step, n);
}

/// `vectors` vectors of columns, kept in registers for up to kFloatRun rows.
template <ReduceKind K, class T, int vectors>
NHWC_INLINE void reduce_strip(const T* x, int64_t row_step, int64_t rows, Total<K, T>* acc) {
  using L = Lanes<T>;
  constexpr bool doubled = !std::is_same_v<Total<K, T>, T>;
  for (int64_t r = 0; r < rows;) {
    const int64_t end = doubled && rows - r > kFloatRun ? r + kFloatRun : rows;
    typename L::V part[vectors];
    NHWC_UNROLL for (int v = 0; v < vectors; ++v) part[v] = L::load(x + r * row_step + v * L::count);
    for (++r; r < end; ++r)
      NHWC_UNROLL for (int v = 0; v < vectors; ++v) part[v] =
          L::template combine<K>(part[v], L::load(x + r * row_step + v * L::count));
    T lanes[vectors * L::count];
    NHWC_UNROLL for (int v = 0; v < vectors; ++v) L::store(lanes + v * L::count, part[v]);
    NHWC_INDEPENDENT for (int j = 0; j < vectors * L::count; ++j) acc[j] =
        combine<K>(acc[j], static_cast<Total<K, T>>(lanes[j]));
  }
}

template <ReduceKind K, class T>
void reduce_columns(const void* xv, int64_t row_step, int64_t rows, int64_t n, void* accv) {
  constexpr int64_t lanes = Lanes<T>::count;
  auto x = static_cast<const T*>(xv);
  auto acc = static_cast<Total<K, T>*>(accv);
  int64_t j = 0;
  if constexpr (std::is_integral_v<T>) {
    for (int64_t r = 0; r < rows; ++r)
      NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) acc[i] = combine<K>(acc[i], x[r * row_step + i]);
    return;
  }
  for (; n - j >= 4 * lanes; j += 4 * lanes) reduce_strip<K, T, 4>(x + j, row_step, rows, acc + j);
  for (; n - j >= lanes; j += lanes) reduce_strip<K, T, 1>(x + j, row_step, rows, acc + j);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = j; i < n; ++i) acc[i] = combine<K>(acc[i], static_cast<Total<K, T>>(x[r * row_step + i]));
}

template <ReduceKind K, class T>
void fill_reduce_of(ElementwiseKernels& k, Dtype t) {
  k.rows[static_cast<int>(K)][index(t)] = &reduce_rows<K, T>;
  k.columns[static_cast<int>(K)][index(t)] = &reduce_columns<K, T>;
}
template <ReduceKind K>
void fill_reduce(ElementwiseKernels& k) {
  constexpr bool ordered = K == ReduceKind::max || K == ReduceKind::min;
  if constexpr (kEveryDtype) {
    fill_reduce_of<K, uint8_t>(k, Dtype::bool_);
    fill_reduce_of<K, uint8_t>(k, Dtype::uint8);
    fill_reduce_of<K, uint16_t>(k, Dtype::uint16);
    fill_reduce_of<K, uint32_t>(k, Dtype::uint32);
    fill_reduce_of<K, uint64_t>(k, Dtype::uint64);
    fill_reduce_of<K, std::conditional_t<ordered, int8_t, uint8_t>>(k, Dtype::int8);
    fill_reduce_of<K, std::conditional_t<ordered, int16_t, uint16_t>>(k, Dtype::int16);
    fill_reduce_of<K, std::conditional_t<ordered, int32_t, uint32_t>>(k, Dtype::int32);
    fill_reduce_of<K, std::conditional_t<ordered, int64_t, uint64_t>>(k, Dtype::int64);
  }
  fill_reduce_of<K, float>(k, Dtype::float32);
  fill_reduce_of<K, double>(k, Dtype::float64);
}

/// exp(x - max) / sum, in place where y is x.
template <class T>
void softmax_row(const void* xv, void* yv, int64_t n) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  const T top = reduce_row<ReduceKind::max>(x, n);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = math::exp(x[i] - top);
  const T scale = static_cast<T>(1 / reduce_row<ReduceKind::sum>(y, n));
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = y[i] * scale;
}

}  // namespace
}  // namespace nhwc
