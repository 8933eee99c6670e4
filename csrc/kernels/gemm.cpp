// csrc/kernels/gemm.cpp -- matrix product on the tiles of the convolution: c (m, n) = a (m, k) * b (k, n)
// Order: block of columns -> block of k, b packed once each -> tiles of rows in parallel. Sums longer than a block of k
// are continued in c, for half types in a float copy of it.
#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int64_t kBlockK = 2048;        // terms in one accumulator
constexpr int64_t kBlockRows = 1 << 16;  // of the float copy of c
constexpr int64_t kEnoughTasks = 16;
constexpr int64_t kFewRows = 8;  // rows of a for which packing a transposed b costs more than the product

template <class S>
struct Matrix {
  const S* p;
  int64_t row, col;
  const S* at(int64_t i, int64_t j) const { return p + i * row + j * col; }
};

template <class T, class S>
struct Gemm {
  const ConvKernels& kernels;
  const FloatKernels<T>& f;
  int64_t mr, m, n, k;
  Matrix<S> a, b;
  S* c;

  int64_t nr() const { return 2 * f.lanes; }
  int64_t width(int64_t j0) const { return n - j0 <= f.lanes ? f.lanes : nr(); }

  /// dst[kb][width] of columns j0 .. j0 + width.
  void pack(int64_t j0, int64_t k0, int64_t kb, T* dst) const {
    const int64_t w = width(j0), valid = std::min(w, n - j0);
    if (valid < w) std::memset(dst, 0, static_cast<size_t>(kb * w) * sizeof(T));
    if (b.col == 1) {
      for (int64_t i = 0; i < kb; ++i) widen(kernels, b.at(k0 + i, j0), dst + i * w, valid);
      return;
    }
    if constexpr (std::is_same_v<S, T>)
      if (b.row == 1) return f.transpose(b.at(k0, j0), b.col, valid, kb, dst, w);
    for (int64_t i = 0; i < kb; ++i)
      for (int64_t j = 0; j < valid; ++j) widen(kernels, b.at(k0 + i, j0 + j), dst + i * w + j, 1);
  }

  /// Rows of `a` as the tile wants them: in place, or copied to `patch`.
  void rows(int64_t i0, int64_t mr_now, int64_t k0, int64_t kb, const T** table, T* patch) const {
    for (int64_t i = 0; i < mr_now; ++i) {
      if constexpr (std::is_same_v<S, T>)
        if (a.col == 1) {
          table[i] = a.at(i0 + i, k0);
          continue;
        }
      T* to = patch + i * kb;
      table[i] = to;
      if (a.col == 1)
        widen(kernels, a.at(i0 + i, k0), to, kb);
      else
        for (int64_t j = 0; j < kb; ++j) widen(kernels, a.at(i0 + i, k0 + j), to + j, 1);
    }
  }

  /// Packing a row-major b pays where it is read by several tiles of rows; the last columns are always packed, to be
  /// padded.
  bool in_place(int64_t rows_now, int64_t j0) const {
    return std::is_same_v<S, T> && b.col == 1 && rows_now <= mr && n - j0 >= nr();
  }

  /// One tile of rows with all packed panels of columns [j0, j1); sums go to `sum` (rows of `step`), first column j0.
  void tile(int64_t i0, int64_t mr_now, int64_t rows_in_block, int64_t j0, int64_t j1, int64_t k0, int64_t kb,
            const T* packed, T* sum, int64_t step, const T** table, T* patch) const {
    rows(i0, mr_now, k0, kb, table, patch);
    T* y[kMaxTilePixels];
    for (int64_t i = 0; i < mr_now; ++i) y[i] = sum + i * step;
    const int64_t zero_tap = 0;
    const T inf = static_cast<T>(__builtin_inf());
    DirectTile<T> d{table, &zero_tap, 1, kb, 0, packed, 0, 0, y, 0, nullptr, -inf, inf, 0, k0 > 0};
    for (int64_t j = j0; j < j1; j += nr()) {
      d.w_step = width(j);
      d.y_offset = j - j0;
      d.n = static_cast<int>(std::min(d.w_step, n - j));
      d.w = packed + kb * (j - j0);
      if constexpr (std::is_same_v<S, T>)
        if (in_place(rows_in_block, j)) {
          d.w = b.at(k0, j);
          d.w_step = b.row;
        }
      f.direct[width(j) > f.lanes][mr_now](d);
    }
  }

