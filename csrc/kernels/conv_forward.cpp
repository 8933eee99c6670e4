// csrc/kernels/conv_forward.cpp -- which loop nest runs a forward-like plan
#include "kernels/conv_forward_nest.h"

namespace nhwc {
namespace {

/// Whether every output reads the one pixel at its own place, and all pixels lie evenly apart.
bool pointwise(const ConvProblem& q, const ConvOperands& a) {
  int64_t step = a.x_stride[3];
  for (int i = 2; i >= 0; --i) {
    if (q.kernel[i] != 1 || q.pad[i] != 0 || q.in_dilation[i] != 1 || q.stride[i] != 1 || q.in[i] != q.out[i])
      return false;
    step *= q.in[i];
    if (a.x_stride[i] != step && (i > 0 ? q.in[i - 1] : q.batch) > 1) return false;
  }
  return true;
}

/// Half types with few outputs: pixels are widened as they are multiplied. False where there is no such kernel.
bool run_pixel_dots(const CpuPlan& plan, const ConvOperands& a, const float* w) {
  const ConvProblem& q = plan.problem;
  const ConvKernels& k = table_for(plan.isa).conv;
  const int64_t pixels = q.batch * q.out[0] * q.out[1] * q.out[2];
  const Epilogue<float> end(q.activation, a.residual_from_y, false);
  if (!is_half(q.dtype) || q.groups > 1 || q.o > kDotOutputs || end.pass || pixels < kMaxTilePixels || !pointwise(q, a))
    return false;
  if (dot_form(plan).segments != 1 || dot_form(plan).outputs() != q.o) return false;
  const auto kernel = k.f32.pixel_dots[q.dtype == Dtype::bfloat16][q.o];
  if (!kernel) return false;
  float bias[kDotLanes];
  std::fill(bias, bias + kDotLanes, -0.0f);
  if (q.has_bias) widen_bias(k, q, static_cast<const AnyHalf*>(a.bias), bias);
  for (int64_t i = q.o; q.has_bias && i < kDotLanes; ++i) bias[i] = bias[i - q.o];
  const double flops = 2.0 * static_cast<double>(pixels) * static_cast<double>(q.c * q.o);
  const int64_t tasks = pixels / kMaxTilePixels;  // the last one takes what is left
  parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t last) {
    const int64_t first = begin * kMaxTilePixels, n = (last == tasks ? pixels : last * kMaxTilePixels) - first;
    kernel({static_cast<const AnyHalf*>(a.x) + first * a.x_stride[3], a.x_stride[3], n, q.c, w,
            static_cast<AnyHalf*>(a.y) + first * q.o, bias, end.lo, end.hi});
  });
  return true;
}

}  // namespace

void run_forward(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  if (plan.algorithm == ConvAlgorithm::depthwise &&
      (run_depthwise_walk(plan, a, packed) || run_depthwise_pixels(plan, a, packed) ||
       run_depthwise_rows(plan, a, packed)))
    return;
  if (plan.algorithm == ConvAlgorithm::dot && run_pixel_dots(plan, a, static_cast<const float*>(packed))) return;
  if (plan.slabs.images) return run_slabs(plan, a, packed, begin, end);
  if (plan.algorithm == ConvAlgorithm::col2im) return run_col2im(plan, a, packed);
  if (plan.algorithm == ConvAlgorithm::planar) return run_planar(plan, a, packed);
  if (is_winograd(plan.algorithm)) return run_winograd(plan, a, packed, begin, end);
  if (plan.algorithm == ConvAlgorithm::diagonal) return run_diagonal(plan, a, packed, begin, end);
  const auto run = [&](const CpuPlan& p) {
    if (p.algorithm == ConvAlgorithm::blas) return run_blas(p, a, packed, begin, end);
#if defined(NHWC_AMX)
    if (is_amx(p.algorithm)) return run_amx(p, plan, a, packed, begin, end);
#endif
    if (is_pairs(p.algorithm)) return run_typed<BFloat16, BFloat16>(p, a, packed, begin, end);
    if (p.problem.dtype == Dtype::float32) return run_typed<float>(p, a, packed, begin, end);
#if !defined(NHWC_MINIMAL)
    run_forward_double(p, a, packed, begin, end);
#endif
  };
  const ConvProblem& q = plan.problem;
  const int64_t rows = q.batch * q.out[0] * q.out[1];
  if (rows == 1 || !pointwise(q, a)) return run(plan);
  CpuPlan one_row = plan;  // rows may end in the middle of a tile, one row does not
  one_row.problem.batch = 1;
  for (int64_t* size : {one_row.problem.in, one_row.problem.out}) {
    size[0] = size[1] = 1;
    size[2] *= rows;
  }
  run(one_row);
}

}  // namespace nhwc
