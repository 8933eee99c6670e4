// tests/kernels/test_conv_depthwise.cpp -- the depthwise row kernels against the reference: segments, borders, residues
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// A depthwise convolution with its operands; pixels of x are `gap` elements apart from each other.
struct Depthwise {
  ConvGeometry g;
  Dtype dtype = Dtype::float32;
  Activation activation = Activation::none;
  int64_t gap = 0;
  bool far = false;  // too large for every cache, says the plan
  std::vector<double> x, w, bias, residual;

  void fill(std::mt19937_64& rng) {
    x = random_values(rng, dtype, g.batch * product(g.in) * g.groups);
    w = random_values(rng, dtype, g.groups * product(g.kernel));
  }
  CpuPlan plan() const {
    ConvProblem q = normalize(g, ConvKind::forward, dtype);
    q.activation = activation;
    q.has_bias = !bias.empty();
    DeviceFacts f = cpu_facts();
    f.wanted = ConvAlgorithm::depthwise;
    if (far) f.l3 = 64;
    return plan_conv(q, f);
  }
  Stored run() const {
    const CpuPlan p = plan();
    REQUIRE(p.algorithm == ConvAlgorithm::depthwise);
    ConvOperands a;
    const int64_t channels = g.groups, step = channels + gap;
    set_strides(a.x_stride, g.in, step);
    Stored in(dtype, static_cast<size_t>(g.batch * a.x_stride[0])), out(dtype, outputs() + residual.size());
    std::memset(in.data(), 0x7f, in.bytes());  // NaN or huge: must never be read
    for (size_t i = 0; i < x.size(); ++i)
      in.set(i / static_cast<size_t>(channels) * static_cast<size_t>(step) + i % static_cast<size_t>(channels), x[i]);
    std::memset(out.data(), 0x7f, out.bytes());
    for (size_t i = 0; i < residual.size(); ++i) out.set(outputs() + i, residual[i]);
    if (!residual.empty()) a.residual_from_y = static_cast<int64_t>(outputs());
    const Stored weights(dtype, w), b(dtype, bias);
    a.x = in.data();
    a.w = weights.data();
    a.bias = b.data();
    a.y = out.data();
    run_conv(p, a);
    return out;
  }
  size_t outputs() const { return static_cast<size_t>(g.batch * product(g.out) * g.groups); }
  std::vector<double> definition(const std::vector<double>& input, const std::vector<double>& weights) const {
    std::vector<double> y(outputs());
    reference_conv(g, input.data(), weights.data(), y.data());
    return y;
  }
  std::string text(uint64_t seed) const { return "seed " + std::to_string(seed) + " " + describe(plan()); }
};

std::vector<double> absolute(std::vector<double> v) {
  for (double& e : v) e = std::fabs(e);
  return v;
}

/// Every instruction set, one thread and several.
void check(const Depthwise& c, uint64_t seed) {
  Settings settings;
  std::vector<double> want = c.definition(c.x, c.w), scale = c.definition(absolute(c.x), absolute(c.w));
  for (size_t i = 0; i < c.residual.size(); ++i) want[i] += c.residual[i];
  for (size_t i = 0; i < c.residual.size(); ++i) scale[i] += std::fabs(c.residual[i]);
  reference_epilogue(c.activation, c.bias.empty() ? nullptr : c.bias.data(),
                     static_cast<int64_t>(want.size()) / c.g.groups, c.g.groups, want.data());
  for (Isa isa : supported_isas()) {
    set_isa(name(isa));
    set_num_threads(1);
    const Stored got = c.run();
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double error = std::fabs(got.get(i) - want[i]) / tolerance(c.dtype, scale[i], want[i]);
      worst = error <= worst ? worst : error;  // a NaN error is kept
    }
    CHECK_MESSAGE(worst <= 1, c.text(seed), "gap ", c.gap, " activation ", int(c.activation));
    set_num_threads(3);
    const Stored again = c.run();
    CHECK_MESSAGE(std::memcmp(got.data(), again.data(), got.bytes()) == 0, c.text(seed), "threads");
  }
}

