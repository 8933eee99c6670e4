// tests/kernels/test_conv_kernels.cpp -- every row of the kernel tables at full tiles and at every tail
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/table.h"

using namespace nhwc;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

/// Small integers: every sum of them is exact, so results are compared for equality.
template <class T>
std::vector<T> integers(std::mt19937& rng, int64_t n) {
  std::uniform_int_distribution<int> d(-4, 4);
  std::vector<T> v(static_cast<size_t>(n));
  for (T& x : v) x = static_cast<T>(d(rng));
  return v;
}

/// Calls f(kernels of T) for every instruction set and both compute types.
template <class F>
void for_each_table(const F& f) {
  for (Isa isa : supported_isas()) {
    f(conv_tile(isa, false), table_for(isa).conv.f32);
    f(conv_tile(isa, true), table_for(isa).conv.f64);
  }
}

template <class T>
struct Operands {
  Operands(std::mt19937& rng, int mr, int64_t taps, int64_t k)
      : a(integers<T>(rng, mr * taps * (k + 2))), y(1000, T(77)) {
    for (int64_t i = 0; i < mr * taps; ++i) table.push_back(a.data() + i * (k + 2));
    for (int m = 0; m < mr; ++m) rows.push_back(y.data() + m * 70);
    for (int64_t t = 0; t < taps; ++t) ids.push_back(taps - 1 - t);
  }
  std::vector<T> a, y;
  std::vector<const T*> table;
  std::vector<T*> rows;
  std::vector<int64_t> ids;
};

template <class T>
void check_direct(const FloatKernels<T>& f, int vectors, int mr, int n) {
  std::mt19937 rng(static_cast<unsigned>(mr * 100 + n));
  const int64_t taps = 3, k = 5, offset = 2, width = vectors * f.lanes;
  Operands<T> o(rng, mr, taps, k);
  const std::vector<T> w = integers<T>(rng, taps * k * width), bias = integers<T>(rng, n);
  for (int mode = 0; mode < 3; ++mode) {  // plain, with bias and clamp, added to what is there
    DirectTile<T> d{o.table.data(),
                    o.ids.data(),
                    taps,
                    k,
                    offset,
                    w.data(),
                    k * width,
                    width,
                    o.rows.data(),
                    1,
                    mode == 1 ? bias.data() : nullptr,
                    T(mode == 1 ? 0 : -kInf),
                    T(mode == 1 ? 6 : kInf),
                    n,
                    mode == 2};
    const std::vector<T> before = o.y;
    f.direct[vectors - 1][mr](d);
    bool same = true;
    for (int m = 0; m < mr; ++m)
      for (int j = -1; j <= n; ++j) {
        const size_t at = static_cast<size_t>(m * 70 + 1 + j);
        double want = mode == 2 ? static_cast<double>(before[at]) : 0;
        if (j < 0 || j == n) {
          same &= o.y[at] == before[at];
          continue;
        }
        for (int64_t t = 0; t < taps; ++t)
          for (int64_t i = 0; i < k; ++i)
            want += o.table[static_cast<size_t>(t * mr + m)][offset + i] *
                    w[static_cast<size_t>((o.ids[static_cast<size_t>(t)] * k + i) * width + j)];
        if (mode == 1) want = std::fmin(std::fmax(want + bias[static_cast<size_t>(j)], 0), 6);
        same &= static_cast<double>(o.y[at]) == want;
      }
    CHECK_MESSAGE(same, "vectors ", vectors, " mr ", mr, " n ", n, " mode ", mode, " lanes ", f.lanes);
  }
}

