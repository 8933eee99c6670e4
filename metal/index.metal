// metal/index.metal -- Gather, Scatter, GatherAxis, ScatterAxis, SliceUpdate and Concatenate
// Index arrays become places first: offsets, in elements, into the array they point to. Scatters take the places in
// sorted order, so that one thread meets all updates of a place, in the order in which they were given.
#include <metal_stdlib>

#include "common/combine.h"
#include "common/element.h"
#include "common/strided.h"
#include "params/index.h"

constant int kIn [[function_constant(0)]];    // dtype of what is read
constant int kOut [[function_constant(1)]];   // dtype of y
constant int kMode [[function_constant(2)]];  // nhwc::UpdateMode: set, then those of fold
constant bool kWide [[function_constant(3)]];

inline ulong thread_of(uint3 group, uint index) { return ulong(group.x) * kIndexThreads + index; }

/// Sets `bad` where an index is out of range; such a one counts as 0.
[[kernel]] void index_places(device const void* indices [[buffer(0)]], device long* places [[buffer(1)]],
                             device metal::atomic_uint* bad [[buffer(2)]], constant PlacesParams& p [[buffer(3)]],
                             uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]]) {
  const ulong t = thread_of(group, index);
  if (t >= ulong(p.count)) return;
  const PairOffset at = pair_offset_at(ulong(p.begin) + t, p.axes, p.axes_count, kWide);
  const long given = load_element<long>(indices, p.first + at.of[0], kIn);
  long v = given < 0 && kIn != type::u64 ? given + p.size : given;
  if (v < 0 || v >= p.size) {
    metal::atomic_store_explicit(bad, 1u, metal::memory_order_relaxed);
    v = 0;
  }
  places[t] = (p.add ? places[t] : 0) + at.of[1] + v * p.stride;
}

/// Elements are only moved: T is any type of their size.
template <class T>
[[kernel]] void gather(device const T* x [[buffer(0)]], device const long* places [[buffer(1)]],
                       device T* y [[buffer(2)]], constant GatherParams& p [[buffer(3)]],
                       uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]]) {
  const ulong i = thread_of(group, index);
  if (i >= ulong(p.total)) return;
  const ulong place = kWide ? i / ulong(p.slice) : ulong(uint(i) / uint(p.slice));
  const ulong within = i - place * ulong(p.slice);
  y[i] = x[p.first + places[place] + offset_at(within, p.axes, p.axes_count, kWide)];
}

/// Where element `within` of an update lies.
inline long update_at(constant ScatterParams& p, uint update, ulong within) {
  const ulong number = (ulong(p.begin) + update) * ulong(p.slice) + within;
  return p.first + offset_at(number, p.update_axes, p.update_axes_count, kWide);
}

/// A thread per update and element of its slice; that of the first update of a place does them all.
template <class A>
[[kernel]] void scatter(device const ulong* sorted [[buffer(0)]], device const uint* order [[buffer(1)]],
                        device const void* updates [[buffer(2)]], device void* y [[buffer(3)]],
                        constant ScatterParams& p [[buffer(4)]], uint3 group [[threadgroup_position_in_grid]],
                        uint index [[thread_index_in_threadgroup]]) {
  const ulong i = thread_of(group, index), count = ulong(p.count), slice = ulong(p.slice);
  if (i >= count * slice) return;
  ulong at = kWide ? i / slice : ulong(uint(i) / uint(slice));
  const ulong within = i - at * slice, place = sorted[at];
  if (at > 0 && sorted[at - 1] == place) return;
  const long to = long(place) + offset_at(within, p.axes, p.axes_count, kWide);
  if (kMode == 0) {
    while (at + 1 < count && sorted[at + 1] == place) ++at;
    store_element(y, to, kOut, load_element<A>(updates, update_at(p, order[at], within), kIn));
    return;
  }
  A v = load_element<A>(y, to, kOut);
  for (; at < count && sorted[at] == place; ++at)
    v = combine(v, load_element<A>(updates, update_at(p, order[at], within), kIn), kMode - 1);
  store_element(y, to, kOut, v);
}

/// y combined with the updates, or replaced by them, over axes that meet no element of y twice.
template <class A>
[[kernel]] void update(device const void* updates [[buffer(0)]], device void* y [[buffer(1)]],
                       constant UpdateParams& p [[buffer(2)]], uint3 group [[threadgroup_position_in_grid]],
                       uint index [[thread_index_in_threadgroup]]) {
  const ulong i = thread_of(group, index);
  if (i >= ulong(p.total)) return;
  const PairOffset at = pair_offset_at(i, p.axes, p.axes_count, kWide);
  const long to = p.first[0] + at.of[0];
  const A v = load_element<A>(updates, p.first[1] + at.of[1], kIn);
  store_element(y, to, kOut, kMode == 0 ? v : combine(load_element<A>(y, to, kOut), v, kMode - 1));
}

#define NHWC_ITEM(name, T) template [[host_name("gather_" #name)]] [[kernel]] decltype(gather<T>) gather<T>;
#include "instances/items.inc"
#define NHWC_ACCUMULATOR(name, T)                                                      \
  template [[host_name("scatter_" #name)]] [[kernel]] decltype(scatter<T>) scatter<T>; \
  template [[host_name("update_" #name)]] [[kernel]] decltype(update<T>) update<T>;
#include "instances/accumulators.inc"