  void run() const;
  void run_few_rows() const;
  void block(int64_t i0, int64_t i1, int64_t j0, int64_t j1, T* packed, T* sums) const;
};

template <class T, class S>
void Gemm<T, S>::block(int64_t i0, int64_t i1, int64_t j0, int64_t j1, T* packed, T* sums) const {
  const int64_t step = std::is_same_v<S, T> ? n : j1 - j0, panels = (j1 - j0 + nr() - 1) / nr();
  T* sum = sums;
  if constexpr (std::is_same_v<S, T>) sum = c + i0 * n + j0;
  const int64_t tiles = (i1 - i0 + mr - 1) / mr;
  for (int64_t k0 = 0; k0 < k; k0 += kBlockK) {
    const int64_t kb = std::min(kBlockK, k - k0);
    const double words = static_cast<double>(kb) * static_cast<double>(j1 - j0);
    parallel_for(panels, grain_of(panels, 16 * words), [&](int64_t p0, int64_t p1) {
      for (int64_t p = p0; p < p1; ++p)
        if (!in_place(i1 - i0, j0 + p * nr())) pack(j0 + p * nr(), k0, kb, packed + p * nr() * kb);
    });
    const int64_t parts = std::clamp<int64_t>(kEnoughTasks / tiles, 1, panels);  // of the columns, where rows are few
    parallel_for(
        tiles * parts, grain_of(tiles * parts, 2 * words * static_cast<double>(i1 - i0)), [&](int64_t t0, int64_t t1) {
          Arena arena(static_cast<size_t>(mr * kb) * sizeof(T) + 1024);
          T* patch = arena.take<T>(mr * kb);
          const T* table[kMaxTilePixels];
          for (int64_t t = t0; t < t1; ++t) {
            const int64_t row = t / parts, part = t % parts;
            const int64_t r0 = row * (i1 - i0) / tiles, r1 = (row + 1) * (i1 - i0) / tiles;
            const int64_t c0 = part * panels / parts * nr(), c1 = std::min(j1 - j0, (part + 1) * panels / parts * nr());
            tile(i0 + r0, r1 - r0, i1 - i0, j0 + c0, j0 + c1, k0, kb, packed + c0 * kb, sum + r0 * step + c0, step,
                 table, patch);
          }
        });
  }
  if constexpr (!std::is_same_v<S, T>)
    for (int64_t i = i0; i < i1; ++i) narrow(kernels, sums + (i - i0) * step, c + i * n + j0, step);
}

