// csrc/plan/conv_cost.cpp -- when an algorithm can compute a convolution, and how many cycles it takes; pure
#include "plan/conv_cost.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "plan/conv_col2im.h"
#include "plan/conv_cut.h"
#include "plan/conv_winograd.h"

namespace nhwc {
namespace cost {

bool sums_nothing(const ConvProblem& q) {
  if (q.batch == 0 || q.c == 0 || q.o == 0 || q.groups == 0) return true;
  for (int a = 0; a < 3; ++a)
    if (q.in[a] == 0 || q.out[a] == 0 || q.kernel[a] == 0) return true;
  return false;
}

double panels(const ConvProblem& q, const Sizes& s, double one_vector) {
  const int64_t nr = 2 * s.lanes, rest = q.o % nr;
  return static_cast<double>(q.o / nr) + (rest == 0 ? 0 : rest <= s.lanes ? one_vector : 1.0);
}

double stream_cycles(double bytes, const Sizes& s) {
  const auto fits = [&](size_t cache) { return bytes < 0.7 * static_cast<double>(cache); };
  const Machine& m = *s.machine;
  return bytes / (fits(s.l2) ? m.l2 : fits(s.l3) ? m.l3 : m.dram);
}

double far_cycles(const ConvProblem& q, const Sizes& s) {
  if (q.groups == 1) return 0;
  double in = static_cast<double>(q.c);
  for (int a = 0; a < 3; ++a)
    in *= static_cast<double>(q.in[a]) *
          std::min(1.0, static_cast<double>(q.kernel[a]) / static_cast<double>(q.stride[a]));
  const double out = static_cast<double>(q.o * q.out[0] * q.out[1] * q.out[2]);
  const double bytes =
      static_cast<double>(q.batch * q.groups * static_cast<int64_t>(size_of(q.dtype))) * (in + 2 * out);
  return bytes < 0.7 * static_cast<double>(s.l3) ? 0 : bytes / s.machine->dram;
}

double exposed_cycles(double bytes, const Sizes& s) {
  return stream_cycles(bytes, s) * (bytes < 0.7 * static_cast<double>(s.l2) ? 1 : 0.5);
}

bool one_row(const ConvProblem& q, const Sizes& s) {
  for (int a = 0; a < 3; ++a)
    if (q.stride[a] != 1 || q.in_dilation[a] != 1 || q.pad[a] != 0) return false;
  return s.kernel == 1;
}

}  // namespace cost

namespace {

using namespace cost;

using Form = ConvProblem::Form;

constexpr int64_t kMaxGatheredRun = 4096;  // terms in one float accumulator
constexpr int64_t kMostPlanes = 64;        // channels of a group that are transposed into planes

/// Panels of a direct or merged convolution, as so many of two vectors.
double plain_panels(const ConvProblem& q, const Sizes& s, bool pairs) {
  if (pairs) return panels(q, s, 0.75);
  return s.vectors == 3 ? 1.5 * std::ceil(static_cast<double>(q.o) / (3 * s.lanes)) : panels(q, s);
}

/// Of a direct one, whose vectors may hold two terms: as measured, 24 outputs, 3x3 and 1x1.
double direct_panels(const ConvProblem& q, const Sizes& s, bool pairs) {
  return !pairs && has_terms(q, s.lanes) ? 0.78 : plain_panels(q, s, pairs);
}

/// How many times as wide as two vectors a full panel is.
double panel_width(const Sizes& s, bool pairs) { return pairs ? 1 : s.vectors / 2.0; }

/// The sizes with the rows of its tiles.
Sizes direct_sizes(Sizes s, bool pairs) {
  if (!pairs) s.tile.mr = s.rows;
  return s;
}

bool row_fills_tiles(const ConvProblem& q, const Sizes& s) {
  return TileSplit(q.out[2], q.out[2], s.tile.mr).along_rows;
}

/// The share of tiles that need a pointer for each pixel: those that meet a border or the end of a row.
double tables(const ConvProblem& q, const Sizes& s, bool pairs) {
  if (one_row(q, s)) return 0;
  if ((q.dtype != Dtype::float32 && !pairs) || !row_fills_tiles(q, s)) return 1;
  return q.pad[2] > 0 ? std::min(1.0, 2 / std::ceil(static_cast<double>(q.out[2]) / s.tile.mr)) : 0;
}

/// An output of a last panel that is stored with masks, where this share of tiles has tables.
double masked(const ConvProblem& q, const Sizes& s, double table_share) {
  return q.o % s.lanes == 0 ? 0 : 2 + 5 * table_share;
}

/// Steps over n products that have the same weights.
double steps(int64_t n, bool pairs) { return static_cast<double>(pairs ? (n + 1) / 2 : n); }

/// Outputs of phases without taps are written where they fit: read first, then written back.
double filling(const ConvProblem& q, const Sizes& s) {
  if (s.summed == s.outputs) return 0;
  const double pixel = static_cast<double>(q.groups * q.o * static_cast<int64_t>(size_of(q.dtype)));
  return 2 * stream_cycles(s.outputs * pixel, s) * (1 - s.summed / s.outputs);
}

/// The weights of `taps` taps of all outputs together, as they pass once per four tiles, to some extent while others
/// are multiplied.
double weight_cycles(const ConvProblem& q, const Sizes& s, double taps, bool pairs) {
  const double tap = static_cast<double>(q.groups * q.c) * static_cast<double>(q.o) * (pairs ? 2 : 4);
  const double passes = std::max(1.0, s.outputs / (4 * s.tile.mr));
  // The first tiles of each group wait for their weights where loads beside products are slow: four cycles a line
  // (Xeon, groups of 16 to 128 channels, 7x7 to 28x28, within 15 %).
  const double cold = q.groups > 1 && load_outputs(*s.machine, s.tile.isa) > 0 ? 4 * tap * s.taps / 64 : 0;
  return passes * taps / s.outputs * exposed_cycles(tap * s.taps, s) / s.taps + cold;
}

double direct(const ConvProblem& q, const Sizes& sizes, bool pairs) {
  Sizes s = direct_sizes(sizes, pairs);
  if (!pairs) s.tile.mr = direct_rows(q, s);
  const double g = static_cast<double>(q.groups), c = steps(q.c, pairs), p = direct_panels(q, s, pairs);
  if (one_row(q, s)) {
    const double mr = s.tile.mr, tiles = p / panel_width(s, pairs) / mr;  // a pixel
    return g * s.reads *
               (p * c * (pairs ? s.pair_product : s.product) + 10 * (pairs ? 1.4 * std::ceil(p) / mr : tiles)) +
           s.outputs * (g * (40 * tiles + masked(q, s, 0)) + 2) + weight_cycles(q, s, s.outputs, pairs);
  }
  const BoxWork work = cut_conv(q, cost::tile_costs(q, s, s.tile.mr, pairs)).work;
  return work.cycles + filling(q, s) + far_cycles(q, s) + weight_cycles(q, s, work.taps, pairs);
}

/// Kernel rows that a tile meets, on average.
double mean_rows(const ConvProblem& q, const Sizes& s) {
  double rows = 1, span = row_fills_tiles(q, s) ? 0 : (s.tile.mr - 1) / static_cast<double>(q.out[2]);
  for (int a = 1; a >= 0; --a) {
    const AxisPhases axis(q, a);
    rows *= mean_taps(q, axis.phase(0), a, axis.step, span);
    span /= static_cast<double>(q.out[a]);
  }
  return rows;
}

double merged(const ConvProblem& q, const Sizes& sizes, bool pairs) {
  const Sizes s = direct_sizes(sizes, pairs);
  const double rows = mean_rows(q, s), run = steps(q.kernel[2] * q.c, pairs);
  const bool copies = q.pad[2] != 0, kept = s.calls_kept && !copies;  // copies are made anew
  const double p = plain_panels(q, s, pairs), mr = s.tile.mr, tiles = p / panel_width(s, pairs) / mr;
  const double uneven = row_fills_tiles(q, s) || kept ? 0 : 1;
  // Tiles at a border are copied; of uneven ones the runs that cross it.
  const double run_copied = steps(q.c, pairs) * (static_cast<double>(q.stride[2]) + q.kernel[2] / mr);
  const double crossing =
      q.pad[2] > 0 ? std::min(1.0, (q.kernel[2] - 1.0) / static_cast<double>(q.stride[2] * q.out[2])) : 0;
  const double copied =
      uneven > 0 ? crossing * (run * 2 / s.lanes + 60) : tables(q, s, pairs) * (run_copied * 8 / s.lanes + 1.6);
  const double product = pairs ? s.pair_product : s.product;
  return s.outputs * (rows * (p * run * product + 14 * tiles + 1 + copied + 8 * uneven) + 40 * tiles +
                      masked(q, s, tables(q, s, pairs)) + 1 + 5 * uneven) +
         weight_cycles(q, s, s.outputs * rows * static_cast<double>(q.kernel[2]), pairs) +
         (s.calls_kept && copies ? 1500 : 0);
}

const char* can_pair(const ConvProblem& q, const Sizes& s) {
  if (q.dtype != Dtype::bfloat16) return "not bfloat16";
  if (!s.bf16_dot) return "no dot products of bfloat16 pairs";
  return q.highest_precision ? "precision=\"highest\" keeps subnormal numbers" : nullptr;
}

/// Whether depthwise convolutions have the 3x3 kernel that goes down its strip.
bool walks(const ConvProblem& q) {
  return q.kernel[1] == 3 && q.kernel[2] == 3 && q.stride[1] * q.stride[2] == 1 &&
         q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] == 1 &&
         (q.out[1] + q.dilation[1] - 1) / q.dilation[1] >= 3;
}

/// Most groups that one aligned vector of output channels touches, times the channels of each.
int64_t group_span(const ConvProblem& q, int lanes) {
  if (lanes % q.o == 0) return std::min<int64_t>(lanes / q.o, q.groups) * q.c;
  if (q.o % lanes == 0) return q.c;
  return std::min<int64_t>((lanes - 2) / q.o + 2, q.groups) * q.c;
}

}  // namespace

