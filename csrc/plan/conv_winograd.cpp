// csrc/plan/conv_winograd.cpp -- which axes a Winograd convolution transforms, and how its outputs are cut into tiles
#include "plan/conv_winograd.h"

#include <algorithm>

#include "base/divide.h"

namespace nhwc {
namespace {

constexpr int64_t kMaxChannels = 4096;  // terms in one float accumulator
constexpr int64_t kMaxPhases = 64;      // beyond, the outputs of a phase are few
constexpr int64_t kEnoughTasks = 8;     // of a weight gradient, below which the tiles are divided too
constexpr int64_t kBlockTiles = 40;     // terms of a weight gradient in one register: more cost accuracy

/// Taps of a transform of an axis: those of each of the parts that its filter is cut into.
struct Taps {
  int64_t parts = 0, taps = 0;  // 0: it has none
};

Taps transformed_taps(const ConvProblem& q, int points, int a) {
  const int64_t kernel = q.kernel[a], stride = q.stride[a];
  const auto has = [&](int64_t taps) { return taps == 2 || taps == 3 || (points == 6 && (taps == 4 || taps == 5)); };
  if ((stride != 1) + (q.in_dilation[a] != 1) + (q.dilation[a] != 1) > 1) return {};
  if (stride * q.in_dilation[a] > 1) {
    const int64_t taps = ceil_div(kernel, stride * q.in_dilation[a]);
    return has(taps) ? Taps{stride, taps} : Taps{};
  }
  // The fewest products; of equally many, the fewest parts.
  Taps best;
  for (int64_t parts = 1; parts <= kMaxSummedTaps; ++parts) {
    const Taps t{parts, ceil_div(kernel, parts)};
    if (has(t.taps) && (best.taps == 0 || t.parts * (points - best.taps + 1) < best.parts * (points - t.taps + 1)))
      best = t;
  }
  return best;
}

}  // namespace

int64_t WinogradGeometry::tiles(const ConvProblem& q) const {
  int64_t n = q.batch;
  for (int a = 0; a < 3; ++a)
    if (a != slide) n *= axis[a].tiles();
  return n;
}

bool meets(const ConvProblem& q, const WinogradGeometry& g, int frequency, int64_t part) {
  for (int a = 2; a >= 0; --a) {
    const WinogradAxis& axis = g.axis[a];
    if (!axis.transformed) continue;
    const bool last_point = frequency % g.points == g.points - 1;
    if (last_point && axis.parts > 1 && g.tap_along(a, part, g.taps - 1) >= q.kernel[a]) return false;
    frequency /= g.points;
  }
  return true;
}

const char* winograd_geometry(const ConvProblem& q, int points, WinogradGeometry& g) {
  g = {};
  g.points = points;
  for (int a = 2; a >= 0; --a) {
    WinogradAxis& axis = g.axis[a];
    axis.per_residue = q.out[a];
    const Taps t = transformed_taps(q, points, a);
    if (t.taps && g.axes < 2 && (g.axes == 0 || t.taps == g.taps)) {
      g.taps = static_cast<int>(t.taps);
      ++g.axes;
      axis.transformed = true;
      axis.period = q.dilation[a] * q.in_dilation[a];
      axis.step = q.dilation[a] * q.stride[a];
      axis.parts = t.parts;
      axis.part_taps = q.stride[a] > 1 ? 1 : t.taps;
      axis.apart = axis.part_taps * q.dilation[a];
      axis.phases = std::min(q.in_dilation[a], q.out[a]);
      axis.residues = std::min(q.dilation[a], q.out[a]);
      axis.per_residue = ceil_div(ceil_div(q.out[a], axis.period), g.outputs());
    } else if (q.in_dilation[a] != 1) {
      return "the input is dilated";
    } else if (q.kernel[a] > 1) {
      if (g.slide >= 0) return "two axes are left to be summed tap by tap";
      g.slide = a;
    }
  }
  if (g.axes == 0)
    return "no axis has 2, 3 or (with six points) 4 or 5 taps in steps of its stride, or several times as many";
  if (g.summed_taps(q) > kMaxSummedTaps)
    return "more than 16 taps or parts of the filter are left to be summed one by one";
  if (g.phases() > kMaxPhases) return "too many phases";
  return q.c > kMaxChannels ? "more terms than one float accumulator should add" : nullptr;
}

int64_t winograd_input_bytes(const ConvProblem& q, const WinogradGeometry& g) {
  return g.frequencies() * g.summed_taps(q) * q.c * 4;
}

int64_t winograd_weight_bytes(const ConvProblem& q, const WinogradGeometry& g) {
  return winograd_input_bytes(q, g) * q.groups * q.o;
}

WinogradCut winograd_cut(const ConvProblem& q, const WinogradGeometry& g, int mr, size_t l2, size_t l3, bool several) {
  // Half of L2 for the transformed inputs; the other half holds products and the weights that pass through.
  const int64_t per_tile = std::max<int64_t>(winograd_input_bytes(q, g), 1), weights = winograd_weight_bytes(q, g);
  const int64_t tiles = std::max<int64_t>(g.tiles(q), 1), pieces = ceil_div(tiles, mr);
  // Groups go one by one. Where the weights of one stay in L2, a piece of tiles at a time keeps all the rest in L1.
  if (q.groups > 1 && weights / q.groups <= static_cast<int64_t>(l2 / 2)) return {pieces};
  const int64_t fit = std::clamp<int64_t>(static_cast<int64_t>(l2 / 2) / per_tile, mr, 4 * mr);
  const int64_t near = std::min(ceil_div(tiles, fit), pieces);
  // What goes to L3 and comes back with larger blocks: the transformed inputs, and all products. Without parts to
  // sum the products of one frequency are short, and one thread hides the weights behind them; several do not where the
  // weights outweigh the inputs.
  const int64_t both = per_tile + g.frequencies() * q.o * 4;
  const int64_t far = std::min(ceil_div(tiles, std::max<int64_t>(static_cast<int64_t>(l3 / 4) / both, mr)), pieces);
  const bool pays = g.filter_parts() > 1 || (several && weights > tiles * per_tile);
  if (pays && q.groups == 1 && far * weights + 2 * tiles * both < near * weights) {
    const bool many = weights > tiles * per_tile && weights > static_cast<int64_t>(l3 / 2);
    return {far, true, many};
  }
  return {near};
}

WinogradGradCut winograd_grad_cut(const ConvProblem& q, const WinogradGeometry& g, int width, size_t l3, size_t limit) {
  WinogradGradCut cut;
  const int64_t panels = ceil_div(q.c, width), f = g.frequencies(), sums = f * q.o * width * 4;
  const int64_t fit = std::clamp<int64_t>(static_cast<int64_t>(std::min(l3 / 4, limit / 4)) / sums, 1, panels);
  const int64_t ranges = ceil_div(panels, fit);
  cut.panels = ceil_div(panels, ranges);
  const int64_t tiles = std::max<int64_t>(g.tiles(q), 1), tile = f * (cut.panels * width + q.o) * 4;
  const int64_t blocks = ceil_div(tiles, std::clamp<int64_t>(static_cast<int64_t>(limit / 4) / tile, 1, kBlockTiles));
  cut.block = ceil_div(tiles, blocks);
  const int64_t parts = std::min(ceil_div(kEnoughTasks, ranges), blocks);
  cut.parts = std::clamp<int64_t>(static_cast<int64_t>(limit / 2) / (sums * cut.panels * ranges), 1, parts);
  return cut;
}

size_t winograd_grad_bytes(const ConvProblem& q, const WinogradGeometry& g, int width, const WinogradGradCut& cut) {
  const int64_t c = cut.panels * width;
  return static_cast<size_t>(g.frequencies() * (c * q.o + cut.block * (c + q.o)) * 4);
}

}  // namespace nhwc
