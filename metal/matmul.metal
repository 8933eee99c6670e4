// metal/matmul.metal -- batches of matrix products, operands read by their steps
#include <metal_stdlib>

#include "common/matrix_loader.h"
#include "common/mma.h"
#include "conv/epilogue.h"
#include "params/matmul.h"

/// Stores a block's sums.
template <typename T>
struct MatrixRows {
  Output<T> to;
  constant MatmulParams& p;
  long m0, n0, first;  // first: of this product
  long at;             // of the row

  bool row(int m) {
    at = first + (m0 + m) * p.n;
    return m0 + m < p.m;
  }
  void pair(int n, float left, float right) const {
    if (n0 + n < p.n) to.store(at + n0 + n, 0, left);
    if (n0 + n + 1 < p.n) to.store(at + n0 + n + 1, 0, right);
  }
};

/// Where the product number `index` begins.
inline long operand_of(constant MatmulParams& p, constant MatmulOperand& x, int index) {
  long at = x.first;
  for (int i = kMatmulAxes - 1; i >= 0; --i) {
    at += index % p.batch[i] * x.batch[i];
    index /= p.batch[i];
  }
  return at;
}

/// a_by_k: neighbours of a tile's row in memory are rows of A, not columns; b_by_k: they are columns of B. Threadgroups:
/// x: blocks of columns, y: blocks of rows, z: parts of the sum of each product.
template <typename T, int bm, int bn, int bk, int wm, int wn, int v, bool a_by_k, bool b_by_k>
[[kernel, max_total_threads_per_threadgroup(32 * wm * wn)]] void matmul(
    const device T* a [[buffer(0)]], const device T* b [[buffer(1)]], device T* y [[buffer(2)]],
    device float* sums [[buffer(3), function_constant(partial)]], constant MatmulParams& p [[buffer(4)]],
    uint3 block [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  typedef BlockProduct<T, bm, bn, bk, wm, wn, a_by_k, b_by_k> Product;
  constexpr int threads = 32 * wm * wn;
  threadgroup T a_tile[Product::A::size];
  threadgroup T b_tile[Product::B::size];

  const int split = int(block.z) % p.splits, index = int(block.z) / p.splits;
  const long m0 = long(block.y) * bm, n0 = long(block.x) * bn, k0 = long(split) * p.split_steps * bk;
  const int steps = int(metal::min(long(p.split_steps), (p.k - k0 + bk - 1) / bk));
  const device T* from_a = a + operand_of(p, p.a, index) + m0 * p.a.row + k0 * p.a.column;
  const device T* from_b = b + operand_of(p, p.b, index) + k0 * p.b.row + n0 * p.b.column;
  MatrixLoader<T, a_by_k ? bk : bm, a_by_k ? bm : bk, v, Product::A::ld, threads> rows(
      from_a, a_by_k ? p.a.column : p.a.row, a_by_k ? p.a.row : p.a.column, a_by_k ? p.k - k0 : p.m - m0,
      a_by_k ? p.m - m0 : p.k - k0, thread_index);
  MatrixLoader<T, b_by_k ? bk : bn, b_by_k ? bn : bk, v, Product::B::ld, threads> columns(
      from_b, b_by_k ? p.b.row : p.b.column, b_by_k ? p.b.column : p.b.row, b_by_k ? p.k - k0 : p.n - n0,
      b_by_k ? p.n - n0 : p.k - k0, thread_index);
  Product product(simdgroup);
  for (int s = 0; s < steps; ++s) {
    rows.load(a_tile);
    columns.load(b_tile);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    product.step(a_tile, b_tile);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    a_by_k ? rows.next_rows() : rows.next_columns();
    b_by_k ? columns.next_rows() : columns.next_columns();
  }

  MatrixRows<T> out{{nullptr, nullptr, y, sums + split * p.partial_stride}, p, m0, n0, p.y_first + index * p.m * p.n, 0};
  product.write(out, lane);
}

#define NHWC_MATMUL(T, dtype, bm, bn, bk, wm, wn, v, layout, a_by_k, b_by_k)                                        \
  template [[host_name("matmul_" #dtype "_" #bm "x" #bn "x" #bk "_v" #v layout)]] [[kernel]] void                   \
  matmul<T, bm, bn, bk, wm, wn, v, a_by_k, b_by_k>(const device T*, const device T*, device T*, device float*,      \
                                                   constant MatmulParams&, uint3, uint, uint, uint);
#define NHWC_MATMUL_LAYOUTS(T, dtype, bm, bn, bk, wm, wn, v)                  \
  NHWC_MATMUL(T, dtype, bm, bn, bk, wm, wn, v, "_nn", false, true)            \
  NHWC_MATMUL(T, dtype, bm, bn, bk, wm, wn, v, "_nt", false, false)           \
  NHWC_MATMUL(T, dtype, bm, bn, bk, wm, wn, v, "_tn", true, true)             \
  NHWC_MATMUL(T, dtype, bm, bn, bk, wm, wn, v, "_tt", true, false)
#define NHWC_MATMUL_TILE(bm, bn, bk, wm, wn)                    \
  NHWC_MATMUL_LAYOUTS(float, f32, bm, bn, bk, wm, wn, 1)        \
  NHWC_MATMUL_LAYOUTS(float, f32, bm, bn, bk, wm, wn, 4)        \
  NHWC_MATMUL_LAYOUTS(half, f16, bm, bn, bk, wm, wn, 1)         \
  NHWC_MATMUL_LAYOUTS(half, f16, bm, bn, bk, wm, wn, 4)         \
  NHWC_MATMUL_LAYOUTS(bfloat, bf16, bm, bn, bk, wm, wn, 1)      \
  NHWC_MATMUL_LAYOUTS(bfloat, bf16, bm, bn, bk, wm, wn, 4)
#include "instances/matmul_tiles.inc"