// Constants were measured on Zen 5, whose figures are those of machines.inc: two multiply-adds a cycle, so that
// `s.product` is 1 there. What counts multiply-adds is multiplied by it; loads, tables and calls are not.
namespace cost {

const char* always(const ConvProblem&, const Sizes&) { return nullptr; }

const char* only_empty(const ConvProblem& q, const Sizes&) {
  return sums_nothing(q) ? nullptr : "there is something to sum";
}

const char* can_merge(const ConvProblem& q, const Sizes&) {
  if (q.groups != 1) return "has groups";
  if (q.kernel[2] == 1) return "a kernel row is one tap";
  if (q.dilation[2] != 1) return "the taps of a kernel row are apart (dilation)";
  for (int a = 0; a < 3; ++a)
    if (q.in_dilation[a] != 1) return "the input is dilated";
  return nullptr;
}

const char* can_direct_bf16(const ConvProblem& q, const Sizes& s) {
  return q.c == 1 ? "one input channel makes no pair" : can_pair(q, s);
}

const char* can_merged_bf16(const ConvProblem& q, const Sizes& s) {
  const char* why = can_pair(q, s);
  return why ? why : can_merge(q, s);
}

const char* can_dot(const ConvProblem& q, const Sizes& s) {
  if (q.o > 8) return "more than 8 output channels";
  if (q.dtype == Dtype::float64) return "float64 has no such kernel";
  if (s.dot.segments > 0) return nullptr;
  if (q.o > 1) return s.dot.form < 0 ? "the input channels do not fill a part of a vector" : nullptr;
  return q.c >= s.lanes || s.kernel == 1 ? nullptr : "the input channels do not fill a vector";
}

const char* can_depthwise(const ConvProblem& q, const Sizes&) {
  return q.c == 1 && q.o == 1 && q.groups > 1 ? nullptr : "not one channel in and one out per group";
}

const char* can_group(const ConvProblem& q, const Sizes& s) {
  if (q.groups == 1) return "one group";
  if (s.tile.isa == Isa::baseline) return "this instruction set has no lane permutation";
  if (q.dtype == Dtype::float64) return "float64 has no such kernel";
  if (q.o > s.lanes) return "a group fills a vector on its own";
  return group_span(q, s.lanes) <= 2 * s.lanes ? nullptr : "the inputs of one output vector span more than two vectors";
}

const char* can_fft(const ConvProblem& q, const Sizes& s) {
  return q.fold > 1 ? "neighbouring outputs are one" : s.fft.refused;
}

const char* can_col2im(const ConvProblem& q, const Sizes& s) {
  if (q.dtype != Dtype::float32) return "not float32";
  if (q.groups != 1) return "has groups";
  if (q.kernel[1] * q.kernel[2] == 1) return "one tap";
  if (q.fold > 1 || (q.swapped && !q.flip)) return "the weights lie otherwise";
  if (q.stride[1] != 1 || q.stride[2] != 1) return "not every product is wanted (stride)";
  if (q.dilation[2] != 1) return "the taps of a kernel row are apart (dilation)";
  if (q.c * q.kernel[0] > kMaxGatheredRun) return "the sums are too long";
  const double weights = 4.0 * static_cast<double>(q.c) * static_cast<double>(q.o) * s.taps;
  if (weights > static_cast<double>(s.l2) / 2) return "the weights exceed L2";
  const Col2imGeometry g(q, s.lanes);
  const Col2imCut cut = col2im_cut(q, g, s.tile.mr, static_cast<int64_t>(s.l1d));
  return g.row_bytes(cut.chunks) * g.rows > static_cast<int64_t>(s.l3 / 4) ? "the products of a task exceed L3"
                                                                           : nullptr;
}

TileCosts tile_costs(const ConvProblem& q, const Sizes& s, int mr, bool pairs) {
  const double width = panel_width(s, pairs), p = direct_panels(q, s, pairs) / width;
  const double per_panel = pairs ? 1.4 * std::ceil(p) / p : 1;
  TileCosts t;
  t.tap = steps(q.c, pairs) * (pairs ? s.pair_product : s.product) * width;
  t.even_tap = 10 * per_panel;
  t.loads = pairs ? 0 : load_outputs(*s.machine, s.tile.isa);
  t.table_tap = (s.calls_kept ? 10 : t.loads > 0 ? 35 : 20) * per_panel;
  t.tile = 40 + mr * masked(q, s, tables(q, s, pairs)) / p;
  // Outputs of phases lie apart: lines that they share are written once for each.
  const double lines = static_cast<double>(q.groups * q.o * static_cast<int64_t>(size_of(q.dtype))) / 64 + 1;
  t.output = (s.calls_kept ? 0 : 2) + 5 * lines * (1 - 1 / static_cast<double>(q.in_dilation[2]));
  t.table_read = s.calls_kept ? 0 : 2.5;
  t.box = s.calls_kept ? 0 : 700;
  t.panels = static_cast<double>(q.groups) * p;
  // Latency of the sums; and weights, which come from L2 where a panel is longer than half of L1.
  t.least = std::max(4 / width, 2.0 * s.tile.vector_bytes / s.machine->l2 / s.product);
  t.mr = mr;
  t.even = q.dtype == Dtype::float32 || pairs;
  return t;
}

bool dots_in_place(const ConvProblem& q, const Sizes& s) {
  return is_half(q.dtype) && s.tile.isa == Isa::avx512 && one_row(q, s) && q.groups == 1 && q.o <= kDotOutputs &&
         (q.o == 1 || q.c >= s.lanes);
}

/// Inputs that several slabs read are widened for each.
double conversion_cycles(const ConvProblem& q, const Sizes& s, ConvAlgorithm algorithm) {
  if (!is_half(q.dtype) || q.form != Form::forward) return 0;
  const bool in_place = algorithm == ConvAlgorithm::depthwise
                            ? (s.bf16_dot || q.dtype == Dtype::float16) && depthwise_rows(q) && q.groups >= s.lanes
                            : algorithm == ConvAlgorithm::dot && dots_in_place(q, s);
  if (in_place && s.tile.isa == Isa::avx512) return 0;
  double in = static_cast<double>(q.batch * q.groups * q.c);
  for (int a = 0; a < 3; ++a) in *= static_cast<double>(q.in[a]);
  return (in * 3 + s.outputs * static_cast<double>(q.groups * q.o) * 3) / s.lanes;
}

/// As measured on AVX-512, 32 to 512 channels, 3x3 and 9x9: 0.3, 1.0 and 1.5 ns a weight; by FFT as its blocks take.
double packing_cycles(const ConvProblem& q, const Sizes& s, ConvAlgorithm algorithm) {
  if (q.form != Form::forward || algorithm == ConvAlgorithm::empty) return 0;
  if (algorithm == ConvAlgorithm::fft) return s.fft.packing;
  const double weights = static_cast<double>(q.groups * q.o * q.c) * s.taps;
  return weights * (algorithm == ConvAlgorithm::winograd4 ? 3 : algorithm == ConvAlgorithm::winograd6 ? 4.5 : 1);
}

double table_share(const ConvProblem& q, const Sizes& s, bool pairs) { return tables(q, s, pairs); }

double direct_cycles(const ConvProblem& q, const Sizes& s) { return direct(q, s, false); }
double merged_cycles(const ConvProblem& q, const Sizes& s) { return merged(q, s, false); }
double direct_bf16_cycles(const ConvProblem& q, const Sizes& s) { return direct(q, s, true); }
double merged_bf16_cycles(const ConvProblem& q, const Sizes& s) { return merged(q, s, true); }

namespace {
/// A load and a product for each accumulator of a tile, of which there are as many as lanes; channels that are no whole
/// vectors lie across lines. Then their sums and stores, and a call a row. Weights pass once per tile.
double dot_groups_cycles(const ConvProblem& q, const Sizes& s, double tables) {
  const double pairs = std::ceil(static_cast<double>(q.groups * q.o) / (2 * s.dot.segments));
  const double steps = std::ceil(static_cast<double>(q.c) / s.lanes), pair = 2.0 * s.tile.vector_bytes;
  const double masked = s.dot.segments > 1 ? 0 : q.c % s.lanes == 0 ? 0.2 : 0.5;
  const double row = static_cast<double>(q.out[2]) / static_cast<double>(q.in_dilation[2]);
  const double mr = row_fills_tiles(q, s) ? std::max(1.0, row / std::ceil(row / s.tile.mr)) : s.tile.mr;
  const double far = s.taps * pairs * steps * pair < 0.5 * static_cast<double>(s.l1d) ? 0 : pair / s.machine->l2;
  return s.reads / mr * pairs * (steps * (s.lanes * (0.4 + 0.4 * s.product + masked) + far) + 4 + 9 * tables) +
         s.summed / mr * (pairs * (1.4 * s.lanes + 8 + 10 * tables) + 30 + 120 * tables) + s.summed / row * 60;
}
}  // namespace

/// A tile costs the sums of its lanes and its pointers. Short pixels: conv_dot.inl. A table is filled once for all
/// groups, and read for each.
double dot_cycles(const ConvProblem& q, const Sizes& sizes) {
  Sizes s = sizes;
  s.tile.mr = dot_rows(s);
  const double g = static_cast<double>(q.groups), t = s.calls_kept ? 0 : tables(q, s, false);
  // A table is filled by pieces of rows.
  const double row = static_cast<double>(q.out[2]) / static_cast<double>(q.in_dilation[2]);
  const double rest = s.reads * t * (1.2 + 15 * (1.0 / s.tile.mr + 1 / row)) + filling(q, s) + far_cycles(q, s);
  if (s.dot.segments > 0) return rest + dot_groups_cycles(q, s, t);
  if (q.o > 1)
    return g * s.reads * (s.dot.tap + 0.5 * s.dot.panels * t) +
           s.summed * (g * (s.dot.tile + 40 * s.dot.panels * t) + 150 * t) / s.tile.mr + rest;
  if (s.kernel == 1 && t == 0 && q.c <= s.lanes && q.groups == 1) return s.outputs * (2 + 0.5 * s.product);
  const double vectors = std::ceil(static_cast<double>(q.c) / s.lanes);
  return g * s.reads * (vectors * (0.42 * s.product + 0.8) + 0.8 * t) +
         g * s.summed * ((g > 1 ? 72 : 55) + 53 * t) / s.tile.mr + rest;
}

double depthwise_grad_cycles(const ConvProblem& q, const Sizes& s) {
  const double vectors = static_cast<double>((q.groups + s.lanes - 1) / s.lanes);
  return s.reads * (vectors * (0.5 * s.product + 0.5) + 1) + s.outputs * vectors * 2;
}

namespace {
/// Of one channel a group, where every product is read through a pointer.
double pointer_cycles(const ConvProblem& q, const Sizes& s) {
  const double vectors = static_cast<double>((q.groups + s.lanes - 1) / s.lanes);
  return s.reads * (vectors * (0.5 * s.product + 1.4) + 2.2) + s.summed * (vectors * 2 + 13) + filling(q, s);
}
}  // namespace

/// Row kernels: 0.6 cycles a product, tiles that stick out of the image included, which under a dilation hold outputs
/// that lie apart. Pixel by pixel: two loads a product. float64, and halves of a dilated input: a load behind a pointer
/// a product. Each phase is set up on its own.
double depthwise_cycles(const ConvProblem& q, const Sizes& s) {
  const double vectors = static_cast<double>((q.groups + s.lanes - 1) / s.lanes), px = s.tile.pixels;
  if (!depthwise_rows(q)) return pointer_cycles(q, s);
  if (depthwise_pixels(q)) return 1.1 * s.reads * vectors + s.outputs * (2 * vectors + 40);
  const auto per_phase = [&q](int a) {
    return static_cast<double>(std::gcd(q.stride[a], q.in_dilation[a])) / static_cast<double>(q.in_dilation[a]);
  };
  // Tiles of the 3x3 that goes down its strip leave out what is not there.
  const int64_t apart = walks(q) || q.kernel[2] == 1 ? 1 : q.dilation[2] / std::gcd(q.stride[2], q.dilation[2]);
  const double period = static_cast<double>(apart);
  const double row = std::ceil(static_cast<double>(q.out[2]) * per_phase(2)),
               small = depthwise_small_pixels(s.tile) > 0 ? depthwise_small_pixels(s.tile) : px;
  const double kernel_rows = s.taps / static_cast<double>(q.kernel[2]) * per_phase(0) * per_phase(1);
  const double tile = 60 + 4 * kernel_rows, part = q.groups < s.lanes ? 2 : 0;  // masks
  const double waste = std::min(period, row) * std::ceil(std::ceil(row / period) / small) * small / row;
  return s.reads * vectors * (0.5 * s.product + 0.1) * waste + s.summed * (vectors * 3 + part + tile * waste / px) +
         filling(q, s) + 800 * (1 / (per_phase(0) * per_phase(1) * per_phase(2)) - 1);
}

double grouped_cycles(const ConvProblem& q, const Sizes& s) {
  // Four cycles a read to find the pixel, two loads with masks where the channels do not fill a vector; outputs that do
  // not fill one go by way of memory.
  const double vectors = static_cast<double>((q.groups * q.o + s.lanes - 1) / s.lanes), c = static_cast<double>(q.c);
  const double masked = q.groups * q.c < s.lanes ? 1.5 * c + 1.5 : 0;
  const double stored = q.groups * q.o % s.lanes != 0 ? 8 : 0;
  // Of one channel a group: as fitted beside the row kernels, against which these are chosen.
  const bool depthwise = q.c == 1 && q.o == 1;
  if (depthwise && q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] > 1) return 1.08 * pointer_cycles(q, s);
  if (depthwise && (!depthwise_rows(q) || depthwise_pixels(q))) return 1.08 * depthwise_cycles(q, s);
  // Where only the units that multiply can permute vectors as long, each permutation is in the way of a product; and
  // few lines at a time come from a slow L3 (Xeon, within 12 % on 4 and 8 channels, 28x28 to 56x56, batch 1 and 8).
  const double* units = s.machine->products;
  const bool shared = s.tile.isa == Isa::avx512 && units[static_cast<int>(Isa::avx512)] > 1 &&
                      units[static_cast<int>(Isa::baseline)] <= 1;
  double in = 4.0 * static_cast<double>(q.batch * q.groups * q.c);
  for (int a = 0; a < 3; ++a) in *= static_cast<double>(std::min(q.in[a], q.out[a] * q.kernel[a]));  // that are read
  const double far = l3_is_slow(*s.machine) && in > 0.7 * static_cast<double>(s.l2) ? 0.8 * stream_cycles(in, s) : 0;
  // Inputs that span two vectors take two loads.
  const double apart = (group_span(q, s.lanes) > s.lanes ? 1 : 0.16) + (shared ? 0.2 : 0);
  const double load = depthwise ? 0.2 : apart, weights = depthwise ? 0.3 : 0.5, end = depthwise ? 2 : 4.5;
  return s.reads * (vectors * (c * (0.5 * s.product + load) + weights + masked) + 4) +
         s.summed * (vectors * end + stored) + filling(q, s) + 0.3 * far_cycles(q, s) + far;
}

