// metal/common/mma.h -- a block of a matrix product, summed in float32 in 8x8 simdgroup matrices
#pragma once

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

/// A matrix in threadgroup memory. Rows are 16 bytes apart from where they would lie side by side, so that the rows of
/// a fragment fall into different banks.
template <typename T, int rows, int columns>
struct Tile {
  static constant constexpr int ld = columns + 16 / int(sizeof(T));
  static constant constexpr int size = rows * ld;
};

/// bm x bn outputs of wm x wn simdgroups. The tile of A has bm rows of bk, or bk rows of bm where a_by_k; that of B has
/// bk rows of bn where b_by_k, else bn rows of bk.
template <typename T, int bm, int bn, int bk, int wm, int wn, bool a_by_k, bool b_by_k>
struct BlockProduct {
  typedef Tile<T, a_by_k ? bk : bm, a_by_k ? bm : bk> A;
  typedef Tile<T, b_by_k ? bk : bn, b_by_k ? bn : bk> B;
  static constant constexpr int tm = bm / (8 * wm);  // fragments of a simdgroup
  static constant constexpr int tn = bn / (8 * wn);

  int row, column;  // of this simdgroup in the block
  metal::simdgroup_matrix<float, 8, 8> sum[tm][tn];

  BlockProduct(uint simdgroup) : row(int(simdgroup) / wn * (tm * 8)), column(int(simdgroup) % wn * (tn * 8)) {
    for (int i = 0; i < tm; ++i)
      for (int j = 0; j < tn; ++j) sum[i][j] = metal::make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  /// Adds the product of two tiles.
  void step(const threadgroup T* a, const threadgroup T* b) {
    for (int k = 0; k < bk; k += 8) {
      metal::simdgroup_matrix<T, 8, 8> fa[tm], fb[tn];
      for (int i = 0; i < tm; ++i) {
        const int m = row + i * 8;
        metal::simdgroup_load(fa[i], a + (a_by_k ? k * A::ld + m : m * A::ld + k), A::ld, metal::ulong2(0), a_by_k);
      }
      for (int j = 0; j < tn; ++j) {
        const int n = column + j * 8;
        metal::simdgroup_load(fb[j], b + (b_by_k ? k * B::ld + n : n * B::ld + k), B::ld, metal::ulong2(0), !b_by_k);
      }
      for (int i = 0; i < tm; ++i)
        for (int j = 0; j < tn; ++j) metal::simdgroup_multiply_accumulate(sum[i][j], fa[i], fb[j], sum[i][j]);
    }
  }

  /// Hands the sums to out.row(m), then out.pair(n, two sums of neighbouring columns), as they lie in this lane's
  /// registers: in a fragment, lane bits 4, 2 and 1 count the row, bits 3 and 0 pairs of columns.
  template <class Out>
  void write(thread Out& out, uint lane) {
    const int quad = int(lane) / 4;
    const int m = row + (quad & 4) + int(lane) / 2 % 4, n = column + (quad & 2) * 2 + int(lane) % 2 * 2;
    for (int i = 0; i < tm; ++i) {
      if (!out.row(m + i * 8)) continue;
      for (int j = 0; j < tn; ++j) out.pair(n + j * 8, sum[i][j].thread_elements()[0], sum[i][j].thread_elements()[1]);
    }
  }
};
