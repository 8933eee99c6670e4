// metal/copy.metal -- elements moved between strided arrays
#include <metal_stdlib>

#include "common/index.h"

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

#define NHWC_ITEM(name, type) template [[host_name("copy_" #name)]] [[kernel]] decltype(copy<type>) copy<type>;
#include "instances/items.inc"
