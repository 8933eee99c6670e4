// tests/kernels/test_conv.cpp -- every kind of convolution against the reference: all dtypes, instruction sets, threads
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

constexpr Dtype kDtypes[] = {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16};
constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::relu6, Activation::leaky_relu,
                                       Activation::silu, Activation::gelu, Activation::tanh,  Activation::sigmoid};

std::vector<double> absolute(std::vector<double> v) {
  for (double& x : v) x = std::fabs(x);
  return v;
}

/// One convolution with its operands, and for each kind the exact result with the magnitude of its sums.
struct Case {
  Case(const ConvGeometry& geometry, Dtype t, std::mt19937_64& rng)
      : g(geometry),
        dtype(t),
        x(random_values(rng, t, g.batch * product(g.in) * g.in_channels)),
        w(random_values(rng, t, g.out_channels * product(g.kernel) * (g.in_channels / g.groups))),
        gy(random_values(rng, t, g.batch * product(g.out) * g.out_channels)) {}

  void reference(ConvKind kind, const std::vector<double>& a, const std::vector<double>& b,
                 std::vector<double>& r) const {
    r.resize(kind == ConvKind::forward ? gy.size() : kind == ConvKind::input_grad ? x.size() : w.size());
    if (kind == ConvKind::forward) reference_conv(g, a.data(), b.data(), r.data());
    if (kind == ConvKind::input_grad) reference_conv_input_grad(g, a.data(), b.data(), r.data());
    if (kind == ConvKind::weight_grad) reference_conv_weight_grad(g, a.data(), b.data(), r.data());
  }
  const std::vector<double>& first(ConvKind kind) const { return kind == ConvKind::input_grad ? gy : x; }
  const std::vector<double>& second(ConvKind kind) const { return kind == ConvKind::weight_grad ? gy : w; }

  ConvGeometry g;
  Dtype dtype;
  std::vector<double> x, w, gy;
};

/// Copies `v` into rows of `channels` that are `gap` elements apart, to exercise strides.
Stored spread(Dtype t, const std::vector<double>& v, const int64_t (&n)[3], int64_t batch, int64_t channels,
              int64_t gap, int64_t (&stride)[4]) {
  set_strides(stride, n, channels + gap);
  Stored s(t, static_cast<size_t>(batch * stride[0]) + 1);
  std::memset(s.data(), 0x7f, s.bytes());  // NaN or huge: must never be read
  for (int64_t p = 0; p < batch * product(n); ++p)
    for (int64_t c = 0; c < channels; ++c)
      s.set(static_cast<size_t>(p * (channels + gap) + c), v[static_cast<size_t>(p * channels + c)]);
  return s;
}

struct Epilogue {
  Activation activation = Activation::none;
  std::vector<double> bias;
};

Stored run(const Case& c, ConvKind kind, const Epilogue& e, bool packed, int64_t gap) {
  ConvProblem q = normalize(c.g, kind, c.dtype);
  q.activation = e.activation;
  q.has_bias = !e.bias.empty();
  const CpuPlan plan = plan_conv(q, cpu_facts());
  if (kind == ConvKind::weight_grad) {
    ConvWeightGradOperands a;
    const Stored x = spread(c.dtype, c.x, c.g.in, c.g.batch, c.g.in_channels, gap, a.x_stride);
    const Stored gy = spread(c.dtype, c.gy, c.g.out, c.g.batch, c.g.out_channels, gap, a.gy_stride);
    Stored dw(c.dtype, c.w.size());
    std::memset(dw.data(), 0x7f, dw.bytes());
    a.x = x.data();
    a.gy = gy.data();
    a.dw = dw.data();
    run_conv_weight_grad(plan, a);
    return dw;
  }
  ConvOperands a;
  const bool back = kind == ConvKind::input_grad;
  const Stored x = spread(c.dtype, c.first(kind), q.in, q.batch, q.groups * q.c, gap, a.x_stride);
  const Stored w(c.dtype, c.w), bias(c.dtype, e.bias);
  Stored y(c.dtype, back ? c.x.size() : c.gy.size());
  std::memset(y.data(), 0x7f, y.bytes());
  a.x = x.data();
  a.w = w.data();
  a.bias = bias.data();
  a.y = y.data();
  void* store = nullptr;
  if (packed) {
    const size_t bytes = packed_weight_bytes(plan);
    store = std::aligned_alloc(64, (bytes + 127) / 64 * 64);
    pack_conv_weights(plan, w.data(), store);
    a.packed = store;
    if (!is_winograd(plan.algorithm)) a.w = nullptr;
  }
  run_conv(plan, a);
  std::free(store);
  return y;
}