/// A plain matrix product, then a sum of vectors for each chunk of outputs, which straddle lines. Within 15 % on 1 to
/// 21 outputs, 7 to 256 taps and 8 to 256 channels. To begin takes 1200 cycles.
double col2im_cycles(const ConvProblem& q, const Sizes& s) {
  const ConvProblem units = col2im_units(q);
  const Col2imGeometry g(q, s.lanes);
  const Col2imCut cut = col2im_cut(q, g, s.tile.mr, static_cast<int64_t>(s.l1d));
  const double rows = static_cast<double>(q.out[1]), columns = static_cast<double>(g.chunks);
  const double planes = static_cast<double>(q.batch * q.out[0]), p = panels(units, s), mr = s.tile.mr;
  const double down = std::ceil(rows / static_cast<double>(cut.rows)),
               across = std::ceil(columns / static_cast<double>(cut.chunks));
  const double pixels = planes * (static_cast<double>(q.in[1]) + (down - 1) * static_cast<double>(g.rows - 1)) *
                        (static_cast<double>(q.in[2]) + (across - 1) * static_cast<double>(g.overlap - 1));
  const double vectors = std::ceil(static_cast<double>(q.in_dilation[2] * q.o) / s.lanes);
  const double sources =
      static_cast<double>(q.kernel[1]) / static_cast<double>(q.in_dilation[1]) * static_cast<double>(g.overlap);
  // Weights pass once per row of pixels, products come and go, each from where it fits.
  const double input_rows = planes * across * static_cast<double>(q.in[1]), l1 = 0.5 * s.l1d;
  const double depth = static_cast<double>(q.kernel[0]) / static_cast<double>(q.in_dilation[0]);
  const double weights = 4.0 * static_cast<double>(q.c * units.o) * depth, wide = 4.0 * static_cast<double>(g.columns);
  const double ring = static_cast<double>(g.rows * g.row_bytes(cut.chunks));
  const double passing = (weights > l1 ? input_rows * stream_cycles(weights, s) : 0) +
                         (ring > l1 ? 2 * pixels * wide * stream_cycles(ring, s) / ring : 0);
  return pixels * p * (static_cast<double>(q.c) * depth * s.product + (40 + 10 * depth) / mr) + passing +
         planes * rows * (columns * vectors * (2.2 * sources + 2.5) + across * 60) +
         s.outputs * static_cast<double>(q.o) / s.lanes * 2 + 1200;
}

