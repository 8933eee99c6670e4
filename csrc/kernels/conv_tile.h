// csrc/kernels/conv_tile.h -- what a forward-like kernel reads and writes for one register tile
#pragma once

#include <cstdint>

namespace nhwc {

/// The tables of one register tile, or of several even ones that follow one another in a row.
template <class T, class S>
struct Tile {
  const T** a;   // [tap][mr]; even: [tap]
  int64_t* ids;  // [tap]
  int64_t taps, phase_taps;
  S** y;                 // [mr]; even: one
  int mr, count, table;  // table: mr, or one more
  bool even;             // pixels at fixed steps
  int64_t a_step, y_step;
  int64_t run, run_step, run_ids;  // so many taps are one run, with values and ids at these steps

  int rows() const { return mr * count; }
  S* row(int m) const { return even ? y[0] + m * y_step : y[m]; }
  void one_tap_a_run() { run = run_step = run_ids = 1; }
  /// Makes one run of the taps of a kernel row, which lie at fixed steps where a tap has one value; even tiles.
  void join_taps() {
    if (taps < 2) return;
    const int64_t step = a[1] - a[0], id_step = ids[1] - ids[0];
    int64_t n = 2;
    while (n < taps && a[n] - a[n - 1] == step && ids[n] - ids[n - 1] == id_step) ++n;
    if (step <= 0) return;
    int64_t runs = 0;
    for (int64_t i = 0; i < taps; i += n, ++runs) {
      if (i + n > taps) return;
      for (int64_t j = 1; j < n; ++j)
        if (a[i + j] - a[i] != j * step || ids[i + j] - ids[i] != j * id_step) return;
    }
    for (int64_t i = 1; i < runs; ++i) {
      a[i] = a[i * n];
      ids[i] = ids[i * n];
    }
    taps = runs;
    run = n;
    run_step = step;
    run_ids = id_step;
  }
};

}  // namespace nhwc
