// tests/kernels/test_conv_bf16.cpp -- convolutions on pairs of bfloat16: every tail against the reference
#include <doctest/doctest.h>

#include <cstring>

#include "kernels/conv_case.h"
#include "kernels/conv_testing.h"
#include "kernels/table.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

bool unavailable() {
  if (has_bf16_dot()) return false;
  MESSAGE("skipped: this processor has no dot products of bfloat16");
  return true;
}

const ConvTile& tile() { return kConvTiles[static_cast<int>(supported_isas().back())]; }
/// Of float32.
int lanes() { return tile().vector_bytes / 4; }

/// Weights [tap][pair][width][2] of w[tap][k][width], as PairTile says.
std::vector<BFloat16> paired(const std::vector<float>& w, int64_t taps, int64_t k, int64_t width) {
  const int64_t pairs = (k + 1) / 2;
  std::vector<BFloat16> p(static_cast<size_t>(taps * pairs * width * 2), BFloat16(0.0f));
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < width; ++j) {
        const float v = w[static_cast<size_t>((t * k + i) * width + j)];
        const auto put = [&](int64_t pair, int64_t side, float value) {
          p[static_cast<size_t>(((t * pairs + pair) * width + j) * 2 + side)] = BFloat16(value);
        };
        if (k % 2 && i == k - 1) put(pairs - 1, 1, v);
        if (k % 2 && i == k - 2) put(pairs - 1, 0, v / 2);
        if (k % 2 == 0 || i < k - 1) put(i / 2, i % 2, k % 2 && i == k - 2 ? v / 2 : v);
      }
  return p;
}

/// A tile of small integers: sums of them are exact, in bfloat16 too. mode 0: to bfloat16; 1: the same with bias and
/// clamp; 2: added to sums; 3: both. Of even tiles two follow one another, except where they are added to sums.
struct TileCase {
  TileCase(int v, int rows, int count, int64_t length, int m, bool e)
      : vectors(v), mr(rows), n(count), k(length), mode(m), even(e), rng(static_cast<unsigned>(mr * 100 + n)) {
    const int64_t width = vectors * lanes();
    x = integers(kTaps * pixels * row);
    w = integers(kTaps * k * width);
    bias = integers(n);
    before = integers(pixels * 40);
    for (float value : x) a.push_back(BFloat16(value));
    packed = paired(w, kTaps, k, width);
    for (int64_t i = 0; i < kTaps * pixels; ++i)
      if (!even || i % pixels == 0) table.push_back(a.data() + i * row);
  }
  std::vector<float> integers(int64_t count) {
    std::uniform_int_distribution<int> d(-3, 3);
    std::vector<float> v(static_cast<size_t>(count));
    for (float& e : v) e = static_cast<float>(d(rng));
    return v;
  }
  void run(const PairKernels& kernels) {
    sums = before;
    out.assign(sums.size(), BFloat16(77.0f));
    std::vector<float*> y;
    std::vector<BFloat16*> to;
    for (int m = 0; m < (even ? 1 : mr); ++m) y.push_back(sums.data() + m * 40), to.push_back(out.data() + m * 40);
    PairTile t;
    t.a = table.data();
    t.tap_ids = kIds;
    t.taps = kTaps;
    t.k = k;
    t.a_offset = kOffset;
    t.w = packed.data();
    t.w_step = vectors * lanes();
    t.w_tap = (k + 1) / 2 * 2 * t.w_step;
    t.y = y.data();
    t.y_offset = 0;
    t.bias = bias_and_clamp ? bias.data() : nullptr;
    t.lo = static_cast<float>(bias_and_clamp ? 0 : -kInf);
    t.hi = static_cast<float>(bias_and_clamp ? 6 : kInf);
    t.n = n;
    t.add = add;
    t.a_step = row;
    t.y_step = t.narrow_step = 40;
    t.tiles = pixels / mr;
    t.narrow = mode == 2 ? nullptr : to.data();
    t.narrow_offset = 1;
    (even ? kernels.even : kernels.direct)[vectors - 1][mr](t);
  }
  double want(int m, int j) const {
    double sum = add ? static_cast<double>(before[static_cast<size_t>(m * 40 + j)]) : 0;
    for (int64_t i = 0; i < kTaps; ++i)
      for (int64_t c = 0; c < k; ++c)
        sum += x[static_cast<size_t>((i * pixels + m) * row + kOffset + c)] *
               w[static_cast<size_t>((kIds[i] * k + c) * vectors * lanes() + j)];
    return bias_and_clamp ? std::fmin(std::fmax(sum + bias[static_cast<size_t>(j)], 0), 6) : sum;
  }
  /// Every output, and nothing beside them.
  bool right() const {
    bool same = true;
    for (int m = 0; m < pixels; ++m)
      for (int j = -1; j <= n; ++j) {
        const size_t at = static_cast<size_t>(m * 40 + 1 + j);
        const bool outside = j < 0 || j == n;
        if (mode == 2)
          same &= outside ? j < 0 || sums[at - 1] == before[at - 1] : static_cast<double>(sums[at - 1]) == want(m, j);
        else
          same &= static_cast<float>(out[at]) == (outside ? 77.0 : want(m, j));
      }
    return same;
  }

