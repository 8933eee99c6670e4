// metal/conv_grouped.metal -- depthwise convolution and small groups: a block of the input is shared by its outputs
#include <metal_stdlib>

#include "conv/epilogue.h"
#include "conv/patches.h"
#include "conv/weights.h"

/// Of a threadgroup: the outputs of some neighbouring groups in a box of a phase of one image.
struct GroupBlock {
  int image, group;  // the first
  int at[3];         // the box's first output in the phase
  int from[3];       // the input that it meets at the first tap
  int extent[3];     // inputs that the box reads
};

/// Threadgroups: x: boxes, y: blocks of groups, z: images and phases. False where a phase has no outputs in the box.
inline bool place_block(constant ConvParams& p, thread const Phase& phase, uint3 block, thread GroupBlock& b) {
  int rest = int(block.x);
  for (int a = 2; a >= 0; --a) {
    const int boxes = (p.axis[a].out + p.axis[a].phases * p.box[a] - 1) / (p.axis[a].phases * p.box[a]);
    b.at[a] = rest % boxes * p.box[a];
    rest /= boxes;
    if (b.at[a] >= phase.axis[a].outputs) return false;
    b.from[a] = phase.axis[a].at + b.at[a] * p.axis[a].step;
    b.extent[a] = (p.box[a] - 1) * p.axis[a].step + (phase.axis[a].taps - 1) * p.axis[a].reach + 1;
  }
  b.group = int(block.y) * p.box_groups;
  return true;
}

/// The inputs of the box, pixel by pixel with the channels of all its groups; zero beyond the borders.
template <typename T>
inline void load_box(constant ConvParams& p, thread const GroupBlock& b, const device T* x, threadgroup T* tile,
                     int thread_index, int threads) {
  const int channels = p.box_groups * p.c;
  for (int e = thread_index; e < b.extent[0] * b.extent[1] * b.extent[2] * channels; e += threads) {
    const int channel = b.group * p.c + e % channels;
    const device T* from = x + p.x_first + b.image * p.x_stride[0] + channel * p.x_channel;
    bool inside = channel < p.groups * p.c;
    int rest = e / channels;
    for (int a = 2; a >= 0; --a) {
      const int i = b.from[a] + rest % b.extent[a];
      rest /= b.extent[a];
      inside = inside && i >= 0 && i < p.axis[a].in;
      from += i * p.x_stride[1 + a];
    }
    tile[e] = inside ? *from : T(0);
  }
}

/// The weights of the box's groups, in the order of the phase's taps.
template <typename T>
inline void load_weights(constant ConvParams& p, thread const Phase& phase, int first_group, const device T* w,
                         threadgroup T* weights, int thread_index, int threads) {
  for (int e = thread_index; e < p.box_groups * p.o * phase.taps * p.c; e += threads) {
    const int row = e / (phase.taps * p.c), group = first_group + row / p.o;
    if (group >= p.groups) return;
    const TapWalk walk(phase, p.c, e % (phase.taps * p.c));
    const WeightSteps steps = weight_steps(p, group, row % p.o);
    weights[e] = w[steps.row + stored_tap(p, phase, walk) * steps.tap + walk.channel * steps.channel];
  }
}

/// The sum for the output `q` places into the box; `weights` are its channel's.
template <typename T>
inline float sum_of(constant ConvParams& p, thread const Phase& phase, thread const GroupBlock& b, thread const int* q,
                    int channel, const threadgroup T* tile, const threadgroup T* weights) {
  const int channels = p.box_groups * p.c;
  float sum = 0.0f;
  for (int i = 0; i < phase.axis[0].taps; ++i)
    for (int j = 0; j < phase.axis[1].taps; ++j) {
      const int plane = (q[0] * p.axis[0].step + i * p.axis[0].reach) * b.extent[1];
      const int row = (plane + q[1] * p.axis[1].step + j * p.axis[1].reach) * b.extent[2];
      for (int k = 0; k < phase.axis[2].taps; ++k) {
        const int at = (row + q[2] * p.axis[2].step + k * p.axis[2].reach) * channels + channel;
        for (int c = 0; c < p.c; ++c) sum += float(tile[at + c]) * float(*weights++);
      }
    }
  return sum;
}

template <typename T>
[[kernel]] void conv_grouped(const device T* x [[buffer(0)]], const device T* w [[buffer(1)]],
                             const device T* bias [[buffer(2), function_constant(has_bias)]],
                             const device T* residual [[buffer(3), function_constant(has_residual)]],
                             device T* y [[buffer(4)]], device float* sums [[buffer(5), function_constant(partial)]],
                             constant ConvParams& p [[buffer(6)]], uint3 block [[threadgroup_position_in_grid]],
                             uint thread_index [[thread_index_in_threadgroup]],
                             uint3 size [[threads_per_threadgroup]]) {
  threadgroup T tile[kBoxInputs];
  threadgroup T weights[kBoxWeights];
  const int phases = p.axis[0].phases * p.axis[1].phases * p.axis[2].phases, threads = int(size.x);
  const Phase phase = phase_of(p, int(block.z) % phases);
  GroupBlock b;
  b.image = int(block.z) / phases;
  if (!place_block(p, phase, block, b)) return;
  load_weights(p, phase, b.group, w, weights, int(thread_index), threads);
  if (phase.taps > 0) load_box(p, b, x, tile, int(thread_index), threads);
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);

  const Output<T> to{bias, residual, y, sums};
  const int outputs = p.box_groups * p.o;
  for (int e = int(thread_index); e < p.box[0] * p.box[1] * p.box[2] * outputs; e += threads) {
    const int row = e % outputs, group = b.group + row / p.o;
    int q[3], rest = e / outputs;
    bool inside = group < p.groups;
    Pixel pixel;
    pixel.image = b.image;
    for (int a = 2; a >= 0; --a) {
      q[a] = rest % p.box[a];
      rest /= p.box[a];
      pixel.at[a] = b.at[a] + q[a];
      inside = inside && pixel.at[a] < phase.axis[a].outputs;
    }
    if (!inside) continue;
    const float sum = sum_of(p, phase, b, q, row / p.o * p.c, tile, weights + row * phase.taps * p.c);
    const long at = p.y_first + output_number(p, phase, pixel) * (p.groups * p.o) + b.group * p.o + row;
    to.store(at, bias_channel(p, group, row % p.o), sum);
  }
}

#define NHWC_FLOAT(dtype, T)                                                                     \
  template [[host_name("conv_grouped_" #dtype)]] [[kernel]] void conv_grouped<T>(                       \
      const device T*, const device T*, const device T*, const device T*, device T*, device float*, \
      constant ConvParams&, uint3, uint, uint3);
#include "instances/floats.inc"