/// Largest error in units of what is allowed.
double worst(const Case& c, ConvKind kind, const Epilogue& e, const Stored& got) {
  std::vector<double> want, scale;
  c.reference(kind, c.first(kind), c.second(kind), want);
  c.reference(kind, absolute(c.first(kind)), absolute(c.second(kind)), scale);
  if (!e.bias.empty() || e.activation != Activation::none) {
    const int64_t n = kind == ConvKind::forward ? c.g.out_channels : c.g.in_channels;
    reference_epilogue(e.activation, e.bias.empty() ? nullptr : e.bias.data(),
                       n ? static_cast<int64_t>(want.size()) / n : 0, n, want.data());
  }
  // A transform mixes the pixels of a tile: the error of an output is relative to the sums around it.
  const bool mixed =
      kind != ConvKind::weight_grad && is_winograd(plan_conv(normalize(c.g, kind, c.dtype), cpu_facts()).algorithm);
  const double largest = scale.empty() ? 0 : *std::max_element(scale.begin(), scale.end());
  double w = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(got.get(i) - want[i]) / tolerance(c.dtype, mixed ? largest : scale[i], want[i]);
    w = error <= w ? w : error;  // a NaN error is kept
  }
  return w;
}

std::string describe_case(uint64_t seed, const Case& c, ConvKind kind) {
  return "seed " + std::to_string(seed) + " " + describe(plan_conv(normalize(c.g, kind, c.dtype), cpu_facts()));
}

void check_case(uint64_t seed, const Case& c, std::mt19937_64& rng) {
  Settings settings;
  for (ConvKind kind : {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad}) {
    Epilogue e;
    if (kind != ConvKind::weight_grad && pick(rng, 0, 1)) {
      e.activation = kActivations[pick(rng, 0, 7)];
      const int64_t n = kind == ConvKind::forward ? c.g.out_channels : c.g.in_channels;
      if (pick(rng, 0, 1)) e.bias = random_values(rng, c.dtype, n);
    }
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      set_num_threads(1);
      set_workspace_limit(settings.workspace);
      const int64_t gap = pick(rng, 0, 2) ? 0 : pick(rng, 1, 3);
      const Stored one = run(c, kind, e, false, gap);
      const double error = worst(c, kind, e, one);
      CHECK_MESSAGE(error <= 1, describe_case(seed, c, kind), "gap ", gap, " activation ", int(e.activation));
      const int threads = static_cast<int>(pick(rng, 2, 4));
      set_num_threads(threads);
      CHECK_MESSAGE(same_bits(one, run(c, kind, e, true, gap)), describe_case(seed, c, kind), "threads ", threads);
      if (kind != ConvKind::weight_grad) {
        set_workspace_limit(1024);  // weights packed panel by panel
        CHECK_MESSAGE(same_bits(one, run(c, kind, e, false, 0)), describe_case(seed, c, kind), "blocked");
      }
    }
  }
}

int repeats(int n) {
  const char* more = std::getenv("NHWC_TEST_REPEAT");
  return more ? n * std::atoi(more) : emulated() ? n / 5 : n;
}

ConvGeometry simple(int64_t h, int64_t w, int64_t k, int64_t c, int64_t o, int64_t groups = 1) {
  ConvGeometry g;
  g.in_channels = c;
  g.out_channels = o;
  g.groups = groups;
  g.in[1] = g.out[1] = h;
  g.in[2] = g.out[2] = w;
  g.kernel[1] = g.kernel[2] = k;
  g.pad[1] = g.pad[2] = k / 2;
  return g;
}

}  // namespace

TEST_CASE("convolutions with random arguments agree with the definition") {
  const uint64_t base = 20240601;
  for (int i = 0; i < repeats(250); ++i) {
    const uint64_t seed = base + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    check_case(seed, Case(g, kDtypes[i % 4], rng), rng);
  }
}

TEST_CASE("every tail of channels and pixels") {
  for (int64_t n = 1; n <= 34; ++n) {
    std::mt19937_64 rng(static_cast<uint64_t>(n));
    const Dtype t = kDtypes[n % 4];
    check_case(static_cast<uint64_t>(n), Case(simple(1, n, 1, 9, n), t, rng), rng);
    check_case(static_cast<uint64_t>(n), Case(simple(2, 35 - n, 3, n, 3), t, rng), rng);
    check_case(static_cast<uint64_t>(n), Case(simple(3, 7, 3, 2 * n, 2 * n, 2 * n), t, rng), rng);
  }
}

