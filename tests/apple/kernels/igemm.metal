// tests/apple/kernels/igemm.metal -- a small implicit GEMM with planted defects, to try the emulator on
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// DEFECT: 1 no barrier after the loads, 2 no barrier before the next loads, 3 the last row of a tile is stored beyond
// it, 4 images are read beyond their edge, 5 one simdgroup skips a barrier, 6 threads leave before a barrier, 7 too much
// threadgroup memory, 8 no barrier before the epilogue, 9 the result's rows are not bounded.
#ifndef DEFECT
#define DEFECT 0
#endif

struct Params {
  int n, h, w, c, oh, ow, k, kh, kw, stride, pad;
};

constant bool has_bias [[function_constant(0)]];
constant bool relu [[function_constant(1)]];
constant float floor_value = relu ? 0.0f : -INFINITY;

template <typename T>
T pixel(const device T* x, constant Params& p, int m, int k) {
  const int n = m / (p.oh * p.ow), r = m % (p.oh * p.ow);
  const int kh = k / (p.kw * p.c), kw = k / p.c % p.kw, c = k % p.c;
  const int ih = r / p.ow * p.stride - p.pad + kh, iw = r % p.ow * p.stride - p.pad + kw;
  if (n >= p.n || k >= p.kh * p.kw * p.c) return T(0);
#if DEFECT != 4
  if (ih < 0 || ih >= p.h || iw < 0 || iw >= p.w) return T(0);
#endif
  return x[((n * p.h + ih) * p.w + iw) * p.c + c];
}

template <typename T, int BM, int BN, int BK>
[[kernel, max_total_threads_per_threadgroup(128)]] void igemm(
    const device T* x [[buffer(0)]],
    const device T* w [[buffer(1)]],
    device T* y [[buffer(2)]],
    const device float* bias [[buffer(3), function_constant(has_bias)]],
    constant Params& p [[buffer(4)]],
    uint3 group [[threadgroup_position_in_grid]],
    ushort tid [[thread_index_in_threadgroup]],
    ushort simd [[simdgroup_index_in_threadgroup]]) {
  constexpr int LA = BK + 4, LB = BN + 4, LC = BN + 1;
#if DEFECT == 7
  threadgroup float waste[8192];
#endif
  threadgroup T a_tile[BM * LA];
  threadgroup T b_tile[BK * LB], spare[4];
  threadgroup float c_tile[BM][LC];
  const int M = p.n * p.oh * p.ow, K = p.kh * p.kw * p.c;
  const int m0 = int(group.y) * BM, n0 = int(group.x) * BN;
  const int sm = simd / 2 * (BM / 2), sn = simd % 2 * (BN / 2);
  simdgroup_matrix<float, 8, 8> acc[BM / 16][BN / 16];
  for (int i = 0; i < BM / 16; ++i)
    for (int j = 0; j < BN / 16; ++j) acc[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
#if DEFECT == 7
  waste[tid] = 0;
#endif
  if (tid < 4) spare[tid] = T(0);

  for (int k0 = 0; k0 < K; k0 += BK) {
    for (int e = tid; e < BM * BK; e += 128) {
      const int row = e / BK, column = e % BK;
      a_tile[row * LA + column + (DEFECT == 3 && row == BM - 1 ? 8 : 0)] = pixel(x, p, m0 + row, k0 + column);
    }
    for (int e = tid; e < BK * BN; e += 128) {
      const int row = e / BN, column = e % BN;
      b_tile[row * LB + column] = k0 + row < K && n0 + column < p.k ? w[(k0 + row) * p.k + n0 + column] : T(0);
    }
#if DEFECT == 5
    if (simd != 3 || k0) threadgroup_barrier(mem_flags::mem_threadgroup);
#elif DEFECT == 6
    if (tid >= 96 && k0) return;
    threadgroup_barrier(mem_flags::mem_threadgroup);
#elif DEFECT != 1
    threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
    for (int kk = 0; kk < BK; kk += 8) {
      simdgroup_matrix<T, 8, 8> a[BM / 16], b[BN / 16];
      for (int i = 0; i < BM / 16; ++i) simdgroup_load(a[i], a_tile + (sm + i * 8) * LA + kk, LA);
      for (int j = 0; j < BN / 16; ++j) simdgroup_load(b[j], b_tile + kk * LB + sn + j * 8, LB);
      for (int i = 0; i < BM / 16; ++i)
        for (int j = 0; j < BN / 16; ++j) simdgroup_multiply_accumulate(acc[i][j], a[i], b[j], acc[i][j]);
    }
#if DEFECT != 2
    threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  }

  for (int i = 0; i < BM / 16; ++i)
    for (int j = 0; j < BN / 16; ++j) simdgroup_store(acc[i][j], &c_tile[sm + i * 8][sn + j * 8], LC);
#if DEFECT != 8
  threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  for (int e = tid; e < BM * BN; e += 128) {
    const int row = e / BN, column = e % BN;
    if ((DEFECT == 9 || m0 + row < M) && n0 + column < p.k) {
      float v = c_tile[row][column];
      if (has_bias) v += bias[n0 + column];
      y[(m0 + row) * p.k + n0 + column] = T(max(v, floor_value));
    }
  }
}

#define INSTANCE(T, BM, BN, BK)                                                                    \
  template [[host_name("igemm_" #T "_" #BM "x" #BN "x" #BK)]] [[kernel]] void igemm<T, BM, BN, BK>( \
      const device T*, const device T*, device T*, const device float*, constant Params&, uint3, ushort, ushort);
INSTANCE(float, 32, 32, 16)
INSTANCE(half, 32, 64, 16)
template [[host_name("igemm_bf16")]] [[kernel]] decltype(igemm<bfloat, 32, 32, 32>) igemm<bfloat, 32, 32, 32>;