/// Three even tiles: plain, with bias and clamp, with bias added to what is there, with a residual; weights near and
/// far. Streamed, n are whole vectors.
template <class T>
void check_even(void (*kernel)(const DirectTile<T>&), int lanes, int vectors, int mr, int n, bool streamed) {
  std::mt19937 rng(static_cast<unsigned>(mr * 100 + n));
  const int64_t taps = 2, k = 5, offset = 2, width = vectors * lanes, tiles = 3, pixels = tiles * mr;
  const int64_t a_step = k + 3, y_step = streamed ? n : n + 3, before = streamed ? 0 : 1;
  const std::vector<T> x = integers<T>(rng, taps * pixels * a_step + offset), w = integers<T>(rng, taps * k * width),
                       bias = integers<T>(rng, n);
  const T* table[] = {x.data() + pixels * a_step, x.data()};
  const int64_t ids[] = {1, 0};
  for (int mode = 0; mode < (streamed ? 2 : 4); ++mode)
    for (bool far : {false, true}) {
      constexpr int64_t line = 64 / sizeof(T);
      std::vector<T> memory = integers<T>(rng, 2 * (pixels * y_step + width) + line);
      const int64_t past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data()) / sizeof(T)) % line;
      T* y = memory.data() + (line - past) % line;
      const std::vector<T> old(y, y + 2 * pixels * y_step);
      DirectTile<T> d{};
      d.a = table;
      d.tap_ids = ids;
      d.taps = taps;
      d.k = k;
      d.a_offset = offset;
      d.w = w.data();
      d.w_tap = k * width;
      d.w_step = width;
      d.y = &y;
      d.y_offset = before;
      d.bias = mode > 0 ? bias.data() : nullptr;
      d.clamp = mode == 1;
      d.lo = static_cast<T>(d.clamp ? 0 : -kInf);
      d.hi = static_cast<T>(d.clamp ? 6 : kInf);
      d.n = n;
      d.add = mode == 2;
      d.residual = mode == 3 ? pixels * y_step : 0;
      d.a_step = a_step;
      d.y_step = y_step;
      d.tiles = tiles;
      d.weights_far = far;
      kernel(d);
      bool same = true;
      for (int64_t m = 0; m < pixels; ++m)
        for (int64_t j = -before; j < y_step - before; ++j) {
          const size_t to = static_cast<size_t>(m * y_step + before + j);
          double want = mode == 2 ? static_cast<double>(old[to]) : 0;
          if (j < 0 || j >= n) {
            same &= y[to] == old[to];
            continue;
          }
          for (int64_t t = 0; t < taps; ++t)
            for (int64_t i = 0; i < k; ++i)
              want += table[t][m * a_step + offset + i] * w[static_cast<size_t>((ids[t] * k + i) * width + j)];
          if (mode > 0) want += bias[static_cast<size_t>(j)];
          if (mode == 1) want = std::clamp(want, 0.0, 6.0);
          if (mode == 3) want += old[to + static_cast<size_t>(pixels * y_step)];
          same &= static_cast<double>(y[to]) == want;
        }
      CHECK_MESSAGE(same, "vectors ", vectors, " mr ", mr, " n ", n, " mode ", mode, " far ", far, " lanes ", lanes);
    }
}

/// A tile of one output, or of n of those of a form, with even pixels or a table.
template <class T>
void check_dot(const FloatKernels<T>& f, const ConvTile& tile, int form, int n, int mr, int64_t k, bool even) {
  std::mt19937 rng(static_cast<unsigned>(mr * 1000 + k));
  const DotForm shape = form < 0 ? DotForm{1, 1} : kDotForms[form];
  const int64_t taps = 2, segment = dot_channels(shape, f.lanes), wide = shape.outputs();
  const int64_t tap = dot_tap_elems(shape, k, f.lanes), steps = tap / wide / segment, y_step = n + 2;
  Operands<T> o(rng, mr, taps, k);
  const std::vector<T> values = integers<T>(rng, taps * n * k), bias = integers<T>(rng, n);
  std::vector<T> w(static_cast<size_t>(taps * tap)), biases(kDotLanes, T(-0.0)), in,
      out(static_cast<size_t>(mr * y_step + 2));
  const auto weight = [&](int64_t t, int j, int64_t i) { return values[static_cast<size_t>((t * n + j) * k + i)]; };
  // Channel i lies in each step that reads it, of several outputs in two.
  for (int64_t t = 0; t < taps; ++t)
    for (int j = 0; j < n; ++j)
      for (int64_t i = 0; i < k; ++i) {
        std::vector<int64_t> places;
        for (int64_t step = 0; step < steps; ++step) {
          const int64_t first = form < 0 ? step * segment : std::min(step * segment, k - segment);
          if (i >= first && i < first + segment) places.push_back((step * wide + j) * segment + i - first);
        }
        for (int64_t p : places) w[static_cast<size_t>(t * tap + p)] = weight(t, j, i) / static_cast<T>(places.size());
      }
  for (int i = 0; i < kDotLanes; ++i)
    if (i % wide < n) biases[static_cast<size_t>(i)] = bias[static_cast<size_t>(i % wide)];
  std::vector<const T*> table;
  for (int64_t t = 0; t < taps; ++t)
    for (int m = 0; m < (even ? 1 : mr); ++m) table.push_back(o.table[static_cast<size_t>(t * mr + m)]);
  const int64_t a_step = k + 3;
  if (even) {  // pixels one after another
    in = integers<T>(rng, taps * mr * a_step + 1);
    for (int64_t t = 0; t < taps; ++t) table[static_cast<size_t>(t)] = in.data() + t * mr * a_step;
  }
  table.resize(table.size() + kMaxTilePixels, table[0]);
  const auto x = [&](int64_t t, int m, int64_t i) {
    return even ? table[static_cast<size_t>(t)][1 + m * a_step + i] : table[static_cast<size_t>(t * mr + m)][1 + i];
  };
  std::vector<T*> rows;
  for (int m = 0; m < mr; ++m) rows.push_back(out.data() + m * y_step);
  DotTile<T> d{table.data(), o.ids.data(), taps, k, 1, w.data(), tap, 0, rows.data(), 1, biases.data(), T(-50), T(60)};
  d.a_step = even ? a_step : 0;
  d.y_step = even ? y_step : 0;
  d.n = n;
  d.mr = mr;
  const int pixels = form < 0 ? mr : dot_form_pixels(shape, tile);
  if (form < 0)
    (even ? f.even_dot : f.dot)[mr](d);
  else
    f.segments[even ? 2 : 2 * mr > pixels][form](d);
  bool same = true;
  for (int m = 0; m < mr; ++m)
    for (int j = -1; j <= n; ++j) {
      double want = 0;
      for (int64_t t = 0; t < taps && j >= 0 && j < n; ++t)
        for (int64_t i = 0; i < k; ++i)
          want += static_cast<double>(x(t, m, i)) * weight(o.ids[static_cast<size_t>(t)], j, i);
      if (j >= 0 && j < n) want = std::clamp(want + bias[static_cast<size_t>(j)], -50.0, 60.0);
      same &= static_cast<double>(out[static_cast<size_t>(m * y_step + 1 + j)]) == want;
    }
  CHECK_MESSAGE(same, "form ", form, " outputs ", n, " mr ", mr, " k ", k, " even ", even, " lanes ", f.lanes);
}