TEST_CASE("few outputs, and those that end inside a vector, in rows of whole tiles") {
  for (int64_t o : {1, 2, 3, 4, 7, 8, 24, 40})
    for (int64_t c : {2, 3, 8, 16, 19, 32, 48}) {
      std::mt19937_64 rng(static_cast<uint64_t>(o * 100 + c));
      const uint64_t seed = static_cast<uint64_t>(o * 100 + c);
      check_case(seed, Case(simple(3, 31, 1, c, o), Dtype::float32, rng), rng);
      check_case(seed, Case(simple(4, 30, 3, c, o), Dtype::float32, rng), rng);
    }
}

TEST_CASE("outputs that leave few for a second vector, in groups and alone") {
  for (int64_t o = 16; o <= 25; o += emulated() ? 3 : 1)
    for (int64_t groups : {1, 2, 5}) {
      const uint64_t seed = static_cast<uint64_t>(o * 100 + groups);
      std::mt19937_64 rng(seed);
      const Dtype t = kDtypes[o % 4];
      for (int64_t c : {3, 4, 9}) check_case(seed, Case(simple(3, 9, 3, c * groups, o * groups, groups), t, rng), rng);
      check_case(seed, Case(simple(2, 21, 1, 30 * groups, o * groups, groups), t, rng), rng);
      if (t != Dtype::float32)
        check_case(seed, Case(simple(2, 21, 1, 30 * groups, o * groups, groups), Dtype::float32, rng), rng);
    }
}

TEST_CASE("every tail of pixels and of channels where terms lie side by side") {
  for (int64_t n = 1; n <= 18; ++n)
    for (int64_t o : {19, 22}) {
      const uint64_t seed = static_cast<uint64_t>(n * 100 + o);
      std::mt19937_64 rng(seed);
      const ConvGeometry row = simple(1, n, 1, 2 * (24 + n % 5), 2 * o, 2);
      const ConvProblem q = normalize(row, ConvKind::forward, Dtype::float32);
      CHECK(has_terms(q, 16));
      if (current_isa() == Isa::avx512) CHECK(plan_conv(q, cpu_facts()).algorithm == ConvAlgorithm::direct);
      check_case(seed, Case(row, Dtype::float32, rng), rng);
      check_case(seed, Case(simple(3, n, 3, 5, o), Dtype::float32, rng), rng);
    }
}

TEST_CASE("stems whose tiles at the border are copied, several rows to a chunk") {
  for (int64_t w : {13, 30, 97, 129, 225})
    for (int64_t stride : {1, 2}) {
      const uint64_t seed = static_cast<uint64_t>(w * 10 + stride);
      std::mt19937_64 rng(seed);
      ConvGeometry g = simple(11, w, 3, 3, 37);
      for (int a = 1; a < 3; ++a) {
        g.stride[a] = stride;
        g.out[a] = (g.in[a] - 1) / stride + 1;
      }
      g.batch = 2;
      check_case(seed, Case(g, Dtype::float32, rng), rng);
    }
}

TEST_CASE("small groups of every size") {
  for (int64_t c = 1; c <= 17; ++c)
    for (int64_t o : {int64_t(1), c, c + 1, int64_t(16)}) {
      std::mt19937_64 rng(static_cast<uint64_t>(c * 100 + o));
      check_case(static_cast<uint64_t>(c * 100 + o), Case(simple(3, 5, 3, 5 * c, 5 * o, 5), kDtypes[c % 2], rng), rng);
    }
}

TEST_CASE("transposed convolutions whose kernel is the stride, or whose input one pixel") {
  std::mt19937_64 rng(20240603);
  int folded[2] = {0, 0};
  for (int i = 0; i < repeats(60); ++i) {
    ConvGeometry g;
    g.rank = 3;
    g.batch = pick(rng, 1, 3);
    g.in_channels = pick(rng, 1, 20);
    g.out_channels = pick(rng, 1, 45);
    g.flip = pick(rng, 0, 1);
    const bool back = pick(rng, 0, 1);  // the input gradient of a convolution with strides is what is folded
    for (int a = 0; a < 3; ++a) {
      const int64_t pixels = pick(rng, 0, 1) ? 1 : pick(rng, 1, 4), k = pick(rng, 1, 3), step = pixels == 1 ? 1 : k;
      g.kernel[a] = k;
      (back ? g.out : g.in)[a] = pixels;
      (back ? g.in : g.out)[a] = pixels * k;
      (back ? g.stride : g.in_dilation)[a] = step;
      g.pad[a] = back ? 0 : k - 1;
    }
    if (back) g.flip = false;
    const ConvProblem q = normalize(g, back ? ConvKind::input_grad : ConvKind::forward, Dtype::float32);
    if (q.fold > 1) ++folded[back];
    CHECK(q.fold == q.o / (back ? g.in_channels : g.out_channels));
    if (g.kernel[2] > 1) CHECK(q.fold >= g.kernel[2]);
    check_case(static_cast<uint64_t>(i), Case(g, kDtypes[i % 4], rng), rng);
  }
  CHECK(folded[0] > enough(10));
  CHECK(folded[1] > enough(10));
}