  static constexpr int64_t kTaps = 2, kOffset = 3, kIds[] = {1, 0};
  int vectors, mr, n;
  int64_t k;
  int mode;
  bool even;
  std::mt19937 rng;
  bool bias_and_clamp = mode % 2 == 1, add = mode >= 2;
  int pixels = even && !add ? 2 * mr : mr;
  int64_t row = k + kOffset;
  std::vector<float> x, w, bias, before, sums;
  std::vector<BFloat16> a, packed, out;
  std::vector<const BFloat16*> table;
};

void check_tile(const PairKernels& kernels, int vectors, int mr, int n, int64_t k, int mode, bool even) {
  TileCase c(vectors, mr, n, k, mode, even);
  c.run(kernels);
  CHECK_MESSAGE(c.right(), "vectors ", vectors, " mr ", mr, " n ", n, " k ", k, " mode ", mode, " even ", even);
}

}  // namespace

TEST_CASE("bfloat16 pairs: tiles of every mr, every number of output channels") {
  if (unavailable()) return;
  const PairKernels& kernels = *table_for(supported_isas().back()).conv.pairs;
  for (int mr = 1; mr <= tile().mr; ++mr)
    for (int n = 1; n <= 2 * lanes(); ++n)
      for (int64_t k : {2, 3, 8})
        for (int mode = 0; mode < 4; ++mode) {
          const int vectors = n > lanes() ? 2 : 1;
          check_tile(kernels, vectors, mr, n, k, mode, false);
          if (kernels.even[vectors - 1][mr]) check_tile(kernels, vectors, mr, n, k, mode, true);
        }
  CHECK((kernels.even[0][tile().mr] && kernels.even[1][tile().mr]));
}

TEST_CASE("bfloat16 pairs: every tail of pixels, input and output channels") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t n = 1; n < 1 + tails(70); ++n) {
    std::mt19937_64 rng(static_cast<uint64_t>(n));
    ConvGeometry line = square(1, 1, 2 + n % 9, n);
    line.in[2] = line.out[2] = n;
    ConvCase(line, rng).check("pixels and outputs", n, ConvAlgorithm::direct_bf16, n % 3);
    if (n == 1 || n > 40) continue;
    ConvCase(square(5, 3, n, 40 - n / 2), rng).check("inputs", n, ConvAlgorithm::direct_bf16, n % 2);
    ConvCase(square(5, 3, 33, n), rng, ConvKind::input_grad).check("gradient", n, ConvAlgorithm::direct_bf16);
    ConvCase(square(6, 2, n, 5, 3), rng).check("groups", n, ConvAlgorithm::direct_bf16, 1);
  }
  for (int64_t c = 1; c < 8; ++c)
    for (int64_t k = 2; k <= 7; ++k)
      for (int64_t gap : {0, 1}) {
        std::mt19937_64 rng(static_cast<uint64_t>(c * 10 + k));
        ConvGeometry g = square(16, k, c, 20 * c - 3);
        g.out[1] = g.out[2] = 16 + 2 * (k / 2) - k + 1;
        g.flip = k % 2;
        ConvCase(g, rng).check("merged", c * 10 + k, ConvAlgorithm::merged_bf16, gap);
      }
}

TEST_CASE("bfloat16 pairs: random arguments, bias and activations") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t seed = 1; seed < 1 + rounds(150); ++seed) {
    std::mt19937_64 rng(static_cast<uint64_t>(seed));
    ConvGeometry g = random_geometry(rng);
    while (g.in_channels == g.groups || g.out_channels == g.groups) g = random_geometry(rng);
    for (ConvKind kind : {ConvKind::forward, ConvKind::input_grad}) {
      ConvCase c(g, rng, kind);
      c.q.activation = static_cast<Activation>(pick(rng, 0, 7));
      c.q.has_bias = pick(rng, 0, 1);
      if (c.q.has_bias) c.bias = random_values(rng, Dtype::bfloat16, c.channels());
      c.check("random", seed, ConvAlgorithm::direct_bf16, pick(rng, 0, 2));
    }
  }
}

