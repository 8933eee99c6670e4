// metal/conv_igemm.metal -- convolution as an implicit matrix product: outputs x (taps and channels) x output channels
#include <metal_stdlib>

#include "common/mma.h"
#include "conv/epilogue.h"
#include "conv/patches.h"
#include "conv/weights.h"

/// Picks the loader of weights by how they are stored.
template <typename T, int bn, int bk, int v, int ld, int threads, bool swapped>
struct WeightLoaderOf {
  typedef WeightRowLoader<T, bn, bk, v, ld, threads> type;
};
template <typename T, int bn, int bk, int v, int ld, int threads>
struct WeightLoaderOf<T, bn, bk, v, ld, threads, true> {
  typedef WeightColumnLoader<T, bn, bk, v, ld, threads> type;
};

/// Stores a block's sums.
template <typename T>
struct PixelRows {
  Output<T> to;
  constant ConvParams& p;
  thread const Phase& phase;
  int m0, n0, group;
  long at;  // of the row

  bool row(int m) {
    m += m0;
    if (m >= p.batch * phase.pixels) return false;
    at = p.y_first + output_number(p, phase, pixel_of(phase, m)) * (p.groups * p.o) + group * p.o;
    return true;
  }
  void pair(int n, float first, float second) const {
    n += n0;
    if (n < p.o) to.store(at + n, bias_channel(p, group, n), first);
    if (n + 1 < p.o) to.store(at + n + 1, bias_channel(p, group, n + 1), second);
  }
};

/// Threadgroups: x: blocks of output channels, y: blocks of outputs of a phase, z: parts of the sum of each group of
/// each phase.
template <typename T, int bm, int bn, int bk, int wm, int wn, int v, bool swapped>
[[kernel, max_total_threads_per_threadgroup(32 * wm * wn)]] void conv_igemm(
    const device T* x [[buffer(0)]], const device T* w [[buffer(1)]],
    const device T* bias [[buffer(2), function_constant(has_bias)]],
    const device T* residual [[buffer(3), function_constant(has_residual)]], device T* y [[buffer(4)]],
    device float* sums [[buffer(5), function_constant(partial)]], constant ConvParams& p [[buffer(6)]],
    uint3 block [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  typedef BlockProduct<T, bm, bn, bk, wm, wn, false, swapped> Product;
  constexpr int threads = 32 * wm * wn;
  threadgroup T a[Product::A::size];
  threadgroup T b[Product::B::size];

  const int split = int(block.z) % p.splits;
  const int group = int(block.z) / p.splits % p.groups;
  const Phase phase = phase_of(p, int(block.z) / p.splits / p.groups);
  const int m0 = int(block.y) * bm, n0 = int(block.x) * bn;
  if (m0 >= p.batch * phase.pixels) return;

  const int first_step = split * p.split_steps;
  const int steps = metal::min(p.split_steps, (phase.taps * p.c + bk - 1) / bk - first_step);
  PatchLoader<T, bm, bk, v, Product::A::ld, threads> patches(p, phase, x + p.x_first + group * p.c * p.x_channel, m0,
                                                             first_step * bk, thread_index);
  typename WeightLoaderOf<T, bn, bk, v, Product::B::ld, threads, swapped>::type weights(
      p, phase, w, group, n0, first_step * bk, thread_index);
  Product product(simdgroup);
  for (int s = 0; s < steps; ++s) {
    patches.load(a);
    weights.load(b);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    product.step(a, b);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    patches.next();
    weights.next();
  }

  PixelRows<T> rows{{bias, residual, y, sums + split * p.partial_stride}, p, phase, m0, n0, group, 0};
  product.write(rows, lane);
}

#define NHWC_CONV_IGEMM(T, dtype, bm, bn, bk, wm, wn, v, weights, swapped)                             \
  template [[host_name("conv_igemm_" #dtype "_" #bm "x" #bn "x" #bk "_v" #v weights)]] [[kernel]] void \
  conv_igemm<T, bm, bn, bk, wm, wn, v, swapped>(                                                       \
      const device T*, const device T*, const device T*, const device T*, device T*, device float*,    \
      constant ConvParams&, uint3, uint, uint, uint);
#define NHWC_CONV_TILE_OF_TYPE(T, dtype, bm, bn, bk, wm, wn)         \
  NHWC_CONV_IGEMM(T, dtype, bm, bn, bk, wm, wn, 1, "", false)        \
  NHWC_CONV_IGEMM(T, dtype, bm, bn, bk, wm, wn, 4, "", false)        \
  NHWC_CONV_IGEMM(T, dtype, bm, bn, bk, wm, wn, 1, "_swapped", true) \
  NHWC_CONV_IGEMM(T, dtype, bm, bn, bk, wm, wn, 4, "_swapped", true)
#include "instances/conv_tiles.inc"