template <class T>
void check_grad(const FloatKernels<T>& f, int vectors, int mr) {
  std::mt19937 rng(static_cast<unsigned>(mr));
  const int64_t width = vectors * f.lanes, n = 7, a_step = mr + 3, b_step = width + 1;
  const std::vector<T> a = integers<T>(rng, 2 * n * a_step + 4), b = integers<T>(rng, 2 * n * b_step);
  std::vector<T> acc = integers<T>(rng, mr * width), want = acc;
  const PixelRun<T> runs[] = {{a.data(), b.data(), n}, {a.data() + n * a_step, b.data() + n * b_step, n - 2}};
  f.grad[vectors - 1][mr]({runs, 2, a_step, b_step, 2, 0, acc.data(), width});
  for (const PixelRun<T>& r : runs)
    for (int64_t p = 0; p < r.n; ++p)
      for (int m = 0; m < mr; ++m)
        for (int64_t j = 0; j < width; ++j)
          want[static_cast<size_t>(m * width + j)] += r.a[p * a_step + 2 + m] * r.b[p * b_step + j];
  CHECK_MESSAGE(acc == want, "vectors ", vectors, " mr ", mr);
}

}  // namespace

TEST_CASE("direct tiles: every mr, every number of output channels") {
  for_each_table([](const ConvTile& tile, const auto& f) {
    for (int mr = 1; mr <= tile.mr; ++mr)
      for (int n = 1; n <= (mr <= tile.mr3 ? 3 : 2) * f.lanes; ++n) check_direct(f, (n + f.lanes - 1) / f.lanes, mr, n);
  });
}

TEST_CASE("even direct tiles: every mr, every number of output channels") {
  for_each_table([](const ConvTile& tile, const auto& f) {
    for (int vectors = 1; vectors <= kMostTileVectors; ++vectors)
      for (int mr = 1; mr <= kMaxTilePixels; ++mr)
        for (int n = (vectors - 1) * f.lanes + 1; f.even[vectors - 1][mr] && n <= vectors * f.lanes; ++n)
          check_even(f.even[vectors - 1][mr], f.lanes, vectors, mr, n, false);
    const int full[] = {tile.mr, tile.mr, tile.mr3, tile.mr4, 0, tile.mr6};
    const bool has = tile.vector_bytes / f.lanes == 4;  // float32
    for (int vectors = 1; vectors <= kMostTileVectors; ++vectors)
      CHECK((f.even[vectors - 1][full[vectors - 1]] != nullptr) == (has && full[vectors - 1] > 0));
    for (int mr = 1; mr <= kMaxTilePixels; ++mr)
      if (f.streaming[mr]) check_even(f.streaming[mr], f.lanes, 2, mr, 2 * f.lanes, true);
  });
}

TEST_CASE("dot tiles of one output: every mr, every tail of k") {
  for_each_table([](const ConvTile& tile, const auto& f) {
    for (int mr = 1; mr <= dot_pixels(tile, 1); ++mr)
      for (int64_t k = 1; k <= 2 * f.lanes + 1; ++k)
        for (bool even : {false, true})
          if (even ? f.even_dot[mr] : f.dot[mr]) check_dot(f, tile, -1, 1, mr, k, even);
    for (int mr = 2; mr <= dot_pixels(tile, 1); mr += 2)
      CHECK((f.dot[mr] != nullptr) == (tile.vector_bytes / f.lanes == 4));
  });
}

