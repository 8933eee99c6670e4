// csrc/plan/conv_cost_winograd.cpp -- when Winograd's method can compute a convolution or a weight gradient, and how
// many cycles it takes; pure
#include <algorithm>
#include <cmath>

#include "base/divide.h"
#include "plan/conv_cost.h"
#include "plan/conv_winograd.h"

namespace nhwc {
namespace cost {
namespace {

constexpr int64_t kLeastTerms = 72;     // of a sum with six points: 8 channels of a 3x3 filter
constexpr int64_t kLeastGradTiles = 8;  // on one tile of 4x4 the error is 7 times that of the direct sum, on four 3.6

/// Products of a tile for each pair of channels.
double winograd_products(const ConvProblem& q, const WinogradGeometry& w) {
  double n = 0;
  for (int f = 0; f < w.frequencies(); ++f)
    for (int64_t i = 0; i < w.filter_parts(); ++i) n += meets(q, w, f, i);
  return n * static_cast<double>(w.slide_taps(q));
}

/// Winograd group by group, where all but the weights stays in L1 (fitted to groups of 8 to 48 channels).
double winograd_group_cycles(const ConvProblem& q, int at_once, const WinogradGeometry& w, const Sizes& s) {
  const double slides = w.slide < 0 ? 1 : static_cast<double>(q.out[w.slide]), f = w.frequencies();
  const double per_slide = static_cast<double>(w.tiles(q)),
               tiles = per_slide * slides * static_cast<double>(w.phases());
  const double piece = per_slide / std::ceil(per_slide / winograd_rows(s.tile, q.o, at_once)),
               g = static_cast<double>(q.groups);
  const double in_vectors = std::ceil(static_cast<double>(q.c) / s.lanes);
  const double out_vectors = std::ceil(static_cast<double>(q.o) / s.lanes);
  // Half a cycle a product; the sums of a vector wait four cycles for each other.
  const double products = out_vectors * std::max(0.5 * s.product + 0.05, (out_vectors > 1 ? 2.1 : 4.2) / piece);
  const double terms = winograd_products(q, w) * static_cast<double>(q.c) / at_once;
  const double weights = stream_cycles(g * terms * out_vectors * s.lanes * 4, s) * static_cast<double>(w.phases());
  const double sums = tiles * g * terms * products;
  const double parts = static_cast<double>(w.filter_parts());  // whose pixels lie apart
  // Of four points the transforms are mostly sums; the lanes of two terms are added at the end of a product.
  const bool four = w.points == 4;
  const double in = parts * (2 * s.product + (parts > 1 ? 5 : four ? 0.5 : 2));
  const double out = 2 * s.product + (four ? 3 : 5.5) + (at_once > 1 ? 1.5 : 0);
  return tiles * (g * (f * (in * in_vectors + out * out_vectors) + 30) + 150) + std::max(sums + weights / 2, weights) +
         far_cycles(q, s);
}

double values(const ConvProblem& q, const int64_t (&size)[3], int64_t channels) {
  return static_cast<double>(q.batch * size[0] * size[1] * size[2] * q.groups * channels);
}

/// Products of all tiles, the weights that pass once per block, and what is transformed.
double winograd_cycles(const ConvProblem& problem, const Sizes& s, int points) {
  const ConvProblem q = winograd_units(problem, s.lanes);
  WinogradGeometry w;
  winograd_geometry(q, points, w);
  const int at_once = winograd_terms(problem, s.lanes);
  if (q.groups > 1) return winograd_group_cycles(q, at_once, w, s);
  const double slides = w.slide < 0 ? 1 : static_cast<double>(q.out[w.slide]);
  const double phases = static_cast<double>(w.phases());
  const double per_slide = static_cast<double>(w.tiles(q)), tiles = per_slide * slides * phases;
  const double c = static_cast<double>(q.c), terms = winograd_products(q, w) * c / at_once;
  const int rows = winograd_rows(s.tile, q.o, at_once);
  const double f = w.frequencies(), p = panels(q, s), mr = rows;
  const WinogradCut cut = winograd_cut(q, w, rows, s.l2, l3_for_blocks(*s.machine, s.l2, s.l3), false);
  const double blocks = static_cast<double>(cut.blocks);
  const double piece = per_slide / std::max(std::ceil(per_slide / mr), blocks);
  const double block = per_slide / blocks * static_cast<double>(winograd_input_bytes(q, w) + w.frequencies() * q.o * 4);
  // A piece of m tiles takes m cycles a channel for its products, but (m + 2) / 2 for its loads and 4 for the latency
  // of a sum; 20 more a piece for the call, and its stores. Within 15 % on 8 to 512
  // channels from 7x7 to 112x112, 20 % on fewer.
  const double product = std::max({piece * s.product, piece / 2 + 1, 4.0}) / piece;
  const double products = tiles * p * terms * product, calls = tiles * p * f * (1.5 + 20 / piece);
  // The weights pass once per block. Half of the time in which they would come from L3 is seen; where they do not stay
  // there with all else that passes, memory may be what all wait for. A block beyond L2 is allocated, written and read.
  const double passes = blocks * slides * phases, weight_bytes = terms * p * 2 * s.lanes * 4;
  const double near = std::min(weight_bytes, 0.6 * static_cast<double>(s.l3));
  const double weights = passes * exposed_cycles(near, s) * weight_bytes / near;
  const double pixels = (values(q, q.in, q.c) + values(q, q.out, q.o)) * 4 / passes;
  const double far = weight_bytes + pixels + (block > static_cast<double>(s.l2) ? 3 * block : 0);
  const bool wait = weight_bytes > static_cast<double>(s.l2);
  const double gemm = std::max(products + weights, wait ? passes * stream_cycles(far, s) : 0);
  // Per point and vector: sums, and what goes through L2, or further where a block is as large: inputs come and
  // go, products stay. Per tile: tables of each part's pixels, and a call for each panel.
  const double parts = static_cast<double>(w.filter_parts());
  const double through = cut.by_frequency ? 46 * stream_cycles(block, s) / block : 46 / s.machine->l2;
  const double out = 2 * s.product + 2.5 * through;
  const bool window = in_one_vector(q, w, s.lanes);
  const double in = window ? 2 * s.product + 2 * through + parts : parts * (2 * s.product + 4 * through);
  const double in_vectors = std::ceil(c / s.lanes), out_vectors = std::ceil(static_cast<double>(q.o) / s.lanes);
  return 800 + gemm + calls +
         tiles * (f * (in * in_vectors + out * out_vectors) + 60 + (window ? 0 : (f + 10) * parts) + 45 * p);
}

const char* can_transform(const ConvProblem& q, const Sizes& s) {
  if (q.highest_precision) return "precision=\"highest\" transforms nothing";
  if (q.dtype == Dtype::float64) return "float64 is computed as it is written";
  if (sums_nothing(q)) return "nothing is summed";
  return s.tile.isa == Isa::baseline ? "this instruction set has too few registers" : nullptr;
}

const char* can_winograd(const ConvProblem& q, const Sizes& s, int points) {
  if (const char* why = can_transform(q, s)) return why;
  constexpr const char* kLoses = "six points would lose too much of so short a sum";
  WinogradGeometry g;
  if (const char* why = winograd_geometry(q, points, g)) return why;
  // Rounding grows with the root of the direct sum's length, that of the transforms does not.
  int64_t terms = q.c;
  for (int a = 0; a < 3; ++a) terms *= ceil_div(q.kernel[a], q.in_dilation[a]);
  if (points == 6 && terms < kLeastTerms) return kLoses;
  return points == 6 && g.taps == 2 && g.filter_parts() > 1 ? kLoses : nullptr;
}

}  // namespace

const char* can_winograd4(const ConvProblem& q, const Sizes& s) { return can_winograd(q, s, 4); }

const char* can_winograd6(const ConvProblem& q, const Sizes& s) { return can_winograd(q, s, 6); }

double winograd4_cycles(const ConvProblem& q, const Sizes& s) { return winograd_cycles(q, s, 4); }

double winograd6_cycles(const ConvProblem& q, const Sizes& s) { return winograd_cycles(q, s, 6); }

const char* can_winograd_grad(const ConvProblem& q, const Sizes& s) {
  if (const char* why = can_transform(q, s)) return why;
  if (q.dtype != Dtype::float32) return "half types have no such kernel";
  if (q.groups != 1) return "has groups";
  if (q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] != 1) return "the input is dilated";
  WinogradGeometry g;
  if (const char* why = winograd_geometry(q, 6, g)) return why;
  if (g.tiles(q) < kLeastGradTiles) return "six points would lose too much of so short a sum";
  if (g.taps != 3 || g.filter_parts() != 1) return "no axis has 3 taps and stride 1";
  if (g.slide >= 0) return "a third axis has taps";
  const int64_t sums = g.frequencies() * q.o * winograd_grad_width(q, s.lanes) * 4;
  return sums > static_cast<int64_t>(s.workspace / 4) ? "the sums of a panel exceed the workspace" : nullptr;
}

/// Within 25 % on 3 to 512 channels from 7x7 to 56x56: products, transforms, and the sums, which are cleared, added to
/// once per block, and read.
double winograd_grad_cycles(const ConvProblem& q, const Sizes& s) {
  WinogradGeometry g;
  winograd_geometry(q, 6, g);
  const int width = winograd_grad_width(q, s.lanes);
  const WinogradGradCut cut = winograd_grad_cut(q, g, width, s.l3, s.workspace);
  const double tiles = static_cast<double>(g.tiles(q)), f = g.frequencies(), o = static_cast<double>(q.o);
  const double in_vectors = std::ceil(static_cast<double>(q.c) / s.lanes), out_vectors = std::ceil(o / s.lanes);
  const double p = std::floor(in_vectors / 2) + (std::fmod(in_vectors, 2) > 0 ? 0.62 : 0);
  const double panels = std::ceil(static_cast<double>(q.c) / width);
  const double ranges = std::ceil(panels / static_cast<double>(cut.panels));
  const double blocks = std::ceil(tiles / static_cast<double>(cut.block)), parts = static_cast<double>(cut.parts);
  const double transform = 2 * s.product + 7 * 46 / s.machine->l2;
  const double products = f * p * o * (std::max(1.15 * s.product * tiles, 4.0 * blocks) + 5 * blocks);
  const double transforms = tiles * f * (transform * (in_vectors + ranges * out_vectors) + 4 * ranges);
  const double range = f * static_cast<double>(cut.panels) * width * o * 4;  // of sums, which stays in its cache
  return products + transforms + 3 * parts * panels * width * o * f * 4 * (stream_cycles(range, s) / range);
}

}  // namespace cost
}  // namespace nhwc