TEST_CASE("bfloat16 pairs: long lines, whose tiles are even") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t width = 24; width <= 60; ++width) {
    std::mt19937_64 rng(static_cast<uint64_t>(width));
    ConvGeometry g = square(3, 3, pick(rng, 2, 9), pick(rng, 10, 70));
    g.in[2] = width * (1 + width % 2);
    g.out[2] = width;
    g.stride[2] = 1 + width % 2;
    for (ConvAlgorithm a : {ConvAlgorithm::direct_bf16, ConvAlgorithm::merged_bf16})
      for (Activation f : {Activation::none, Activation::relu6, Activation::silu}) {
        ConvCase c(g, rng);
        c.q.activation = f;
        c.q.has_bias = width % 3 == 0;
        if (c.q.has_bias) c.bias = random_values(rng, Dtype::bfloat16, c.channels());
        c.check("lines", width, a, pick(rng, 0, 1));
      }
  }
}

TEST_CASE("bfloat16 pairs: sums of more terms than one accumulator takes") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t c : {4095, 4097, 8193, 9000}) {
    std::mt19937_64 rng(static_cast<uint64_t>(c));
    for (Activation f : {Activation::none, Activation::gelu}) {
      ConvCase one(square(3, 1, c, 20), rng);
      one.q.activation = f;
      one.check("long", c, ConvAlgorithm::direct_bf16);
    }
    ConvCase(square(3, 3, c / 4, 7), rng).check("long, taps", c, ConvAlgorithm::direct_bf16);
  }
}

TEST_CASE("bfloat16 pairs: NaN and inf reach the outputs they reach in the definition") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t channels : {2, 3, 5, 16, 33})
    for (int64_t at = 0; at < channels; ++at)
      for (double bad : {kNan, kInf, -kInf}) {
        std::mt19937_64 rng(9);
        ConvCase c(square(9, 3, channels, 20), rng);
        for (double& v : c.w) v = v == 0 ? 1 : v;
        c.a[static_cast<size_t>((4 * 9 + 4) * channels + at)] = bad;
        const std::vector<double> want = c.reference(false);
        const bool merged = channels < 8;
        for (int i = 0; i <= merged; ++i) {
          const Stored got = c.run(i ? ConvAlgorithm::merged_bf16 : ConvAlgorithm::direct_bf16, true);
          int wrong = 0;
          for (size_t j = 0; j < want.size(); ++j)
            wrong += std::isnan(want[j])   ? !std::isnan(got.get(j))
                     : std::isinf(want[j]) ? got.get(j) != want[j]
                                           : !std::isfinite(got.get(j));
          CHECK_MESSAGE(wrong == 0, channels, " channels, ", bad, " in channel ", at);
        }
      }
}

TEST_CASE("bfloat16 pairs: subnormal numbers may count as zero, but not in the highest precision") {
  Settings settings;
  set_isa(isa_choices().back());
  std::mt19937_64 rng(3);
  ConvCase c(square(5, 1, 8, 20), rng);
  for (double& v : c.a) v = 0x1p-130;
  for (double& v : c.w) v = 0x1p100;
  for (bool highest : {false, true}) {
    c.q.highest_precision = highest;
    const CpuPlan plan = plan_conv(c.q, cpu_facts());
    CHECK(!(highest && is_pairs(plan.algorithm)));
    const Stored y = c.run(plan.algorithm, false);
    for (size_t i = 0; i < y.size(); ++i) CHECK((y.get(i) == 0x1p-27 || (!highest && y.get(i) == 0)));
  }
}

TEST_CASE("bfloat16 pairs: an image's bits do not depend on the batch") {
  if (unavailable()) return;
  Settings settings;
  std::mt19937_64 rng(5);
  ConvGeometry g = square(7, 3, 19, 45);
  g.batch = 5;
  ConvCase all(g, rng), one = all;
  one.g.batch = 1;
  one.q = normalize(one.g, ConvKind::forward, Dtype::bfloat16);
  const Stored y = all.run(ConvAlgorithm::direct_bf16, true);
  const size_t image = all.a.size() / 5;
  for (size_t i = 0; i < 5; ++i) {
    one.a.assign(all.a.begin() + static_cast<int64_t>(i * image),
                 all.a.begin() + static_cast<int64_t>((i + 1) * image));
    const Stored part = one.run(ConvAlgorithm::direct_bf16, true);
    CHECK(std::memcmp(part.data(), static_cast<const char*>(y.data()) + i * part.bytes(), part.bytes()) == 0);
  }
}
