// metal/common/matrix_loader.h -- loads tiles of a matrix that lies in memory with any steps
#pragma once

#include "common/pack.h"

/// A tile of rows x columns whose elements are row_step and column_step apart; each thread loads v neighbours of a row,
/// which are adjacent where v > 1. What lies outside of the matrix is zero.
template <typename T, int rows, int columns, int v, int ld, int threads>
struct MatrixLoader {
  static constant constexpr int across = columns / v;
  static constant constexpr int apart = threads / across;

  const device T* from;
  const long row_step, column_step;
  const int first;               // element of the tile
  long rows_left, columns_left;  // in the matrix, from this thread's on

  /// `from`: the tile's first element; row_count, column_count: of the matrix from there on.
  MatrixLoader(const device T* begin, long row_apart, long column_apart, long row_count, long column_count,
               uint thread_index)
      : row_step(row_apart),
        column_step(column_apart),
        first(int(thread_index) / across * ld + int(thread_index) % across * v) {
    const int row = int(thread_index) / across, column = int(thread_index) % across * v;
    from = begin + row * row_step + column * column_step;
    rows_left = row_count - row;
    columns_left = column_count - column;
  }

  void load(threadgroup T* tile) const {
    for (int r = 0; r < rows; r += apart) {
      Pack<T, v> value = zero_pack<T, v>();
      if (r < rows_left && columns_left > 0) value = *(const device Pack<T, v>*)(from + r * row_step);
      *(threadgroup Pack<T, v>*)(tile + first + r * ld) = value;
    }
  }

  void next_rows() {
    from += rows * row_step;
    rows_left -= rows;
  }
  void next_columns() {
    from += columns * column_step;
    columns_left -= columns;
  }
};