TEST_CASE("outputs that no input reaches: strides beyond the kernel of a transposed convolution") {
  std::mt19937_64 rng(20240604);
  for (int i = 0; i < repeats(60); ++i) {
    ConvGeometry g;
    g.rank = 3;
    g.batch = pick(rng, 1, 3);
    g.groups = pick(rng, 0, 1) ? 1 : pick(rng, 2, 5);
    g.in_channels = g.groups * pick(rng, 1, 18);
    g.out_channels = g.groups * pick(rng, 1, 37);
    const bool back = pick(rng, 0, 1);
    for (int a = 0; a < 3; ++a) {
      const int64_t k = pick(rng, 1, 3), pixels = pick(rng, 1, 6), step = pick(rng, 1, 5);
      g.kernel[a] = k;
      g.pad[a] = back ? pick(rng, 0, k - 1) : pick(rng, 0, k + 3);
      const int64_t most = std::max<int64_t>(1, (pixels - 1) * step + k - 2 * (back ? g.pad[a] : 0) + pick(rng, 0, 3));
      (back ? g.out : g.in)[a] = pixels;
      (back ? g.in : g.out)[a] = most;
      (back ? g.stride : g.in_dilation)[a] = step;
    }
    check_case(static_cast<uint64_t>(i), Case(g, kDtypes[i % 4], rng), rng);
  }
}

TEST_CASE("kernels wider than the input") {
  for (int64_t groups : {1, 20})
    for (int64_t width = 1; width <= 6; ++width) {
      std::mt19937_64 rng(static_cast<uint64_t>(width));
      ConvGeometry g = simple(3, width, 7, 20, 20, groups);
      g.pad[2] = 6;
      g.out[2] = width + 6;
      check_case(static_cast<uint64_t>(width), Case(g, kDtypes[width % 4], rng), rng);
      g.in_channels = g.out_channels = g.groups = 100;
      check_case(static_cast<uint64_t>(width), Case(g, Dtype::float32, rng), rng);
    }
}

TEST_CASE("long sums are cut into pieces") {
  std::mt19937_64 rng(5);
  check_case(5, Case(simple(2, 3, 3, 700, 5), Dtype::float32, rng), rng);
  check_case(6, Case(simple(1, 3, 1, 9000, 3), Dtype::float16, rng), rng);
  ConvGeometry g = simple(1, 3000, 1, 1, 1);
  g.kernel[2] = 2500;
  g.out[2] = 501;
  g.highest_precision = true;  // else it is transformed: test_conv_fft.cpp
  check_case(7, Case(g, Dtype::float32, rng), rng);
  check_case(8, Case(simple(40, 700, 1, 3, 5), Dtype::float32, rng), rng);
}

TEST_CASE("empty convolutions") {
  Settings settings;
  for (int which = 0; which < 5; ++which) {
    ConvGeometry g = simple(4, 5, 3, 6, 7);
    if (which == 0) g.batch = 0;
    if (which == 1) g.in_channels = 0;
    if (which == 2) g.out_channels = 0;
    if (which == 3) g.in[1] = 0, g.out[1] = 1;
    if (which == 4) g.out[2] = 0;
    std::mt19937_64 rng(1);
    for (Dtype t : kDtypes) check_case(1, Case(g, t, rng), rng);
  }
}

TEST_CASE("NaN and inf reach the outputs they reach in the definition") {
  for (Isa isa : supported_isas()) {
    Settings settings;
    set_isa(name(isa));
    for (int64_t channels : {3, 16, 33})
      for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
        for (int64_t groups : {int64_t(1), channels}) {
          std::mt19937_64 rng(9);
          Case c(simple(9, 9, 3, channels, channels, groups), Dtype::float32, rng);
          c.x[static_cast<size_t>((4 * 9 + 4) * channels + 1)] = bad;
          std::vector<double> want;
          c.reference(ConvKind::forward, c.x, c.w, want);
          for (Activation f : {Activation::none, Activation::relu, Activation::relu6}) {
            const Stored got = run(c, ConvKind::forward, {f, {}}, false, 0);
            if (std::isnan(bad))
              for (size_t i = 0; i < want.size(); ++i) CHECK(std::isnan(got.get(i)) == std::isnan(want[i]));
            if (f == Activation::none)
              for (size_t i = 0; i < want.size(); ++i) CHECK(std::isfinite(got.get(i)) == std::isfinite(want[i]));
          }
        }
  }
}

