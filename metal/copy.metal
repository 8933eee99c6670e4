// metal/copy.metal -- elements moved between strided arrays
#include <metal_stdlib>

#include "common/index.h"
#include "common/strided.h"
#include "params/copy.h"

using namespace metal;

constant bool wide [[function_constant(0)]];   // places and numbers of elements need 64 bits
constant bool dense [[function_constant(1)]];  // the result is row-major

template <typename I, typename T>
void walk_copy(device const T* x, device T* y, constant ElementwiseParams& p, Share s) {
  if (dense) {
    Walk<I, 1, ElementwiseParams> walk(p, s.first);
    for (int i = 0; i < s.count; ++i, walk.next()) y[s.first + i] = x[walk.at[0]];
  } else {
    Walk<I, 2, ElementwiseParams> walk(p, s.first);
    for (int i = 0; i < s.count; ++i, walk.next()) y[walk.at[1]] = x[walk.at[0]];
  }
}
template <typename T>
[[kernel]] void copy(device const T* x [[buffer(0)]], device T* y [[buffer(1)]],
                     constant ElementwiseParams& p [[buffer(2)]], uint2 at [[thread_position_in_grid]],
                     uint2 grid [[threads_per_grid]]) {
  const Share s = share_of(at, grid, p.size, elements_per_thread(sizeof(T)));
  if (wide)
    walk_copy<long>(x, y, p, s);
  else
    walk_copy<int>(x, y, p, s);
}

/// Threadgroups: x: tiles of columns, y: tiles of rows, z: positions along the other axes. A tile goes through
/// threadgroup memory, so that neighbouring threads read neighbours and write neighbours. Its rows are one element
/// further apart, so that those of a column fall into different banks.
template <typename T>
[[kernel]] void transpose(device const T* x [[buffer(0)]], device T* y [[buffer(1)]],
                          constant TransposeParams& p [[buffer(2)]], uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]]) {
  threadgroup T tile[kCopyTile * (kCopyTile + 1)];
  constexpr int apart = kCopyThreads / kCopyTile;
  const int lane = int(index) % kCopyTile, line = int(index) / kCopyTile;
  const long row = long(group.y) * kCopyTile, column = long(group.x) * kCopyTile;
  const PairOffset base = pair_offset_at(ulong(group.z), p.axes, p.axes_count, false);
  const device T* from = x + p.first + base.of[0] + row + column * p.column_step;
  for (int c = line; c < kCopyTile; c += apart)
    if (row + lane < p.rows && column + c < p.columns)
      tile[c * (kCopyTile + 1) + lane] = from[lane + c * p.column_step];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  device T* to = y + base.of[1] + row * p.row_step + column;
  for (int r = line; r < kCopyTile; r += apart)
    if (row + r < p.rows && column + lane < p.columns)
      to[r * p.row_step + lane] = tile[lane * (kCopyTile + 1) + r];
}

#define NHWC_ITEM(name, type)                                                              \
  template [[host_name("copy_" #name)]] [[kernel]] decltype(copy<type>) copy<type>;        \
  template [[host_name("transpose_" #name)]] [[kernel]] decltype(transpose<type>) transpose<type>;
#include "instances/items.inc"