/// One axis of some size; the padding is such that there is an output.
void set_axis(ConvGeometry& g, int axis, int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t before,
              int64_t after) {
  const int64_t span = dilation * (kernel - 1) + 1;
  g.in[axis] = in;
  g.kernel[axis] = kernel;
  g.stride[axis] = stride;
  g.dilation[axis] = dilation;
  g.pad[axis] = before;
  after = std::max(after, span - in - before);
  g.out[axis] = (in + before + after - span) / stride + 1;
}

Depthwise random_case(std::mt19937_64& rng) {
  constexpr Dtype kDtypes[] = {Dtype::float32, Dtype::float32, Dtype::float16, Dtype::bfloat16, Dtype::float64};
  Depthwise c;
  c.dtype = kDtypes[pick(rng, 0, 4)];
  c.activation = static_cast<Activation>(pick(rng, 0, 1) * pick(rng, 0, 7));
  c.gap = pick(rng, 0, 2) ? 0 : pick(rng, 1, 3);
  c.far = pick(rng, 0, 1);
  c.g.batch = pick(rng, 1, 2);
  c.g.rank = static_cast<int>(pick(rng, 1, 3));
  c.g.groups = c.g.in_channels = c.g.out_channels = pick(rng, 0, 7) ? pick(rng, 2, 40) : pick(rng, 100, 330);
  c.g.flip = pick(rng, 0, 1);
  const int64_t wide = c.g.groups > 40 ? 9 : c.g.rank == 1 ? 70 : 33, kernel = pick(rng, 1, wide);
  const int64_t reach = pick(rng, 1, 4) * kernel;
  set_axis(c.g, 2, pick(rng, 1, c.g.rank == 1 ? 150 : 60), kernel, pick(rng, 1, 4), pick(rng, 1, 4),
           pick(rng, -2, reach), pick(rng, 0, reach));
  for (int axis = 3 - c.g.rank; axis < 2; ++axis)
    set_axis(c.g, axis, pick(rng, 1, axis == 1 ? 24 : 5), pick(rng, 1, axis == 1 ? 7 : 3), pick(rng, 1, 3),
             pick(rng, 1, 3), pick(rng, -1, 4), pick(rng, 0, 4));
  c.fill(rng);
  if (pick(rng, 0, 1)) c.bias = random_values(rng, c.dtype, c.g.groups);
  return c;
}

/// 3x3 of stride 1, which float32 computes going down strips of outputs, and several slices of them; pixels a power of
/// two apart among them.
Depthwise random_3x3(std::mt19937_64& rng) {
  Depthwise c;
  c.dtype = std::array{Dtype::float32, Dtype::float16, Dtype::bfloat16}[static_cast<size_t>(pick(rng, 0, 2))];
  c.activation = static_cast<Activation>(pick(rng, 0, 1) * pick(rng, 0, 7));
  c.gap = pick(rng, 0, 3) ? 0 : pick(rng, 1, 3);
  c.far = pick(rng, 0, 1);
  c.g.batch = pick(rng, 1, 2);
  c.g.groups = c.g.in_channels = c.g.out_channels = pick(rng, 0, 7) ? pick(rng, 14, 50) : pick(rng, 1, 4) * 128;
  c.g.flip = pick(rng, 0, 1);
  if (pick(rng, 0, 2) == 0) {
    c.g.rank = 3;
    const int64_t dilation = pick(rng, 1, 2);
    set_axis(c.g, 0, pick(rng, 1, 5), pick(rng, 1, 4), pick(rng, 1, 2), dilation, pick(rng, -1, 5), pick(rng, 0, 5));
  }
  for (int axis = 1; axis < 3; ++axis) {
    const int64_t dilation = pick(rng, 0, 2) ? 1 : pick(rng, 2, 12);
    set_axis(c.g, axis, pick(rng, 1, 40), 3, 1, dilation, pick(rng, -2, 2 * dilation + 2), pick(rng, 0, 2 * dilation));
  }
  c.fill(rng);
  if (pick(rng, 0, 1)) c.bias = random_values(rng, c.dtype, c.g.groups);
  return c;
}

}  // namespace