TEST_CASE("a long weight gradient stays accurate") {
  for (Isa isa : supported_isas()) {
    Settings settings;
    set_isa(name(isa));
    ConvGeometry g = simple(1024, 1024, 1, 1, 1);
    std::mt19937_64 rng(3);
    Case c(g, Dtype::float32, rng);
    for (double& v : c.x) v = static_cast<float>(0.5 + std::fabs(v) * 0.1);
    for (double& v : c.gy) v = static_cast<float>(0.5 + std::fabs(v) * 0.1);
    std::vector<double> want;
    c.reference(ConvKind::weight_grad, c.x, c.gy, want);
    const Stored got = run(c, ConvKind::weight_grad, {}, false, 0);
    CHECK(std::fabs(got.get(0) - want[0]) <= 2e-6 * want[0]);
  }
}

TEST_CASE("weight gradients by blocks: copied and in place, merged taps, pieces of rows, ranges of panels, parts") {
  struct Shape {
    int64_t batch, h, w, kh, kw, c, o, stride = 1, dilation = 1, in_dilation = 1, groups = 1;
  };
  const Shape shapes[] = {
      {2, 13, 11, 3, 3, 128, 130},               // copied, several blocks, rows shared by kernel rows
      {3, 12, 15, 3, 3, 130, 128, 2},            // phases of a stride
      {2, 9, 14, 3, 3, 128, 128, 3, 1, 2},       // phases of an input dilation
      {1, 30, 9, 3, 2, 128, 36, 1, 4},           // rows further apart than a block
      {1, 2, 700, 1, 3, 128, 40, 1, 3},          // pieces of a row
      {1, 2, 700, 1, 3, 128, 40, 2, 3},          // and of the phases of a stride
      {1, 1, 1500, 1, 5, 5, 20, 2},              // the same with merged taps
      {2, 40, 41, 7, 7, 3, 40, 2},               // merged
      {2, 33, 10, 3, 3, 24, 48},                 // merged, tiles that straddle taps
      {2, 20, 20, 3, 3, 16, 16, 1, 1, 1, 2},     // merged, and a group of the pixel
      {6, 30, 30, 1, 1, 128, 256},               // parts
      {1, 5, 6, 3, 3, 300, 390},                 // ranges of panels
      {1, 9, 9, 3, 3, 256, 256, 1, 1, 1, 2},     // groups of copied pixels
      {1, 40, 40, 3, 3, 300, 300, 1, 1, 1, 300}  // depthwise: more than one panel
  };
  uint64_t seed = 77;
  for (const Shape& s : shapes) {
    std::mt19937_64 rng(++seed);
    ConvGeometry g = simple(s.h, s.w, 1, s.c, s.o, s.groups);
    g.batch = s.batch;
    const int64_t kernel[] = {1, s.kh, s.kw};
    for (int a = 1; a < 3; ++a) {
      g.kernel[a] = kernel[a];
      g.dilation[a] = kernel[a] > 1 ? s.dilation : 1;
      g.stride[a] = s.stride;
      g.in_dilation[a] = s.in_dilation;
      g.pad[a] = g.dilation[a] * (kernel[a] - 1) / 2;
      g.out[a] = ((g.in[a] - 1) * s.in_dilation + 2 * g.pad[a] - g.dilation[a] * (kernel[a] - 1)) / s.stride + 1;
    }
    for (Dtype t : {Dtype::float32, kDtypes[1 + seed % 3]}) {
      const Case c(g, t, rng);
      Settings settings;
      for (Isa isa : supported_isas()) {
        set_isa(name(isa));
        set_num_threads(1);
        const Stored one = run(c, ConvKind::weight_grad, {}, false, 0);
        CHECK_MESSAGE(worst(c, ConvKind::weight_grad, {}, one) <= 1, describe_case(seed, c, ConvKind::weight_grad));
        set_num_threads(3);
        CHECK_MESSAGE(same_bits(one, run(c, ConvKind::weight_grad, {}, false, 0)),
                      describe_case(seed, c, ConvKind::weight_grad));
        const Stored apart = run(c, ConvKind::weight_grad, {}, false, 3);
        CHECK_MESSAGE(worst(c, ConvKind::weight_grad, {}, apart) <= 1, describe_case(seed, c, ConvKind::weight_grad));
      }
    }
  }
}
