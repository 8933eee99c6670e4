// csrc/plan/conv_planar.cpp -- the geometry of convolutions whose vectors run along the pixels
#include "plan/conv_planar.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/divide.h"

namespace nhwc {
namespace {

constexpr int64_t kMostColumns = 1024;
constexpr int64_t kMostInterleaved = 128;  // channels that share a plane because vectors do not divide them
constexpr double kRowVectors = 16;         // that a row takes besides those of its pixels

/// The largest of all phases: what a block needs around its outputs, and how many planes.
struct Reach {
  Reach(const ConvProblem& q, int axis) {
    const AxisPhases phases(q, axis);
    for (int64_t r = 0; r < phases.phases(); ++r) {
      const AxisPhase ph = phases.phase(r);
      const PlanarAxis a(ph, phases.step);
      extent = std::max(extent, a.extent);
      residues = std::max(residues, static_cast<int64_t>(a.residues.size()));
      taps = std::max(taps, ph.n_taps);
      outputs = std::max(outputs, ph.count);
    }
  }
  int64_t extent = 0, residues = 0, taps = 0, outputs = 0;
};

}  // namespace

int planar_outputs(int64_t o, int lanes) {
  return static_cast<int>(ceil_div(o, ceil_div(o, std::min(kPlanarOutputs, lanes))));
}

PlanarAxis::PlanarAxis(const AxisPhase& phase, int64_t step) {
  if (phase.n_taps == 0) return;
  first = floor_div(phase.taps[0].base, step);
  for (int64_t t = 0; t < phase.n_taps; ++t) first = std::min(first, floor_div(phase.taps[t].base, step));
  for (int64_t t = 0; t < phase.n_taps; ++t) {
    const int64_t place = floor_div(phase.taps[t].base, step), residue = phase.taps[t].base - place * step;
    size_t i = 0;
    while (i < residues.size() && residues[i] != residue) ++i;
    if (i == residues.size()) residues.push_back(residue);
    taps.push_back({static_cast<int64_t>(i), place - first});
    extent = std::max(extent, place - first);
  }
}

int64_t plane_elems(int64_t pixels, int slack, int lanes) {
  const int64_t vectors = ceil_div(pixels, lanes) + slack;
  return (vectors + 1 - vectors % 2) * lanes;
}

namespace {
/// Channels of an interleaved plane.
int64_t interleaved_groups(int64_t groups, int lanes) {
  if (groups <= kMostInterleaved || groups % lanes != 0) return groups;
  int64_t vectors = kMostInterleaved / lanes;
  while (groups / lanes % vectors != 0) --vectors;
  return vectors * lanes;
}

/// Groups whose inputs fill a vector, in whole vectors of outputs where they fill some.
int64_t transposed_groups(const ConvProblem& q, int lanes) {
  const int64_t fill = ceil_div(lanes, q.c), outputs = std::max<int64_t>(1, lanes / q.o);
  return std::min(q.groups, fill < outputs ? fill : fill / outputs * outputs);
}

/// What tiles of n outputs compute of so many vectors, and beyond them.
int64_t tiled_vectors(int64_t vectors, Isa isa, int n) {
  const int64_t whole = planar_vectors(isa, n), small = planar_small_vectors(isa, n), rest = vectors % whole;
  return vectors - rest + (rest == 0 ? 0 : rest <= small ? small : whole);
}
}  // namespace

PlanarCut planar_cut(const ConvProblem& q, Isa isa, int lanes, size_t l1d, size_t l2) {
  const Reach depth(q, 0), rows(q, 1), columns(q, 2);
  PlanarCut cut;
  const bool interleaved = is_interleaved(q);
  cut.groups = interleaved ? interleaved_groups(q.groups, lanes) : transposed_groups(q, lanes);
  cut.period = interleaved ? cut.groups / std::gcd<int64_t>(cut.groups, lanes) : 0;
  cut.weight_step = (cut.period == 1 ? 1 : cut.period + kPlanarSlack - 1) * lanes;
  // Planes, and the values of a pixel in each.
  const int64_t planes = depth.taps * rows.residues * columns.residues * (interleaved ? 1 : cut.groups * q.c);
  const int64_t unit = interleaved ? cut.groups : 1;
  const int64_t sums = interleaved ? 1 : std::min<int64_t>(lanes, cut.groups * q.o);
  const auto wide = [&](int64_t w) { return (w + columns.extent) * unit; };
  const auto plane_bytes = [&](int64_t r, int64_t w) {
    return static_cast<size_t>(planes * plane_elems((r + rows.extent) * wide(w), 1, lanes)) * 4;
  };
  const auto sum_bytes = [&](int64_t r, int64_t w) {
    return static_cast<size_t>(sums * plane_elems(r * wide(w), kPlanarSlack, lanes)) * 4;
  };
  // Of all blocks that stay in L1, or at a price in L2, the one that reads the fewest pixels twice.
  double best = 0;
  const int64_t least = ceil_div(4 * lanes, unit);
  for (int64_t parts = ceil_div(columns.outputs, kMostColumns);; ++parts) {
    const int64_t w = ceil_div(columns.outputs, parts);
    if (cut.rows > 0 && (w < least || parts > columns.outputs)) break;
    int64_t r = 1;
    for (const bool in_l1 : {true, false}) {
      const size_t most = in_l1 ? l1d * 3 / 4 : l2 / 2;
      while (r < rows.outputs && plane_bytes(r + 1, w) + sum_bytes(r + 1, w) <= most) ++r;
      const bool fits = plane_bytes(r, w) + sum_bytes(r, w) <= most;
      const int64_t even = ceil_div(rows.outputs, ceil_div(rows.outputs, r));
      const double row = static_cast<double>(wide(w)) / lanes * (in_l1 ? 1 : 1.4) + kRowVectors;
      const double price = static_cast<double>(even + rows.extent) * row / static_cast<double>(even * w);
      if (cut.rows > 0 && (price >= best || !fits)) continue;
      best = fits ? price : 1e9;
      cut.rows = even;
      cut.columns = w;
    }
  }
  const int64_t row = cut.columns * unit;
  const int n = interleaved ? 1 : planar_outputs(q.o, lanes);
  cut.flat = tiled_vectors(ceil_div((cut.rows - 1) * wide(cut.columns) + row, lanes), isa, n) <=
             cut.rows * tiled_vectors(ceil_div(row, lanes), isa, n);
  cut.plane_bytes = plane_bytes(cut.rows, cut.columns);
  cut.sum_bytes = sum_bytes(cut.rows, cut.columns);
  return cut;
}

double planar_work(const ConvProblem& q, const PlanarCut& cut, Isa isa, int lanes, double product) {
  const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
  const double groups = static_cast<double>(q.groups), c = static_cast<double>(q.c), o = static_cast<double>(q.o);
  const int n = planar_outputs(q.o, lanes), whole = planar_vectors(isa, n), small = planar_small_vectors(isa, n);
  const bool interleaved = is_interleaved(q);
  const double tiles = groups * std::ceil(o / n);
  // Terms: products, or the loads of pixels, most of which cross lines, and weights; or the latency of a sum.
  const auto term = [&](int v) { return std::max({n * v * 0.5 * product, v * 1.4 + n * 0.5, 4.0}); };
  // Lines that lie this far apart take a page each.
  const auto far = [&](double channels) { return channels * 4 >= 1024 ? 8.0 * lanes : 0.0; };
  // Planes of a pixel block: loads, shuffles, stores.
  const auto turned = [&](double channels) {
    const double width = std::min<double>(lanes, std::exp2(std::ceil(std::log2(std::max(4.0, channels)))));
    return std::ceil(channels / lanes) * (lanes + width * (std::log2(width) + 1) + far(channels));
  };
  double cycles = 0;
  for (int64_t i = 0; i < axes[0].phases() * axes[1].phases() * axes[2].phases(); ++i) {
    const AxisPhase ph[3] = {axes[0].phase(i % axes[0].phases()),
                             axes[1].phase(i / axes[0].phases() % axes[1].phases()),
                             axes[2].phase(i / axes[0].phases() / axes[1].phases())};
    const PlanarAxis rows(ph[1], axes[1].step), columns(ph[2], axes[2].step);
    const double taps = static_cast<double>(ph[0].n_taps * ph[1].n_taps * ph[2].n_taps);
    if (taps == 0) continue;  // filled, see conv_fill.cpp
    const double planes = static_cast<double>(q.batch * ph[0].count);
    const double down = std::ceil(static_cast<double>(ph[1].count) / static_cast<double>(cut.rows)),
                 across = std::ceil(static_cast<double>(ph[2].count) / static_cast<double>(cut.columns));
    const double r = static_cast<double>(ph[1].count) / down, w = static_cast<double>(ph[2].count) / across;
    const double wide = w + static_cast<double>(columns.extent), runs = cut.flat ? 1 : r;
    const double blocks = static_cast<double>(ph[0].n_taps) * (r + static_cast<double>(rows.extent)) *
                          static_cast<double>(rows.residues.size() * columns.residues.size());
    if (interleaved) {
      const double unit = static_cast<double>(cut.groups);
      const double vectors = std::ceil((cut.flat ? (r - 1) * wide + w : w) * unit / lanes);
      const double sums = runs * (std::ceil(vectors / whole) * (taps * (cut.period == 1 ? 8 : 11) * product + 30));
      const bool copied = cut.groups < q.groups || axes[2].step > 1,
                 written = cut.groups < q.groups || axes[2].period > 1;
      const auto pass = [&](double pixels, bool apart) {
        return !apart         ? std::ceil(pixels * unit / lanes) * 3
               : unit < lanes ? pixels * 4
                              : pixels * (std::ceil(unit / lanes) * 3 + 5);
      };
      cycles += planes * down * across * (groups / unit) *
                (sums + blocks * (pass(wide, copied) + 30) + r * (pass(w, written) + 20) + 200);
      continue;
    }
    const double vectors = std::ceil((cut.flat ? (r - 1) * wide + w : w) / lanes);
    const double wholes = std::floor(vectors / whole), rest = vectors - wholes * whole;
    const double per_term = wholes * term(whole) + (rest == 0 ? 0 : rest > small ? term(whole) : term(small));
    const double sums = runs * tiles * (taps * c * per_term + 20 * (wholes + 1));
    const double in = blocks * (std::ceil(wide / lanes) * turned(groups * c) + 2 * groups * c + 10);
    const double out = r * (std::ceil(w / lanes) * turned(groups * o) + 10);
    cycles += planes * down * across * (sums + in + out + 600);
  }
  return cycles;
}

}  // namespace nhwc