TEST_CASE("depthwise convolutions with random arguments agree with the definition") {
  for (uint64_t seed = 7000; seed < 7000 + rounds(250u); ++seed) {
    std::mt19937_64 rng(seed);
    check(random_case(rng), seed);
  }
}

TEST_CASE("depthwise convolutions of 3x3 agree with the definition") {
  for (uint64_t seed = 8000; seed < 8000 + rounds(300u); ++seed) {
    std::mt19937_64 rng(seed);
    check(random_3x3(rng), seed);
  }
}

TEST_CASE("depthwise kernels of every width") {
  for (int64_t kernel = 1; kernel < 1 + tails(70); ++kernel)
    for (int64_t stride = 1; stride <= 3; ++stride) {
      constexpr Dtype kDtypes[] = {Dtype::float32, Dtype::bfloat16, Dtype::float16};
      const uint64_t seed = static_cast<uint64_t>(100 * kernel + stride);
      std::mt19937_64 rng(seed);
      Depthwise c;
      c.dtype = kDtypes[kernel < 9 ? pick(rng, 0, 2) : 0];
      c.g.groups = c.g.in_channels = c.g.out_channels = 19;
      const int64_t dilation = kernel % 3 + 1;
      set_axis(c.g, 1, 3, 2, 1, 1, 1, 0);
      set_axis(c.g, 2, 57 * stride, kernel, stride, dilation, dilation * (kernel / 2), dilation * (kernel / 2));
      c.fill(rng);
      check(c, seed);
    }
}

TEST_CASE("depthwise convolutions with strides of pixels 1 KB apart agree with the definition") {
  for (uint64_t seed = 9100; seed < 9100 + rounds(60u); ++seed) {
    std::mt19937_64 rng(seed);
    Depthwise c;
    const int64_t dilation = pick(rng, 0, 1) ? 1 : 3, kernel = pick(rng, 1, 7);
    c.activation = static_cast<Activation>(pick(rng, 0, 1) * pick(rng, 0, 7));
    c.g.rank = static_cast<int>(pick(rng, 2, 3));
    c.g.groups = c.g.in_channels = c.g.out_channels = pick(rng, 1, 2) * 256;
    set_axis(c.g, 2, pick(rng, 1, 40), kernel, pick(rng, 2, 5), dilation, pick(rng, -1, 3), pick(rng, 0, 3));
    for (int axis = 3 - c.g.rank; axis < 2; ++axis)
      set_axis(c.g, axis, pick(rng, 1, 8), pick(rng, 1, 4), pick(rng, 1, 2), pick(rng, 1, 2), pick(rng, -1, 3),
               pick(rng, 0, 3));
    c.fill(rng);
    if (pick(rng, 0, 1)) c.bias = random_values(rng, c.dtype, c.g.groups);
    check(c, seed);
  }
}

TEST_CASE("depthwise convolutions whose outputs share no columns agree with the definition") {
  int pixel_by_pixel = 0;
  for (uint64_t seed = 9300; seed < 9300 + rounds(100u); ++seed) {
    std::mt19937_64 rng(seed);
    constexpr int64_t kChannels[] = {2, 17, 64, 256, 257, 271, 272, 300, 319, 320, 330, 512, 520};
    Depthwise c;
    const int64_t kernel = pick(rng, 1, 5);
    c.activation = static_cast<Activation>(pick(rng, 0, 1) * pick(rng, 0, 7));
    c.g.rank = static_cast<int>(pick(rng, 1, 3));
    c.gap = pick(rng, 0, 1) * pick(rng, 1, 3);
    c.far = pick(rng, 0, 1);
    c.g.groups = c.g.in_channels = c.g.out_channels = kChannels[pick(rng, 0, 12)];
    set_axis(c.g, 2, pick(rng, 1, 40), kernel, std::max<int64_t>(kernel, 2), pick(rng, 1, 2), pick(rng, -1, 3),
             pick(rng, 0, 3));
    for (int axis = 3 - c.g.rank; axis < 2; ++axis)
      set_axis(c.g, axis, pick(rng, 1, 8), pick(rng, 1, 4), pick(rng, 1, 3), pick(rng, 1, 2), pick(rng, -1, 3),
               pick(rng, 0, 3));
    c.fill(rng);
    if (pick(rng, 0, 1)) c.bias = random_values(rng, c.dtype, c.g.groups);
    pixel_by_pixel += depthwise_pixels(c.plan().problem);
    check(c, seed);
  }
  CHECK(pixel_by_pixel > enough(50));
}

