// csrc/kernels/conv_blas.cpp -- implicit GEMM by the system's matrix product, tile by tile (plan/conv_blas.h); knows no
// instruction set
#include <algorithm>
#include <cstring>

#include "base/allocator.h"
#include "base/blas.h"
#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/conv_float_run.h"
#include "kernels/conv_forward.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

#if defined(NHWC_BLAS)
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;  // what follows leaves no code
#endif

struct BlasRun : FloatRun {
  BlasRun(const CpuPlan& p, const ConvOperands& operands, const void* weights, int64_t first, int64_t last)
      : FloatRun(p, operands, weights),
        begin(first),
        end_panel(last),
        width(q.kernel[2] * q.c),
        pixels(q.batch * q.out[0] * q.out[1] * q.out[2]),
        in_place(q.kernel[0] * q.kernel[1] * q.kernel[2] == 1 && pixels == q.out[2] && q.stride[2] == 1 &&
                 q.pad[2] == 0 && pixels <= q.in[2]),
        bias(round_up(q.o, p.lanes), -0.0f) {
    if (q.has_bias) std::copy_n(static_cast<const float*>(a.bias), q.o, bias.begin());
  }
  int64_t begin, end_panel;  // `packed` begins with panel `begin`
  int64_t width;             // inputs of a kernel row
  int64_t pixels;
  bool in_place;  // they are rows of a matrix already
  InlineVec<float, 64> bias;
};

/// The inputs of one output at kernel row (depth, row), zero where they are padding.
void gather_row(const BlasRun& r, const int64_t (&at)[4], int64_t depth, int64_t row, float* to) {
  const ConvProblem& q = r.q;
  const int64_t d = at[1] * q.stride[0] + depth * q.dilation[0] - q.pad[0];
  const int64_t h = at[2] * q.stride[1] + row * q.dilation[1] - q.pad[1];
  if (d < 0 || d >= q.in[0] || h < 0 || h >= q.in[1]) {
    std::memset(to, 0, static_cast<size_t>(r.width) * sizeof(float));
    return;
  }
  const int64_t (&step)[4] = r.a.x_stride;
  const float* x = static_cast<const float*>(r.a.x) + at[0] * step[0] + d * step[1] + h * step[2];
  const int64_t w = at[3] * q.stride[2] - q.pad[2];
  if (q.dilation[2] == 1 && step[3] == q.c) {
    const int64_t first = std::clamp<int64_t>(-w, 0, q.kernel[2]), last = std::clamp(q.in[2] - w, first, q.kernel[2]);
    std::fill(to, to + first * q.c, 0.0f);
    if (first < last)
      std::memcpy(to + first * q.c, x + (w + first) * q.c, static_cast<size_t>((last - first) * q.c) * sizeof(float));
    std::fill(to + last * q.c, to + r.width, 0.0f);
    return;
  }
  for (int64_t k = 0; k < q.kernel[2]; ++k, to += q.c) {
    const int64_t i = w + k * q.dilation[2];
    if (i < 0 || i >= q.in[2])
      std::fill(to, to + q.c, 0.0f);
    else
      std::memcpy(to, x + i * step[3], static_cast<size_t>(q.c) * sizeof(float));
  }
}

/// Outputs [first, first + n) at kernel rows [begin, end), side by side.
void gather(const BlasRun& r, int64_t first, int64_t n, int64_t begin, int64_t end, float* to) {
  const ConvProblem& q = r.q;
  int64_t at[4] = {0, 0, 0, first};
  for (int a = 2; a >= 0; --a) {
    at[a] = at[a + 1] / q.out[a];
    at[a + 1] %= q.out[a];
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t row = begin; row < end; ++row, to += r.width)
      gather_row(r, at, row / q.kernel[1], row % q.kernel[1], to);
    int a = 3;
    while (a > 0 && ++at[a] == q.out[a - 1]) at[a--] = 0;
    if (a == 0) ++at[0];
  }
}

/// One tile of outputs, all panels of this run.
void run_tile(const BlasRun& r, int64_t tile, float* patch) {
  const ConvProblem& q = r.q;
  const BlasCut& cut = r.plan.blas;
  const int64_t first = tile * cut.rows, n = std::min(cut.rows, r.pixels - first), rows = q.kernel[0] * q.kernel[1];
  float* y = static_cast<float*>(r.a.y) + first * q.o;
  for (int64_t row = 0; row < rows; row += cut.at_once) {
    const int64_t taken = std::min(cut.at_once, rows - row), k = taken * r.width;
    BlasMatrix<const float> x{patch, static_cast<int>(k)};
    if (r.in_place)
      x = {static_cast<const float*>(r.a.x) + first * r.a.x_stride[3], static_cast<int>(r.a.x_stride[3])};
    else
      gather(r, first, n, row, row + taken, patch);
    for (int64_t p = r.begin; p < r.end_panel; ++p) {
      const int64_t wide = r.layout.width(p), o = p * r.layout.nr;
      const float* w = r.packed + (r.layout.offset(p) - r.layout.offset(r.begin)) + row * r.width * wide;
      blas_multiply(static_cast<int>(n), static_cast<int>(std::min(wide, q.o - o)), static_cast<int>(k), x,
                    {w, static_cast<int>(wide)}, {y + o, static_cast<int>(q.o)}, row > 0);
    }
  }
  const int64_t o = r.begin * r.layout.nr, outputs = std::min(r.end_panel * r.layout.nr, q.o) - o;
  r.f.pass(
      {y + o, q.o, y + o, q.o, n, outputs, r.bias.data() + o, ceil_div(outputs, r.plan.lanes), r.end.lo, r.end.hi});
  if (r.end.pass)
    for (int64_t i = 0; i < n; ++i) r.end.finish(r.f, y + i * q.o + o, outputs);
}

}  // namespace

void run_blas(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  NHWC_CHECK(kBuilt, "this build has no BLAS");
  if (!kBuilt) return;
  const BlasRun r(plan, a, packed, begin, end);
  const ConvProblem& q = r.q;
  const int64_t tiles = ceil_div(r.pixels, plan.blas.rows);
  const double flops =
      2.0 * static_cast<double>(r.pixels * q.o) * static_cast<double>(q.kernel[0] * q.kernel[1] * r.width);
  parallel_for(tiles, grain_of(tiles, flops), [&](int64_t first, int64_t last) {
    const Scratch patch(r.in_place ? 0 : blas_scratch_bytes(q, plan.blas));
    for (int64_t tile = first; tile < last; ++tile) run_tile(r, tile, patch.as<float>());
  });
}

}  // namespace nhwc