TEST_CASE("dot tiles of several outputs: every form, every number of them, every mr, every tail of k") {
  for_each_table([](const ConvTile& tile, const auto& f) {
    for (int form = 0; form < kDotFormCount; ++form) {
      const DotForm shape = kDotForms[form];
      CHECK((f.segments[1][form] != nullptr) == (has_dot_form(shape, f.lanes) && tile.vector_bytes / f.lanes == 4));
      if (!f.segments[1][form]) continue;
      const int pixels = dot_form_pixels(shape, tile);
      for (int n = shape.outputs() / 2 + 1; n <= shape.outputs(); ++n)
        for (int mr = 1; mr <= pixels; ++mr)
          for (int64_t k = dot_channels(shape, f.lanes); k <= 2 * f.lanes + 1; ++k)
            for (bool even : {false, true})
              if (!even || (mr >= least_even_pixels(pixels) && f.segments[2][form]))
                check_dot(f, tile, form, n, mr, k, even);
    }
  });
}

TEST_CASE("weight gradient tiles: every mr") {
  for_each_table([](const ConvTile& tile, const auto& f) {
    for (int mr = 1; mr <= tile.mr; ++mr)
      for (int vectors = 1; vectors <= 2; ++vectors) check_grad(f, vectors, mr);
  });
}

TEST_CASE("transposition of every small size") {
  for_each_table([](const ConvTile&, const auto& f) {
    const auto check = [&]<class E>(void (*transpose)(const E*, int64_t, int64_t, int64_t, E*, int64_t)) {
      std::mt19937 rng(4);
      for (int64_t rows : {1, 3, 4, 8, 15, 16, 17, 33})
        for (int64_t cols : {1, 4, 5, 16, 31, 32}) {
          const std::vector<E> src = integers<E>(rng, rows * (cols + 3));
          std::vector<E> dst(static_cast<size_t>(cols * (rows + 2)), E(9));
          transpose(src.data(), cols + 3, rows, cols, dst.data(), rows + 2);
          bool same = true;
          for (int64_t i = 0; i < rows + 2; ++i)
            for (int64_t j = 0; j < cols; ++j)
              same &= dst[static_cast<size_t>(j * (rows + 2) + i)] ==
                      (i < rows ? src[static_cast<size_t>(i * (cols + 3) + j)] : E(9));
          CHECK_MESSAGE(same, rows, " x ", cols);
        }
    };
    check(f.transpose);
  });
}

TEST_CASE("half types: every float16 and bfloat16 there and back") {
  for (Isa isa : supported_isas()) {
    const ConvKernels& k = table_for(isa).conv;
    std::vector<Float16> h(65536), back(65536);
    std::vector<BFloat16> b(65536), b_back(65536);
    std::vector<float> f(65536), g(65536);
    for (uint32_t i = 0; i < 65536; ++i) h[i].bits = b[i].bits = static_cast<uint16_t>(i);
    k.widen_f16(h.data(), f.data(), 65536);
    k.widen_bf16(b.data(), g.data(), 65536);
    k.narrow_f16(f.data(), back.data(), 65536);
    k.narrow_bf16(g.data(), b_back.data(), 65536);
    int wrong = 0;
    for (size_t i = 0; i < 65536; ++i) {
      const float x = h[i], y = b[i];
      wrong += std::isnan(x) ? !std::isnan(f[i]) || !std::isnan(static_cast<float>(back[i]))
                             : x != f[i] || back[i].bits != h[i].bits;
      wrong += std::isnan(y) ? !std::isnan(g[i]) || !std::isnan(static_cast<float>(b_back[i]))
                             : y != g[i] || b_back[i].bits != b[i].bits;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("half types: rounding and every tail length") {
  std::mt19937 rng(6);
  std::uniform_int_distribution<uint32_t> bits;
  for (Isa isa : supported_isas()) {
    const ConvKernels& k = table_for(isa).conv;
    for (int64_t n = 1; n <= 70; ++n) {
      std::vector<float> f(static_cast<size_t>(n));
      std::vector<Float16> h(static_cast<size_t>(n));
      std::vector<BFloat16> b(static_cast<size_t>(n));
      for (float& v : f) v = std::bit_cast<float>((bits(rng) & 0x8fffffffu) | 0x30000000u);  // around 1e-9 .. 1e9
      k.narrow_f16(f.data(), h.data(), n);
      k.narrow_bf16(f.data(), b.data(), n);
      bool same = true;
      for (size_t i = 0; i < f.size(); ++i) same &= h[i].bits == Float16(f[i]).bits && b[i].bits == BFloat16(f[i]).bits;
      CHECK(same);
    }
  }
}