/// Few rows times a b whose columns are contiguous, as in a linear layer of a small batch: b is read once, in place, by
/// tiles whose vectors run along k; the rows of a take the place of the weights.
template <class T, class S>
void Gemm<T, S>::run_few_rows() const {
  const int64_t lanes = f.lanes, steps = (k + lanes - 1) / lanes;
  const Scratch scratch(static_cast<size_t>(m * steps * lanes) * sizeof(T));
  // As the weights of dot tiles: panels of [step][row][lanes], of which the last step of several rows overlaps.
  T* const rows = scratch.as<T>();
  const auto panel_rows = [&](int64_t i0) { return std::min<int64_t>(kDotOutputs, m - i0); };
  for (int64_t i = 0; i < m; ++i) {
    const int64_t i0 = i / kDotOutputs * kDotOutputs, shared = panel_rows(i0) > 1 ? steps * lanes - k : 0;
    T* to = rows + (i0 * steps + i - i0) * lanes;
    for (int64_t step = 0; step < steps; ++step, to += panel_rows(i0) * lanes) {
      const int64_t first = step * lanes - (step + 1 < steps ? 0 : shared), n = std::min(lanes, k - first);
      for (int64_t j = 0; j < n; ++j) to[j] = *reinterpret_cast<const T*>(a.at(i, first + j));
      std::fill(to + n, to + lanes, T(0));
      if (step + 1 == steps) std::transform(to, to + shared, to, [](T x) { return x * T(0.5); });
      if (step + 2 == steps)
        std::transform(to + lanes - shared, to + lanes, to + lanes - shared, [](T x) { return x * T(0.5); });
    }
  }
  const int64_t columns =
      dot_pixels(kConvTiles[static_cast<int>(current_isa())], static_cast<int>(std::min<int64_t>(m, kDotOutputs)));
  const int64_t tiles = (n + columns - 1) / columns;
  const T inf = static_cast<T>(__builtin_inf());
  const int64_t zero_tap = 0;
  parallel_for(tiles, grain_of(tiles, 8.0 * static_cast<double>(m) * static_cast<double>(n * k)),
               [&](int64_t t0, int64_t t1) {
                 const T* table[kMaxTilePixels];
                 T* y[kMaxTilePixels];
                 T sums[kMaxTilePixels * kDotOutputs], no_bias[kDotLanes];
                 std::fill(no_bias, no_bias + kDotLanes, T(-0.0));
                 for (int64_t j = 0; j < kMaxTilePixels; ++j) y[j] = sums + j * kDotOutputs;
                 for (int64_t j0 = t0 * columns; j0 < std::min(n, t1 * columns); j0 += columns) {
                   const int64_t count = std::min(columns, n - j0);
                   for (int64_t j = 0; j < kMaxTilePixels; ++j)
                     table[j] = reinterpret_cast<const T*>(b.at(0, j0 + std::min(j, count - 1)));
                   for (int64_t i0 = 0; i0 < m; i0 += kDotOutputs) {
                     const int64_t outputs = panel_rows(i0);
                     DotTile<T> d{table, &zero_tap, 1, k, 0, rows + i0 * steps * lanes, 0, 0, y, 0, no_bias, -inf, inf};
                     d.n = static_cast<int>(outputs);
                     d.mr = static_cast<int>(count);
                     (outputs == 1 ? f.dot[(count + 1) / 2 * 2] : f.segments[1][dot_form_of_rows(d.n)])(d);
                     for (int64_t i = 0; i < outputs; ++i)
                       for (int64_t j = 0; j < count; ++j)
                         *reinterpret_cast<T*>(c + (i0 + i) * n + j0 + j) = sums[j * kDotOutputs + i];
                   }
                 }
               });
}

template <class T, class S>
void Gemm<T, S>::run() const {
  if constexpr (std::is_same_v<S, float>)
    if (m <= kFewRows && b.row == 1 && (m == 1 || k >= f.lanes)) return run_few_rows();
  const int64_t kb = std::min(k, kBlockK);
  const int64_t budget = static_cast<int64_t>(get_workspace_limit() / 4 / sizeof(T));
  const int64_t columns = std::min(std::max<int64_t>(1, budget / (kb * nr())) * nr(), (n + nr() - 1) / nr() * nr());
  const bool copy = !std::is_same_v<S, T>;
  const int64_t row_block = copy ? std::clamp<int64_t>(budget / columns, mr, kBlockRows) : m;
  const Scratch packed(static_cast<size_t>(kb * columns) * sizeof(T));
  const Scratch sums(copy ? static_cast<size_t>(std::min(row_block, m) * columns) * sizeof(T) : 0);
  for (int64_t j = 0; j < n; j += columns)
    for (int64_t i = 0; i < m; i += row_block)
      block(i, std::min(i + row_block, m), j, std::min(j + columns, n), packed.as<T>(), sums.as<T>());
}

}  // namespace

void run_gemm(Dtype dtype, int64_t m, int64_t n, int64_t k, const void* a, int64_t a_row, int64_t a_col, const void* b,
              int64_t b_row, int64_t b_col, void* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    std::memset(c, 0, static_cast<size_t>(m) * static_cast<size_t>(n) * size_of(dtype));
    return;
  }
  const ConvKernels& kernels = nhwc::kernels().conv;
  visit_float(dtype, [&]<class S>() {
    using T = Compute<S>;
    const bool in_place = std::is_same_v<S, T> && a_col == 1;
    const int64_t apart = (in_place ? a_row : std::min(k, kBlockK)) * static_cast<int64_t>(sizeof(T));
    const int64_t mr = rows_without_aliasing(conv_tile(current_isa(), sizeof(T) == 8).mr, apart, cpu_info().l1d);
    const Gemm<T, S> gemm{kernels,
                          float_kernels<T>(kernels),
                          mr,
                          m,
                          n,
                          k,
                          {static_cast<const S*>(a), a_row, a_col},
                          {static_cast<const S*>(b), b_row, b_col},
                          static_cast<S*>(c)};
    gemm.run();
  });
}

}  // namespace nhwc
