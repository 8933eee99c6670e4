// csrc/plan/conv_sizes.cpp -- what every candidate looks at, and how wide direct tiles are; pure
#include <algorithm>

#include "plan/conv_axis.h"
#include "plan/conv_cost.h"
#include "plan/conv_cut.h"

namespace nhwc {

using namespace cost;

namespace {

using Form = ConvProblem::Form;

/// Vectors of outputs in a direct tile: three where two would leave a panel of one. Where L3 is slow, tiles as wide as
/// their pixels, or a large part of them, write lines in the order of their addresses, which come sooner (12544 pixels,
/// 27 -> 64: 1.3 times as fast as 14x32, 24 -> 144: 1.2; 1.03 to 1.07 in L2). They read more weights for each pixel,
/// which have to be near. Six are for sums so short that storing them is all (16 -> 96: 1.2 times as fast as 9x48).
int tile_vectors(const ConvProblem& q, const Sizes& s) {
  const int64_t vectors = (q.o + s.lanes - 1) / s.lanes;
  const int other = s.tile.mr3 > 0 && vectors % 6 == 3 ? 3 : 2;
  if (!l3_is_slow(*s.machine) || s.tile.mr4 == 0) return other;
  const double sum = 4 * s.taps * static_cast<double>(q.c), o = static_cast<double>(q.o),
               l2 = static_cast<double>(s.l2);
  const bool near = 4 * s.lanes * sum < 0.125 * l2 && static_cast<double>(q.groups) * o * sum < 0.25 * l2;
  const double out = 4 * s.outputs * static_cast<double>(q.groups) * o;
  const bool streams = out > 0.5 * static_cast<double>(s.l3);  // which has tiles of two
  if (!near || streams || (one_row(q, s) ? s.outputs < 96 : q.out[2] < 12)) return other;
  if (s.tile.mr6 > 0 && vectors == 6 && sum <= 128 && out > l2) return 6;
  return vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : 2;
}

}  // namespace

Sizes sizes_of(const ConvProblem& q, const DeviceFacts& f) {
  Sizes s;
  s.l1d = f.l1d;
  s.l2 = f.l2;
  s.l3 = f.l3;
  s.machine = f.machine ? f.machine : &machine_of("", 0, 0, f.isa);
  s.product = 2 / s.machine->products[static_cast<int>(f.isa)];
  s.pair_product = s.machine->pairs > 0 ? 2 / s.machine->pairs : s.product;
  s.workspace = f.workspace_limit;
  s.bf16_dot = f.bf16_dot;
  s.amx = f.amx;
  s.calls_kept = f.calls_kept;
  s.blas = f.blas && !f.batch_invariant && (s.machine->matrix > 0 || f.wanted == ConvAlgorithm::blas);
  s.tile = conv_tile(f.isa, q.dtype == Dtype::float64);
  s.lanes = s.tile.vector_bytes / (q.dtype == Dtype::float64 ? 8 : 4);
  s.kernel = q.kernel[0] * q.kernel[1] * q.kernel[2];
  s.outputs = static_cast<double>(q.batch);
  s.reads = s.summed = s.outputs;
  for (int a = 0; a < 3; ++a) {
    s.outputs *= static_cast<double>(q.out[a]);
    const AxisPhases axis(q, a);
    double reads = 0, summed = 0;
    for (int64_t r = 0; r < axis.phases(); ++r) {
      const AxisPhase ph = axis.phase(r);
      if (ph.n_taps > 0) summed += static_cast<double>(ph.count);
      reads += mean_taps(q, ph, a, axis.step, 0) * static_cast<double>(ph.count);
    }
    s.reads *= reads;
    s.summed *= summed;
  }
  s.taps = static_cast<double>(s.kernel);
  s.vectors = tile_vectors(q, s);
  s.rows = s.vectors == 6 ? s.tile.mr6 : s.vectors == 4 ? s.tile.mr4 : s.vectors == 3 ? s.tile.mr3 : s.tile.mr;
  if (q.form == Form::forward) s.dot = choose_dot(q, s.tile, s.lanes, s.reads / std::max(1.0, s.summed), s.product);
  if (const int n = dot_segments(q, s.lanes); q.form == Form::forward && n > 0 && q.dtype != Dtype::float64) {
    Sizes together = s;
    together.dot = {-1, n, 1, static_cast<int>(q.groups * q.o), 0, 0};
    if (can_dot(q, s) || dot_cycles(q, together) < dot_cycles(q, s)) s.dot = together.dot;
  }
  s.fft.refused = "not a forward problem";
  if (q.form == Form::forward && s.outputs > 0 && q.c > 0 && q.o > 0)
    s.fft = plan_fft(q, {s.lanes, s.tile.mr, s.product, s.machine->l3, s.machine->dram, f.l3, f.workspace_limit});
  if (f.batch_invariant) s.fft.refused = "blocks of two images may share a transform (batch_invariant)";
  return s;
}

}  // namespace nhwc
