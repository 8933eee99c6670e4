// csrc/plan/conv_tiles.h -- the register tile of an instruction set, from the one list
#pragma once

#include "base/cpu_features.h"

namespace nhwc {

struct ConvTile {
  Isa isa;
  int vector_bytes;
  int mr;      // pixels of a direct tile
  int pixels;  // outputs of a depthwise or grouped tile
  int dot;     // pixels of a dot tile
};

inline constexpr ConvTile kConvTiles[] = {
#define NHWC_CONV_TILE(isa, bytes, mr, pixels, dot) {Isa::isa, bytes, mr, pixels, dot},
#include "plan/conv_tiles.inc"
#undef NHWC_CONV_TILE
};
inline constexpr int kMaxTilePixels = 14;  // the largest mr and pixels of the list
inline constexpr int kDotOutputs = 4;

}  // namespace nhwc
