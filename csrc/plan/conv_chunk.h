// csrc/plan/conv_chunk.h -- how many register tiles share one pass over a panel of weights; pure
#pragma once

#include "plan/conv_plan.h"

namespace nhwc {

inline constexpr int kMostChunkTiles = 48;

/// For a direct, merged or dot plan whose tile and panel are set; element: bytes of what its kernels read.
/// Four tiles share a panel, eight where it stays in L1, 16 where they stay there themselves.
int tiles_per_panel(const CpuPlan& plan, int element, size_t l1d);

/// Every panel reads the tables and pixels of all tiles anew. Where few products follow from a line of them, as in
/// short groups, these must stay in L1, which took 0.5 to 0.9 of the time on 1 to 24 channels per group and 1 to 64
/// taps: at most so many tiles. tables: the share of tiles that need a pointer for each pixel.
int tiles_in_l1(const CpuPlan& plan, int element, double tables, size_t l1d);

/// The tiles of a chunk where `most` share a panel: whole rows of outputs where they are about as many, so that a run
/// of tiles ends where its row does; and twice as many where no panel or one reads them again, as each chunk costs some
/// 500 cycles.
int tiles_in_rows(const CpuPlan& plan, int most);

}  // namespace nhwc
