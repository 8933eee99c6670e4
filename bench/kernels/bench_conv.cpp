// bench/kernels/bench_conv.cpp -- GFLOP/s of the convolution engine on plain memory, and the share of the core's FMA
// peak Usage: bench_conv [substring of the layer names]. NHWC_ISA forces an instruction set. Weights are packed
// beforehand.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/conv.h"
#include "kernels/table.h"
#include "nhwc/error.h"

using namespace nhwc;

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Median seconds of one call, over at least 15 samples of about a millisecond or more.
double median_seconds(const std::function<void()>& f) {
  f();
  const double t0 = now();
  f();
  const int calls = std::max(1, static_cast<int>(2e-3 / std::max(now() - t0, 1e-8)));
  std::vector<double> samples;
  const double end = now() + 0.25;
  while (samples.size() < 15 || now() < end) {
    const double t = now();
    for (int i = 0; i < calls; ++i) f();
    samples.push_back((now() - t) / calls);
  }
  std::nth_element(samples.begin(), samples.begin() + static_cast<long>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

/// Fused multiply-adds on registers alone, in a function built for the instruction set: the peak that layers are
/// compared with.
#define NHWC_PEAK(name, T, bytes, target_isa)                                                    \
  __attribute__((target(target_isa), optimize("O3"))) double name(int64_t n) {                   \
    typedef T V __attribute__((vector_size(bytes)));                                             \
    V acc[12] = {}, a = {}, b = {};                                                              \
    __asm__ volatile("" : "+x"(a), "+x"(b));                                                     \
    for (int64_t i = 0; i < n; ++i) {                                                            \
      _Pragma("GCC unroll 12") for (int j = 0; j < 12; ++j) acc[j] = a * b + acc[j];             \
      _Pragma("GCC unroll 12") for (int j = 0; j < 12; ++j) __asm__ volatile("" : "+x"(acc[j])); \
    }                                                                                            \
    return 2.0 * 12 * static_cast<double>(bytes / sizeof(T)) * static_cast<double>(n);           \
  }
NHWC_PEAK(flops_avx512_f32, float, 64, "avx512f")
NHWC_PEAK(flops_avx512_f64, double, 64, "avx512f")
NHWC_PEAK(flops_avx2_f32, float, 32, "avx2,fma")
NHWC_PEAK(flops_avx2_f64, double, 32, "avx2,fma")
NHWC_PEAK(flops_baseline_f32, float, 16, "sse2")
NHWC_PEAK(flops_baseline_f64, double, 16, "sse2")

double peak_gflops(Isa isa, bool wide) {
  double (*run)(int64_t) = wide ? flops_baseline_f64 : flops_baseline_f32;
  if (isa == Isa::avx2) run = wide ? flops_avx2_f64 : flops_avx2_f32;
  if (isa == Isa::avx512) run = wide ? flops_avx512_f64 : flops_avx512_f32;
  constexpr int64_t n = 100000;
  return run(n) / median_seconds([&] { run(n); }) / 1e9;
}

struct Layer {
  const char* name;
  int64_t batch, h, w, c, o, kernel;
  int64_t stride = 1, groups = 1, dilation = 1, in_dilation = 1;
  ConvKind kind = ConvKind::forward;
  Dtype dtype = Dtype::float32;
  bool rows_only = false;  // 1-D
};

ConvGeometry geometry(const Layer& l) {
  ConvGeometry g;
  g.batch = l.batch;
  g.in_channels = l.c;
  g.out_channels = l.o;
  g.groups = l.groups;
  g.in[1] = l.h;
  g.in[2] = l.w;
  for (int a = l.rows_only ? 2 : 1; a < 3; ++a) {
    g.kernel[a] = l.kernel;
    g.stride[a] = l.stride;
    g.dilation[a] = l.dilation;
    g.in_dilation[a] = l.in_dilation;
    // A transposed convolution of stride in_dilation and padding (kernel - stride) / 2 multiplies the size exactly.
    g.pad[a] = l.in_dilation > 1 ? l.kernel - 1 - (l.kernel - l.in_dilation) / 2 : l.dilation * (l.kernel - 1) / 2;
  }
  for (int a = 1; a < 3; ++a)
    g.out[a] = g.in_dilation[a] > 1
                   ? g.in[a] * g.in_dilation[a]
                   : (g.in[a] + 2 * g.pad[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a] + 1;
  return g;
}

/// Products that meet an input, twice; borders count as inside.
double flops(const ConvGeometry& g) {
  double f = 2.0 * static_cast<double>(g.batch * g.out_channels * (g.in_channels / g.groups));
  for (int a = 0; a < 3; ++a) f *= static_cast<double>(g.out[a] * g.kernel[a]) / static_cast<double>(g.in_dilation[a]);
  return f;
}

struct Memory {
  explicit Memory(size_t bytes) : p(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) { std::memset(p, 0, bytes); }
  ~Memory() { std::free(p); }
  void* p;
};

void strides(int64_t (&s)[4], const int64_t (&n)[3], int64_t channels) {
  s[3] = channels;
  for (int a = 2; a >= 0; --a) s[a] = s[a + 1] * n[a];
}

/// a (m, k) row-major times b, row-major or transposed.
double run_product(int64_t m, int64_t n, int64_t k, bool transposed) {
  const Memory a(static_cast<size_t>(m * k) * 4), b(static_cast<size_t>(k * n) * 4), c(static_cast<size_t>(m * n) * 4);
  return median_seconds(
      [&] { run_gemm(Dtype::float32, m, n, k, a.p, k, 1, b.p, transposed ? 1 : n, transposed ? k : 1, c.p); });
}

double run_layer(const Layer& l, bool packed) {
  const ConvGeometry g = geometry(l);
  const CpuPlan plan = plan_conv(normalize(g, l.kind, l.dtype), cpu_facts());
  const ConvProblem& q = plan.problem;
  const size_t e = size_of(l.dtype);
  const auto volume = [](const int64_t (&n)[3]) { return static_cast<size_t>(n[0] * n[1] * n[2]); };
  Memory x(static_cast<size_t>(g.batch * g.in_channels) * volume(g.in) * e);
  Memory y(static_cast<size_t>(g.batch * g.out_channels) * volume(g.out) * e);
  Memory w(static_cast<size_t>(g.out_channels * g.in_channels / g.groups) * volume(g.kernel) * e);
  if (l.kind == ConvKind::weight_grad) {
    ConvWeightGradOperands a;
    a.x = x.p;
    a.gy = y.p;
    a.dw = w.p;
    strides(a.x_stride, g.in, g.in_channels);
    strides(a.gy_stride, g.out, g.out_channels);
    return median_seconds([&] { run_conv_weight_grad(plan, a); });
  }
  const Memory store(packed_weight_bytes(plan));
  ConvOperands a;
  const bool back = l.kind == ConvKind::input_grad;
  a.x = back ? y.p : x.p;
  a.y = back ? x.p : y.p;
  a.w = w.p;
  strides(a.x_stride, q.in, q.groups * q.c);
  if (packed) {
    pack_conv_weights(plan, w.p, store.p);
    a.packed = store.p;
  }
  return median_seconds([&] { run_conv(plan, a); });
}

constexpr ConvKind kBack = ConvKind::input_grad, kWeight = ConvKind::weight_grad;
const Layer kLayers[] = {
    {"3x3 56x56x64", 1, 56, 56, 64, 64, 3},
    {"3x3 28x28x128", 1, 28, 28, 128, 128, 3},
    {"3x3 14x14x256", 1, 14, 14, 256, 256, 3},
    {"3x3 7x7x512", 1, 7, 7, 512, 512, 3},
    {"3x3 8x32x32x64", 8, 32, 32, 64, 64, 3},
    {"3x3 28x28 100->100", 1, 28, 28, 100, 100, 3},
    {"3x3 28x28 20->20", 1, 28, 28, 20, 20, 3},
    {"3x3 64x64 320->4", 1, 64, 64, 320, 4, 3},
    {"1x1 56x56 64->256", 1, 56, 56, 64, 256, 1},
    {"1x1 14x14 1024->256", 1, 14, 14, 1024, 256, 1},
    {"7x7 s2 224x224 3->64", 1, 224, 224, 3, 64, 7, 2},
    {"3x3 256x256 3->64", 1, 256, 256, 3, 64, 3},
    {"3x3 56x56 3->64", 1, 56, 56, 3, 64, 3},
    {"3x3 56x56 3->32", 1, 56, 56, 3, 32, 3},
    {"3x3 dilation 2 28x28x128", 1, 28, 28, 128, 128, 3, 1, 1, 2},
    {"3x3 s2 56x56x128", 1, 56, 56, 128, 128, 3, 2},
    {"depthwise 3x3 112x112x96", 1, 112, 112, 96, 96, 3, 1, 96},
    {"depthwise 3x3 s2 112x112x96", 1, 112, 112, 96, 96, 3, 2, 96},
    {"depthwise 3x3 14x14x576", 1, 14, 14, 576, 576, 3, 1, 576},
    {"depthwise 5x5 28x28x240", 1, 28, 28, 240, 240, 5, 1, 240},
    {"depthwise 7x7 56x56x96", 1, 56, 56, 96, 96, 7, 1, 96},
    {"depthwise k31 1x4096x256", 1, 1, 4096, 256, 256, 31, 1, 256, 1, 1, ConvKind::forward, Dtype::float32, true},
    {"grouped 3x3 56x56 32x4", 1, 56, 56, 128, 128, 3, 1, 32},
    {"grouped 3x3 56x56 16x8", 1, 56, 56, 128, 128, 3, 1, 16},
    {"grouped 3x3 28x28 16x16", 1, 28, 28, 256, 256, 3, 1, 16},
    {"conv1d k3 1024 256->256", 1, 1, 1024, 256, 256, 3, 1, 1, 1, 1, ConvKind::forward, Dtype::float32, true},
    {"conv1d k11 d3 4096 64->64", 1, 1, 4096, 64, 64, 11, 1, 1, 3, 1, ConvKind::forward, Dtype::float32, true},
    {"transposed 4x4 s2 28x28 128->64", 1, 28, 28, 128, 64, 4, 1, 1, 1, 2},
    {"transposed k16 s8 512 256->128", 1, 1, 512, 256, 128, 16, 1, 1, 1, 8, ConvKind::forward, Dtype::float32, true},
    {"bf16 3x3 56x56x64", 1, 56, 56, 64, 64, 3, 1, 1, 1, 1, ConvKind::forward, Dtype::bfloat16},
    {"f16 1x1 56x56 64->256", 1, 56, 56, 64, 256, 1, 1, 1, 1, 1, ConvKind::forward, Dtype::float16},
    {"f64 3x3 28x28x128", 1, 28, 28, 128, 128, 3, 1, 1, 1, 1, ConvKind::forward, Dtype::float64},
    {"input grad 3x3 56x56x64", 1, 56, 56, 64, 64, 3, 1, 1, 1, 1, kBack},
    {"input grad 3x3 s2 56x56x128", 1, 56, 56, 128, 128, 3, 2, 1, 1, 1, kBack},
    {"weight grad 3x3 56x56x64", 1, 56, 56, 64, 64, 3, 1, 1, 1, 1, kWeight},
    {"weight grad 3x3 28x28x128", 1, 28, 28, 128, 128, 3, 1, 1, 1, 1, kWeight},
    {"weight grad 3x3 14x14x256", 1, 14, 14, 256, 256, 3, 1, 1, 1, 1, kWeight},
    {"weight grad 1x1 56x56 64->256", 1, 56, 56, 64, 256, 1, 1, 1, 1, 1, kWeight},
    {"weight grad 7x7 s2 3->64", 1, 224, 224, 3, 64, 7, 2, 1, 1, 1, kWeight},
    {"weight grad depthwise 112x112x96", 1, 112, 112, 96, 96, 3, 1, 96, 1, 1, kWeight},
    {"weight grad grouped 56x56 32x4", 1, 56, 56, 128, 128, 3, 1, 32, 1, 1, kWeight},
    {"tiny 3x3 4x4x8", 1, 4, 4, 8, 8, 3},
};

struct Product {
  int64_t m, n, k;
  bool transposed;
};
constexpr Product kProducts[] = {{1, 1000, 1280, true},  {1, 1000, 1280, false},  {8, 1000, 2048, true},
                                 {32, 1000, 2048, true}, {32, 1000, 2048, false}, {512, 512, 512, false},
                                 {512, 512, 512, true},  {1000, 10, 4096, false}};

}  // namespace

int main(int argc, char** argv) {
  const KernelTable& k = kernels();
  const double peak32 = peak_gflops(k.isa, false), peak64 = peak_gflops(k.isa, true);
  std::printf("%s, %s; peak of one core %.0f GFLOP/s float32, %.0f float64\n", cpu_info().model.c_str(), name(k.isa),
              peak32, peak64);
  std::printf("%-34s %-22s %10s %8s %6s %8s %6s %10s\n", "layer", "algorithm", "us", "GFLOP/s", "peak", "2 thr",
              "ratio", "unpacked");
  for (const Layer& l : kLayers) {
    if (argc > 1 && !std::strstr(l.name, argv[1])) continue;
    const ConvGeometry g = geometry(l);
    const CpuPlan plan = plan_conv(normalize(g, l.kind, l.dtype), cpu_facts());
    set_num_threads(1);
    const double one = run_layer(l, true), unpacked = l.kind == kWeight ? 0 : run_layer(l, false);
    set_num_threads(2);
    const double two = run_layer(l, true), f = flops(g) / 1e9;
    const double peak = l.dtype == Dtype::float64 ? peak64 : peak32;
    std::printf("%-34s %-22s %10.2f %8.1f %5.0f%% %8.1f %6.2f %10.2f\n", l.name, name(plan.algorithm), one * 1e6,
                f / one, 100 * f / one / peak, f / two, one / two, unpacked * 1e6);
    std::fflush(stdout);
  }
  for (const Product& p : kProducts) {
    const std::string label = message("gemm ", p.m, "x", p.n, "x", p.k, p.transposed ? " b transposed" : "");
    if (argc > 1 && label.find(argv[1]) == std::string::npos) continue;
    set_num_threads(1);
    const double one = run_product(p.m, p.n, p.k, p.transposed);
    set_num_threads(2);
    const double two = run_product(p.m, p.n, p.k, p.transposed), f = 2e-9 * static_cast<double>(p.m * p.n * p.k);
    std::printf("%-34s %-22s %10.2f %8.1f %5.0f%% %8.1f %6.2f\n", label.c_str(), "gemm", one * 1e6, f / one,
                100 * f / one / peak32, f / two, one / two);
  }
}
