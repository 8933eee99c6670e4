// metal/conv_reduce.metal -- adds the partial sums of a convolution, always in the same order, and finishes them
#include <metal_stdlib>

#include "conv/epilogue.h"

template <typename T>
[[kernel]] void conv_reduce(const device float* parts [[buffer(0)]],
                            const device T* bias [[buffer(1), function_constant(has_bias)]],
                            const device T* residual [[buffer(2), function_constant(has_residual)]],
                            device T* y [[buffer(3)]], constant ConvReduceParams& p [[buffer(4)]],
                            uint block [[threadgroup_position_in_grid]],
                            uint thread_index [[thread_index_in_threadgroup]],
                            uint threads [[threads_per_threadgroup]]) {
  const long n = long(block) * threads + thread_index;
  if (n >= p.count) return;
  float sum = 0.0f;
  for (int i = 0; i < p.parts; ++i) sum += parts[i * p.stride + n];
  const Output<T> to{bias, residual, y, nullptr};
  to.store(n, int(n % p.channels), sum);
}

#define NHWC_FLOAT(dtype, T)                                                 \
  template [[host_name("conv_reduce_" #dtype)]] [[kernel]] void conv_reduce<T>( \
      const device float*, const device T*, const device T*, device T*, constant ConvReduceParams&, uint, uint, uint);
#include "instances/floats.inc"