/// Phases with no taps, with one and with several, of strides with and without a common divisor with the dilation.
TEST_CASE("depthwise convolutions of dilated inputs agree with the definition") {
  for (uint64_t seed = 9400; seed < 9400 + rounds(160u); ++seed) {
    std::mt19937_64 rng(seed);
    Depthwise c;
    c.dtype = std::array{Dtype::float32, Dtype::float32, Dtype::bfloat16}[static_cast<size_t>(pick(rng, 0, 2))];
    c.activation = static_cast<Activation>(pick(rng, 0, 1) * pick(rng, 0, 7));
    c.gap = pick(rng, 0, 1) * pick(rng, 1, 3);
    c.far = pick(rng, 0, 1);
    c.g.batch = pick(rng, 1, 2);
    c.g.rank = static_cast<int>(pick(rng, 1, 3));
    c.g.flip = pick(rng, 0, 1);
    c.g.groups = c.g.in_channels = c.g.out_channels = pick(rng, 0, 2) ? pick(rng, 2, 40) : pick(rng, 1, 5) * 64;
    for (int axis = 3 - c.g.rank; axis < 3; ++axis) {
      const int64_t in = pick(rng, 1, axis == 2 ? 40 : 6), apart = pick(rng, 1, 5),
                    kernel = pick(rng, 1, axis == 2 ? 17 : 4);
      set_axis(c.g, axis, (in - 1) * apart + 1, kernel, pick(rng, 0, 2) ? 1 : pick(rng, 2, 4), pick(rng, 1, 3),
               pick(rng, -1, kernel), pick(rng, 0, kernel));
      c.g.in[axis] = in;
      c.g.in_dilation[axis] = apart;
    }
    c.fill(rng);
    if (pick(rng, 0, 1)) c.bias = random_values(rng, c.dtype, c.g.groups);
    if (c.dtype == Dtype::float32 && pick(rng, 0, 1))
      c.residual = random_values(rng, c.dtype, static_cast<int64_t>(c.outputs()));
    check(c, seed);
  }
}

TEST_CASE("a depthwise kernel whose rows fill more than L1") {
  std::mt19937_64 rng(9);
  Depthwise c;
  c.g.groups = c.g.in_channels = c.g.out_channels = 37;
  set_axis(c.g, 1, 20, 31, 1, 1, 15, 15);
  set_axis(c.g, 2, 33, 31, 1, 1, 15, 15);
  for (Dtype t : {Dtype::float32, Dtype::bfloat16}) {
    c.dtype = t;
    c.fill(rng);
    check(c, 9);
  }
}

TEST_CASE("NaN and inf reach no output of a depthwise convolution but their own") {
  Settings settings;
  for (uint64_t seed = 1; seed < 1 + rounds(90u); ++seed) {
    std::mt19937_64 rng(seed);
    Depthwise c = seed <= 60 ? random_case(rng) : random_3x3(rng);
    c.activation = Activation::none;
    constexpr double kBad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
    const double bad = kBad[seed % 2];
    for (int i = 0; i < 3; ++i) c.x[static_cast<size_t>(pick(rng, 0, static_cast<int64_t>(c.x.size()) - 1))] = bad;
    const std::vector<double> want = c.definition(c.x, c.w);
    for (Isa isa : supported_isas()) {
      set_isa(name(isa));
      const Stored got = c.run();
      size_t wrong = 0;
      for (size_t i = 0; i < want.size(); ++i)
        wrong += std::isfinite(got.get(i)) != std::isfinite(want[i]) || std::isnan(got.get(i)) != std::isnan(want[i]);
      CHECK_MESSAGE(wrong == 0, c.text(seed), wrong, " outputs of ", want.size(), " on ", name(isa));
    }
  }
}
