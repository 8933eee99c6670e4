// metal/conv_weight_grad.metal -- the gradient of the weights as a matrix product: output channels x pixels x (taps and
// channels), nothing unfolded
#include <metal_stdlib>

#include "common/mma.h"
#include "conv/epilogue.h"
#include "conv/gradients.h"

/// Stores a block's sums.
template <typename T>
struct WeightRows {
  Output<T> to;
  constant ConvParams& p;
  thread const Phase& phase;
  int m0, n0, group;
  long at;  // of the row

  bool row(int m) {
    m += m0;
    at = long(group * p.o + m) * p.axis[0].kernel_size * p.axis[1].kernel_size * p.axis[2].kernel_size * p.c;
    return m < p.o;
  }
  void pair(int n, float first, float second) const {
    store(n0 + n, first);
    store(n0 + n + 1, second);
  }
  void store(int n, float v) const {
    const TapWalk walk(phase, p.c, n);
    if (walk.inside(phase)) to.store(at + long(stored_tap(p, phase, walk)) * p.c + walk.channel, 0, v);
  }
};

/// A tap meets the pixels of one phase at most, so each phase computes the weights of its own taps. Threadgroups: x:
/// blocks of taps and channels, y: blocks of output channels, z: parts of the pixels of each group of each phase.
template <typename T, int bm, int bn, int bk, int wm, int wn, int v>
[[kernel, max_total_threads_per_threadgroup(32 * wm * wn)]] void conv_weight_grad(
    const device T* x [[buffer(0)]], const device T* g [[buffer(1)]], device T* y [[buffer(2)]],
    device float* sums [[buffer(3), function_constant(partial)]], constant ConvParams& p [[buffer(4)]],
    uint3 block [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  typedef BlockProduct<T, bm, bn, bk, wm, wn, true, true> Product;
  constexpr int threads = 32 * wm * wn;
  threadgroup T a[Product::A::size];
  threadgroup T b[Product::B::size];

  const int split = int(block.z) % p.splits;
  const int group = int(block.z) / p.splits % p.groups;
  const Phase phase = phase_of(p, int(block.z) / p.splits / p.groups);
  const int m0 = int(block.y) * bm, n0 = int(block.x) * bn;
  if (n0 >= phase.taps * p.c) return;

  const int first_step = split * p.split_steps;
  const int steps = metal::min(p.split_steps, (p.batch * phase.pixels + bk - 1) / bk - first_step);
  GradientLoader<T, bm, bk, v, Product::A::ld, threads> gradient(p, phase, g + p.g_first + group * p.o * p.g_channel, m0,
                                                                 first_step * bk, thread_index);
  PatchColumnLoader<T, bn, bk, v, Product::B::ld, threads> patches(p, phase, x + p.x_first + group * p.c * p.x_channel, n0,
                                                                   first_step * bk, thread_index);
  Product product(simdgroup);
  for (int s = 0; s < steps; ++s) {
    gradient.load(a);
    patches.load(b);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    product.step(a, b);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    gradient.next();
    patches.next();
  }

  WeightRows<T> rows{{nullptr, nullptr, y, sums + split * p.partial_stride}, p, phase, m0, n0, group, 0};
  product.write(rows, lane);
}

#define NHWC_CONV_WEIGHT_GRAD(T, dtype, bm, bn, bk, wm, wn, v)                                                        \
  template [[host_name("conv_weight_grad_" #dtype "_" #bm "x" #bn "x" #bk "_v" #v)]] [[kernel]] void conv_weight_grad< \
      T, bm, bn, bk, wm, wn, v>(const device T*, const device T*, device T*, device float*, constant ConvParams&,     \
                                uint3, uint, uint, uint);
#define NHWC_CONV_TILE_OF_TYPE(T, dtype, bm, bn, bk, wm, wn) \
  NHWC_CONV_WEIGHT_GRAD(T, dtype, bm, bn, bk, wm, wn, 1)     \
  NHWC_CONV_WEIGHT_GRAD(T, dtype, bm, bn, bk, wm, wn, 4)
#include "instances/conv_tiles.inc"
