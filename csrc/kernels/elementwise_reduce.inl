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
  if constexpr (K == ReduceKind::max) return max_of(a, b);
  else if constexpr (K == ReduceKind::min) return min_of(a, b);
  else if constexpr (std::is_floating_point_v<T>) return K == ReduceKind::sum ? a + b : a * b;
  else return static_cast<T>(K == ReduceKind::sum ? uint64_t(a) + uint64_t(b) : uint64_t(a) * uint64_t(b));
}
template <ReduceKind K, class T>
constexpr T identity() {
  if constexpr (K == ReduceKind::sum) return T(0);
  else if constexpr (K == ReduceKind::prod) return T(1);
  else if constexpr (std::is_floating_point_v<T>) return K == ReduceKind::max ? -T(__builtin_inf()) : T(__builtin_inf());
  else {
    constexpr bool is_signed = std::is_signed_v<T>;
    constexpr T least = is_signed ? static_cast<T>(uint64_t(1) << (8 * sizeof(T) - 1)) : T(0);
    return K == ReduceKind::max ? least : static_cast<T>(~least);
  }
}

/// The type that terms are combined in before the accumulator sees them.
template <ReduceKind K, class T>
using Total = std::conditional_t<accumulator(K, Dtype::float32) == Dtype::float64 && std::is_same_v<T, float>, double, T>;

/// One row: four vectors of partial results (as arrays of lanes, which stay in registers), then a tree over the lanes.
template <ReduceKind K, class T>
NHWC_INLINE Total<K, T> reduce_row(const T* x, int64_t n) {
  constexpr int kL = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T V __attribute__((vector_size(kVectorBytes)));
  typedef T U __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  using S = Total<K, T>;
  S total = identity<K, S>();
  int64_t i = 0;
  constexpr int64_t block = 4 * kL;
  while (n - i >= block) {
    V acc[4];
    NHWC_UNROLL for (int v = 0; v < 4; ++v) acc[v] = *reinterpret_cast<const U*>(x + i + v * kL);
    i += block;
    int64_t steps = (n - i) / block;
    if constexpr (!std::is_same_v<S, T>) steps = steps < kFloatRun - 1 ? steps : kFloatRun - 1;
    for (int64_t s = 0; s < steps; ++s, i += block)
      NHWC_UNROLL for (int v = 0; v < 4; ++v) {
        const V t = *reinterpret_cast<const U*>(x + i + v * kL);
        if constexpr (K == ReduceKind::sum) acc[v] = acc[v] + t;
        else if constexpr (K == ReduceKind::prod) acc[v] = acc[v] * t;
        else if constexpr (K == ReduceKind::max) acc[v] = (acc[v] > t) | (acc[v] != acc[v]) ? acc[v] : t;
        else acc[v] = (acc[v] < t) | (acc[v] != acc[v]) ? acc[v] : t;
      }
    T lanes[block];
    NHWC_UNROLL for (int v = 0; v < 4; ++v) *reinterpret_cast<U*>(lanes + v * kL) = acc[v];
    for (int64_t width = block / 2; width > 0; width /= 2)
      for (int64_t j = 0; j < width; ++j) lanes[j] = combine<K>(lanes[j], lanes[j + width]);
    total = combine<K>(total, static_cast<S>(lanes[0]));
  }
  for (; i < n; ++i) total = combine<K>(total, static_cast<S>(x[i]));
  return total;
}

template <ReduceKind K, class T>
void reduce_rows(const void* xv, int64_t row_step, int64_t rows, int64_t n, void* yv) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<Total<K, T>*>(yv);
  for (int64_t r = 0; r < rows; ++r) y[r] = reduce_row<K>(x + r * row_step, n);
}

template <ReduceKind K, class T>
void reduce_columns(const void* xv, int64_t row_step, int64_t rows, int64_t n, void* accv) {
  constexpr int64_t kColumns = 256;  // partial results in L1 while the rows stream by
  auto x = static_cast<const T*>(xv);
  auto acc = static_cast<Total<K, T>*>(accv);
  if constexpr (std::is_same_v<Total<K, T>, T>) {
    for (int64_t r = 0; r < rows; ++r) {
      const T* row = x + r * row_step;
      NHWC_INDEPENDENT for (int64_t j = 0; j < n; ++j) acc[j] = combine<K>(acc[j], row[j]);
    }
  } else {
    T part[kColumns];
    for (int64_t b = 0; b < n; b += kColumns) {
      const int64_t m = n - b < kColumns ? n - b : kColumns;
      for (int64_t r = 0; r < rows;) {
        const int64_t end = rows - r < kFloatRun ? rows : r + kFloatRun;
        const T* first = x + r * row_step + b;
        for (int64_t j = 0; j < m; ++j) part[j] = first[j];
        for (++r; r + 1 < end; r += 2) {  // two rows a pass: half the traffic of the partial results
          const T* p = x + r * row_step + b;
          const T* q = p + row_step;
          NHWC_INDEPENDENT for (int64_t j = 0; j < m; ++j) part[j] = combine<K>(part[j], combine<K>(p[j], q[j]));
        }
        for (; r < end; ++r) {
          const T* row = x + r * row_step + b;
          NHWC_INDEPENDENT for (int64_t j = 0; j < m; ++j) part[j] = combine<K>(part[j], row[j]);
        }
        NHWC_INDEPENDENT for (int64_t j = 0; j < m; ++j) acc[b + j] = combine<K>(acc[b + j], static_cast<double>(part[j]));
      }
    }
  }
}

template <ReduceKind K, class T>
constexpr void fill_reduce_of(ElementwiseKernels& k, Dtype t) {
  k.rows[static_cast<int>(K)][index(t)] = &reduce_rows<K, T>;
  k.columns[static_cast<int>(K)][index(t)] = &reduce_columns<K, T>;
}
template <ReduceKind K>
constexpr void fill_reduce(ElementwiseKernels& k) {
  constexpr bool ordered = K == ReduceKind::max || K == ReduceKind::min;
  fill_reduce_of<K, uint8_t>(k, Dtype::bool_);
  fill_reduce_of<K, uint8_t>(k, Dtype::uint8);
  fill_reduce_of<K, uint16_t>(k, Dtype::uint16);
  fill_reduce_of<K, uint32_t>(k, Dtype::uint32);
  fill_reduce_of<K, uint64_t>(k, Dtype::uint64);
  fill_reduce_of<K, std::conditional_t<ordered, int8_t, uint8_t>>(k, Dtype::int8);
  fill_reduce_of<K, std::conditional_t<ordered, int16_t, uint16_t>>(k, Dtype::int16);
  fill_reduce_of<K, std::conditional_t<ordered, int32_t, uint32_t>>(k, Dtype::int32);
  fill_reduce_of<K, std::conditional_t<ordered, int64_t, uint64_t>>(k, Dtype::int64);
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
