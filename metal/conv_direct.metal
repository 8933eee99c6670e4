// metal/conv_direct.metal -- convolution with a thread per output: any geometry, few channels
#include <metal_stdlib>

#include "common/strided.h"
#include "conv/epilogue.h"
#include "conv/patches.h"
#include "conv/weights.h"

/// The phase and pixel of one output, given its number along each axis.
inline void place_output(constant ConvParams& p, long n, thread Phase& phase, thread Pixel& pixel) {
  for (int a = 2; a >= 0; --a) {
    const int at = int(n % p.axis[a].out);
    n /= p.axis[a].out;
    phase.axis[a] = axis_phase(p.axis[a], at % p.axis[a].phases);
    pixel.at[a] = at / p.axis[a].phases;
  }
  phase.taps = phase.axis[0].taps * phase.axis[1].taps * phase.axis[2].taps;
  pixel.image = int(n);
}

/// Where the weight lies whose place in row-major order is `at`.
inline long place_weight(constant ConvParams& p, long at) {
  return p.w_axes == 0 ? at : p.w_first + offset_by<ulong>(at, p.w_axis, p.w_axes);
}

template <typename T>
[[kernel]] void conv_direct(const device T* x [[buffer(0)]], const device T* w [[buffer(1)]],
                            const device T* bias [[buffer(2), function_constant(has_bias)]],
                            const device T* residual [[buffer(3), function_constant(has_residual)]],
                            device T* y [[buffer(4)]], device float* sums [[buffer(5), function_constant(partial)]],
                            constant ConvParams& p [[buffer(6)]], uint block [[threadgroup_position_in_grid]],
                            uint thread_index [[thread_index_in_threadgroup]],
                            uint threads [[threads_per_threadgroup]]) {
  const long n = long(block) * threads + thread_index;
  const int channels = p.groups * p.o;
  if (n >= p.outputs) return;
  const int channel = int(n % channels), group = channel / p.o;
  Phase phase;
  Pixel pixel;
  place_output(p, n / channels, phase, pixel);

  Inputs<T> inputs;
  inputs.begin(p, phase, x + p.x_first + group * p.c * p.x_channel, pixel);
  const WeightSteps steps = weight_steps(p, group, channel % p.o);
  float sum = 0.0f;
  TapWalk walk(phase, 1, 0);
  for (int t = 0; t < phase.taps; ++t) {
    if (const device T* from = inputs.at_tap(p, walk)) {
      long weight = steps.row + stored_tap(p, phase, walk) * steps.tap;
      for (int i = 0; i < p.c; ++i, from += p.x_channel, weight += steps.channel)
        sum += float(*from) * float(w[place_weight(p, weight)]);
    }
    walk.advance(phase, 1, 1);
  }
  const Output<T> to{bias, residual, y, sums};
  to.store(p.y_first + n, bias_channel(p, group, channel % p.o), sum);
}

/// A thread per weight and part of the pixels; neighbouring threads differ in the output channel.
template <typename T>
[[kernel]] void conv_direct_weight_grad(const device T* x [[buffer(0)]], const device T* g [[buffer(1)]],
                                        device T* y [[buffer(2)]],
                                        device float* sums [[buffer(3), function_constant(partial)]],
                                        constant ConvParams& p [[buffer(4)]],
                                        uint2 block [[threadgroup_position_in_grid]],
                                        uint thread_index [[thread_index_in_threadgroup]],
                                        uint2 threads [[threads_per_threadgroup]]) {
  const long n = long(block.x) * threads.x + thread_index;
  if (n >= p.outputs) return;
  const long channels = long(p.groups) * p.o;
  const int channel = int(n % channels), c = int(n / channels % p.c);
  const long tap = n / channels / p.c;
  int start[3];  // of x where it is dilated, at the first output
  long rest = tap;
  for (int a = 2; a >= 0; --a) {
    const int k = int(rest % p.axis[a].kernel_size);
    rest /= p.axis[a].kernel_size;
    start[a] = (p.flip ? p.axis[a].kernel_size - 1 - k : k) * p.axis[a].dilation - p.axis[a].pad;
  }
  const device T* from = x + p.x_first + (channel / p.o * p.c + c) * p.x_channel;
  const device T* gradient = g + p.g_first + channel * p.g_channel;
  float sum = 0.0f;
  const long end = metal::min(p.pixels, (block.y + 1) * p.split_pixels);
  for (long pixel = block.y * p.split_pixels; pixel < end; ++pixel) {
    long i = pixel, x_at = 0, g_at = 0;
    bool meets = true;
    for (int a = 2; a >= 0; --a) {
      const int at = int(i % p.axis[a].out), t = at * p.axis[a].stride + start[a];
      i /= p.axis[a].out;
      meets = meets && t >= 0 && t % p.axis[a].in_dilation == 0 && t / p.axis[a].in_dilation < p.axis[a].in;
      x_at += t / p.axis[a].in_dilation * p.x_stride[1 + a];
      g_at += at * p.g_stride[1 + a];
    }
    if (meets) sum += float(from[i * p.x_stride[0] + x_at]) * float(gradient[i * p.g_stride[0] + g_at]);
  }
  const long taps = p.outputs / channels / p.c;
  const Output<T> to{nullptr, nullptr, y, sums + block.y * p.partial_stride};
  to.store((channel * taps + tap) * p.c + c, 0, sum);
}

#define NHWC_FLOAT(dtype, T)                                                                     \
  template [[host_name("conv_direct_" #dtype)]] [[kernel]] void conv_direct<T>(                        \
      const device T*, const device T*, const device T*, const device T*, device T*, device float*, \
      constant ConvParams&, uint, uint, uint);                                                         \
  template [[host_name("conv_direct_weight_grad_" #dtype)]] [[kernel]] void conv_direct_weight_grad<T>( \
      const device T*, const device T*, device T*, device float*, constant ConvParams&, uint2, uint, uint2);
#include "instances/floats.inc"
