// csrc/kernels/conv_depthwise_pixels.cpp -- depthwise convolutions pixel by pixel, all channels of one after the other
#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_tap_range.h"
#include "kernels/conv_types.h"

namespace nhwc {
bool run_depthwise_pixels(const CpuPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  if (!depthwise_pixels(q) || q.dtype != Dtype::float32) return false;
  const FloatKernels<float>& f = table_for(plan.isa).conv.f32;
  const Epilogue<float> end(q.activation, a.residual_from_y, false);
  DepthwisePixel<float> pixel;
  pixel.x_column = q.dilation[2] * a.x_stride[3];
  pixel.x_row = q.dilation[1] * a.x_stride[2];
  pixel.x_depth = q.dilation[0] * a.x_stride[1];
  pixel.w_column = PackedLayout(plan).nr;
  pixel.w_row = q.kernel[2] * pixel.w_column;
  pixel.w_depth = q.kernel[1] * pixel.w_row;
  pixel.n = q.groups;
  pixel.bias = static_cast<const float*>(q.has_bias ? a.bias : nullptr);
  pixel.lo = end.lo;
  pixel.hi = end.hi;
  pixel.stream = plan.stream && streamable(a, end);
  const int64_t rows = q.batch * q.out[0] * q.out[1];
  const double flops = 2.0 * static_cast<double>(rows * q.out[2] * q.groups) *
                       static_cast<double>(q.kernel[0] * q.kernel[1] * q.kernel[2]);
  // Depthwise is bound by memory: a flop takes about four times as long as in a GEMM.
  parallel_for(rows, grain_of(rows, 4 * flops), [&](int64_t begin, int64_t last) {
    DepthwisePixel<float> t = pixel;
    for (int64_t i = begin; i < last; ++i) {
      const int64_t h = i % q.out[1], d = i / q.out[1] % q.out[0], n = i / q.out[1] / q.out[0];
      const TapRange depth(q, 0, d), row(q, 1, h);
      const float* x =
          static_cast<const float*>(a.x) + n * a.x_stride[0] + depth.input * a.x_stride[1] + row.input * a.x_stride[2];
      const float* w = static_cast<const float*>(packed) + depth.first * t.w_depth + row.first * t.w_row;
      t.depths = depth.count;
      t.rows = row.count;
      t.y = static_cast<float*>(a.y) + i * q.out[2] * q.groups;
      for (int64_t j = 0; j < q.out[2]; ++j, t.y += q.groups) {
        const TapRange column(q, 2, j);
        t.columns = column.count;
        t.x = x + column.input * a.x_stride[3];
        t.w = w + column.first * t.w_column;
        f.depthwise_pixel(t);
        if (end.pass) end.finish(f, t.y, q.groups);
      }
    }
    if (t.stream) f.end_streams();
  });
  return true;
}

}  // namespace nhwc