const char* can_planar(const ConvProblem& q, const Sizes& s) {
  if (q.dtype != Dtype::float32) return "not float32";
  if (s.tile.isa == Isa::baseline) return "this instruction set has too few registers";
  if (q.c > kMostPlanes) return "the channels of a group fill vectors";
  if (q.c * s.kernel > kMaxGatheredRun) return "the sums are too long";
  if (sums_nothing(q)) return "nothing is summed";
  const PlanarCut cut = planar_cut(q, s.tile.isa, s.lanes, s.l1d, s.l2);
  return cut.plane_bytes + cut.sum_bytes > s.l2 / 2 ? "the planes of a task exceed L2" : nullptr;
}

double planar_cycles(const ConvProblem& q, const Sizes& s) {
  // Blocks do not read while they compute.
  double in = 4.0 * static_cast<double>(q.batch * q.groups * q.c);
  for (int a = 0; a < 3; ++a)
    in *= static_cast<double>(q.in[a]) *
          std::min(1.0, static_cast<double>(q.kernel[a]) / static_cast<double>(q.stride[a]));
  const double out = 4.0 * s.outputs * static_cast<double>(q.groups * q.o);
  return planar_work(q, planar_cut(q, s.tile.isa, s.lanes, s.l1d, s.l2), s.tile.isa, s.lanes, s.product) +
         stream_cycles(in + out, s) + filling(q, s) + 300;
}

double fft_cycles(const ConvProblem&, const Sizes& s) { return s.fft.cost(); }

double grad_cycles(const ConvProblem& q, const Sizes& s) {
  const double g = static_cast<double>(q.groups), c = static_cast<double>(q.c), o = static_cast<double>(q.o);
  const double nr = 2.0 * s.lanes;
  const auto cost = [&](double vec, double scalar) { return std::max(1.0, vec / nr) * std::max(scalar, 6.0); };
  // Products of 5x5 to 56x56 images of 64 to 512 channels take 1.05 to 1.2 times their count; a gradient that L2 does
  // not hold is written to memory that is read first.
  const double bytes = g * s.taps * c * o * static_cast<double>(size_of(q.dtype));
  const double written = bytes < 0.7 * static_cast<double>(s.l2) ? 0 : 2 * bytes / s.machine->dram;
  return 1.1 * g * s.reads * std::min(cost(o, c), cost(c, o)) * s.product + written;
}

double nothing(const ConvProblem&, const Sizes&) { return 0; }

}  // namespace cost
}  // namespace nhwc
