// csrc/plan/conv_tiles.h -- the register tile of an instruction set, from the one list
#pragma once

#include "base/cpu_features.h"

namespace nhwc {

struct ConvTile {
  Isa isa;
  int vector_bytes;
  int mr;      // pixels of a direct tile of two vectors
  int mr3;     // of three, or 0
  int mr4;     // of four, or 0; only even tiles, others are computed two vectors at a time
  int mr6;     // of six, or 0; likewise
  int pixels;  // outputs of a depthwise or grouped tile
  int sums;    // of a dot tile: pixels x outputs
};

inline constexpr ConvTile kConvTiles[] = {
#define NHWC_CONV_TILE(isa, bytes, mr, mr3, mr4, mr6, pixels, sums) {Isa::isa, bytes, mr, mr3, mr4, mr6, pixels, sums},
#include "plan/conv_tiles.inc"
#undef NHWC_CONV_TILE
};
/// With float64, fewer rows: as many as the latency of a sum asks for. It is the oracle's type, not worth the bytes.
inline constexpr int kFloat64Rows = 8;
constexpr ConvTile conv_tile(Isa isa, bool float64) {
  ConvTile t = kConvTiles[static_cast<int>(isa)];
  if (float64) t.mr3 = t.mr4 = t.mr6 = 0;
#if defined(NHWC_MINIMAL)
  t.mr6 = 0;  // not worth the bytes
#endif
  if (float64 && t.mr > kFloat64Rows) t.mr = kFloat64Rows;
  if (float64 && t.pixels > kFloat64Rows) t.pixels = kFloat64Rows;
  return t;
}
/// Outputs of the smaller tile of depthwise rows, or 0: images may be 7 wide.
constexpr int depthwise_small_pixels(const ConvTile& t) { return t.pixels > 8 ? t.pixels / 2 : 0; }
/// Tiles of a Winograd product of so many outputs and terms side by side: one vector alone leaves registers for more,
/// which its sums need to hide their latency.
constexpr int winograd_rows(const ConvTile& t, int64_t outputs, int terms) {
#if defined(NHWC_MINIMAL)
  return t.mr;  // others are not worth the bytes
#endif
  const bool one = outputs <= t.vector_bytes / 4 && terms == 1;
  return one && t.isa == Isa::avx512 ? 16 : one && t.isa == Isa::avx2 ? 12 : t.mr;
}
inline constexpr int kMostWinogradRows = 16;
constexpr int vector_registers(Isa isa) { return isa == Isa::avx512 || isa == Isa::neon ? 32 : 16; }
inline constexpr int kMostTileVectors = 6;
inline constexpr int kMaxTilePixels = 14;  // the largest mr and pixels of the list
/// Terms side by side in the vectors of a tile (conv_terms.inl), how many vectors it has, its pixels at most, and those
/// of an even one at least. Nine pixels would fit the registers, but not tables of even numbers.
inline constexpr int kTerms = 2, kTermsVectors = 3, kTermsRows = 8, kLeastEvenTermsRows = 5;
/// Pixels of a tile of groups of few channels (conv_diagonal.inl), whose diagonals are summed four at a time: at most,
/// or 0 where vectors are as short as they, and at least.
constexpr int diagonal_rows(Isa isa) { return isa == Isa::avx512 ? 6 : isa == Isa::avx2 ? 3 : 0; }
constexpr int least_diagonal_rows(Isa isa) { return isa == Isa::avx512 ? 3 : 2; }
inline constexpr int kDiagonals = 8;            // of a group, at most
inline constexpr int kMostDiagonalTaps = 4096;  // terms in one float accumulator
inline constexpr int kDotOutputs = 4;
inline constexpr int kDotLanes = 32;  // at least the sums of a dot tile in whole vectors
/// Pixels of a dot tile with so many outputs.
constexpr int dot_pixels(const ConvTile& t, int outputs) {
  return t.sums / outputs < kMaxTilePixels ? t.sums / outputs : kMaxTilePixels;
}

}  // namespace nhwc
