// csrc/plan/conv_chunk.cpp -- how many register tiles share one pass over a panel of weights; pure
#include "plan/conv_chunk.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace nhwc {
namespace {

constexpr int64_t kLine = 64, kSets = kAliasBytes / kLine;

/// The input pixels that n neighbouring outputs of an axis read.
int64_t pixels_read(const ConvProblem& q, int a, int64_t n) {
  const int64_t taps = (q.kernel[a] + q.in_dilation[a] - 1) / q.in_dilation[a];
  const int64_t range = (n - 1) * q.stride[a] + (taps - 1) * q.dilation[a] + 1;
  return std::min({n * taps, range, std::max<int64_t>(q.in[a], 1)});
}

/// The input pixels of a tile whose outputs lie along a row, or fill rows one after another.
int64_t tile_pixels(const ConvProblem& q, int64_t mr) {
  const int64_t in_row = std::min(mr, std::max<int64_t>(q.out[2], 1)), rows = (mr + in_row - 1) / in_row;
  const int64_t in_plane = std::min(rows, std::max<int64_t>(q.out[1], 1)), planes = (rows + in_plane - 1) / in_plane;
  return pixels_read(q, 2, in_row) * pixels_read(q, 1, in_plane) * pixels_read(q, 0, planes);
}

/// What a tile occupies of L1 while a panel passes, and how long its products take.
struct Footprint {
  double read, tables, output;  // bytes
  double products;              // pairs of vectors
  Footprint(const CpuPlan& p, int element, double table_share) {
    const ConvProblem& q = p.problem;
    const double mr = p.mr, width = static_cast<double>(std::min<int64_t>(q.o, p.nr));
    const int64_t pixel = q.groups * q.c * element, group = q.c * element;
    const double pixels = static_cast<double>(tile_pixels(q, p.mr));
    double taps = 1;
    for (int a = 0; a < 3; ++a) taps *= static_cast<double>((q.kernel[a] + q.in_dilation[a] - 1) / q.in_dilation[a]);
    products = taps * static_cast<double>(q.c) * mr * (width > p.lanes ? 1 : 0.5);
    // The lines of pixels that are a multiple of lines apart lie in few sets of the cache: others of these are lost.
    const int64_t lines = std::max<int64_t>(1, (group + kLine - 1) / kLine);
    const int64_t apart = pixel % kLine == 0 ? std::gcd(pixel / kLine, kSets) : 1;
    read = pixels * static_cast<double>(pixel < kLine ? pixel : lines * kLine);
    spread = static_cast<double>(std::max<int64_t>(1, apart / lines));
    const bool merged = is_merged(p.algorithm);
    once = taps == 1 && group >= kLine;
    const double rows = merged ? taps / static_cast<double>(q.kernel[2]) : taps;
    tables = table_share * mr * 8 * (rows + 1) + (merged ? table_share * pixels * static_cast<double>(group) : 0);
    // Neighbouring lines of the outputs come together.
    output = mr * std::min<double>(static_cast<double>(q.groups * q.o * element), 4 * kLine);
  }
  /// Whether lines from L2, at the latency that several together show, are hidden behind the products, or are read once
  /// in any order.
  bool hidden() const { return once || products >= 16 * (read * std::min(spread, 2.0) + tables) / kLine; }
  double bytes() const { return read * spread + tables + output; }

 private:
  double spread;
  bool once;
};

}  // namespace

int tiles_per_panel(const CpuPlan& plan, int element, size_t l1d) {
  const ConvProblem& q = plan.problem;
  const int64_t panel = q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c * plan.nr * element;
  const int64_t read = plan.mr * q.stride[2] * q.kernel[0] * q.kernel[1] * q.c * element;
  const auto in_l1 = [&](int64_t bytes) { return bytes <= static_cast<int64_t>(l1d / 2); };
  return plan.algorithm == ConvAlgorithm::dot || in_l1(panel + 16 * read) ? 16 : in_l1(panel) ? 8 : 4;
}

int tiles_in_l1(const CpuPlan& plan, int element, double tables, size_t l1d) {
  constexpr double kCall = 200, kChunk = 4000;  // cycles of products that outweigh a call, and a chunk
  const ConvProblem& q = plan.problem;
  const double panels = static_cast<double>(q.groups * ((q.o + plan.nr - 1) / std::max(plan.nr, 1)));
  const Footprint tile(plan, element, tables);
  const bool read_again = plan.algorithm != ConvAlgorithm::dot && panels > 2;
  if (!read_again || tile.products == 0 || tile.hidden()) return 16;
  const double least = std::ceil(std::max(kCall, kChunk / panels) / tile.products);
  return std::clamp(static_cast<int>(0.6 * static_cast<double>(l1d) / tile.bytes()),
                    static_cast<int>(std::min(16.0, least)), 16);
}

int tiles_in_rows(const CpuPlan& plan, int most) {
  const ConvProblem& q = plan.problem;
  const int64_t panels = q.groups * ((q.o + plan.nr - 1) / std::max(plan.nr, 1));
  if (most < 16 || plan.cut || q.in_dilation[2] != 1 || q.out[2] == 0) return most;
  if (panels <= 2) most *= 2;
  const TileSplit row(q.out[2], q.out[2], plan.mr);
  const int64_t rows = (2 * most + row.tiles) / (2 * row.tiles), tiles = rows * row.tiles;
  return row.along_rows && rows > 0 && tiles <= kMostChunkTiles ? static_cast<int>(tiles) : most;
}

}  // namespace nhwc
