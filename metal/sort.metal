// metal/sort.metal -- Sort: blocks in threadgroup memory, then runs merged two by two; stable, NaN last
// Values become unsigned keys in their order, and a key goes with its place in the row. No two (key, place) are equal,
// so the bitonic network, which is not stable by itself, has one result.
#include <metal_stdlib>

#include "common/element.h"
#include "common/strided.h"
#include "params/sort.h"

constant int kIn [[function_constant(0)]];        // dtype of x
constant int kItem [[function_constant(1)]];      // unsigned dtype of its size
constant bool kFinal [[function_constant(2)]];    // y is written, else keys and places
constant bool kIndices [[function_constant(3)]];  // into y go the places, not the values
constant bool kWide [[function_constant(4)]];
constant bool kPartial = !kFinal;

/// In the order of the values; NaN is the largest, -0 equals 0.
template <class K>
inline K key_of(device const void* x, long i);
template <>
inline uint key_of<uint>(device const void* x, long i) {
  if (kIn >= type::f16) {
    const float v = load_element<float>(x, i, kIn);
    if (v != v) return ~0u;
    const uint bits = as_type<uint>(v == 0.0f ? 0.0f : v);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
  }
  if (kIn >= type::i8) return uint(load_element<int>(x, i, kIn)) ^ 0x80000000u;
  return load_element<uint>(x, i, kIn);
}
template <>
inline ulong key_of<ulong>(device const void* x, long i) {
  const ulong v = load_element<ulong>(x, i, kIn);
  return kIn == type::i64 ? v ^ (ulong(1) << 63) : v;
}

/// Element `at` of a sorted row: the one that was at `place`.
template <class K>
inline void write_sorted(device const void* x, device void* y, constant SortParams& p, ulong row, long at, uint place) {
  const PairOffset base = pair_offset_at(row, p.axes, p.axes_count, kWide);
  const long to = base.of[1] + at * p.step[1];
  if (kIndices)
    ((device uint*)y)[to] = place;
  else
    store_element(y, to, kItem, load_element<K>(x, p.first + base.of[0] + long(place) * p.step[0], kItem));
}

/// Rows of at most p.width elements, several in a group, or the blocks of longer ones.
template <class K>
[[kernel]] void sort_block(device const void* x [[buffer(0)]], device void* y [[buffer(1), function_constant(kFinal)]],
                           device K* keys_out [[buffer(2), function_constant(kPartial)]],
                           device uint* places_out [[buffer(3), function_constant(kPartial)]],
                           constant SortParams& p [[buffer(4)]], uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]]) {
  threadgroup K keys[kSortBlock];
  threadgroup uint places[kSortBlock];
  const uint width = uint(p.width), mask = width - 1;
  const ulong first_row = ulong(group.y) * (kSortBlock / width);
  const long begin = long(group.x) * width;
  for (uint i = index; i < kSortBlock; i += kSortThreads) {
    const ulong row = first_row + i / width;
    const long at = begin + long(i & mask);
    const bool inside = row < ulong(p.rows) && at < p.length;
    const long from = inside ? p.first + pair_offset_at(row, p.axes, p.axes_count, kWide).of[0] + at * p.step[0] : 0;
    keys[i] = inside ? key_of<K>(x, from) : ~K(0);
    places[i] = inside ? uint(at) : ~0u;
  }
  for (uint size = 2; size <= width; size *= 2)
    for (uint step = size / 2; step >= 1; step /= 2) {
      threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      for (uint q = index; q < kSortBlock / 2; q += kSortThreads) {
        const uint i = 2 * q - (q & (step - 1)), j = i + step;
        const K a = keys[i], b = keys[j];
        const uint from_a = places[i], from_b = places[j];
        const bool after = a > b || (a == b && from_a > from_b);
        const bool ascending = (i & mask & size) == 0;
        if (after != ascending) continue;
        keys[i] = b;
        keys[j] = a;
        places[i] = from_b;
        places[j] = from_a;
      }
    }
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  for (uint i = index; i < kSortBlock; i += kSortThreads) {
    const ulong row = first_row + i / width;
    const long at = begin + long(i & mask);
    if (row >= ulong(p.rows) || at >= p.length) continue;
    if (kFinal) {
      write_sorted<K>(x, y, p, row, at, places[i]);
    } else {
      keys_out[long(row) * p.length + at] = keys[i];
      places_out[long(row) * p.length + at] = places[i];
    }
  }
}

/// How many of the first `before` merged elements come from run a, which goes first among equals.
template <class K>
inline long split_of(device const K* a, long in_a, device const K* b, long in_b, long before) {
  long low = metal::max(before - in_b, 0l), high = metal::min(before, in_a);
  while (low < high) {
    const long middle = (low + high) / 2;
    if (a[middle] <= b[before - 1 - middle])
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// Runs of p.run elements become runs twice as long; a thread writes kMergeEach elements of one.
template <class K>
[[kernel]] void sort_merge(device const void* x [[buffer(0)]], device void* y [[buffer(1), function_constant(kFinal)]],
                           device K* keys_out [[buffer(2), function_constant(kPartial)]],
                           device uint* places_out [[buffer(3), function_constant(kPartial)]],
                           device const K* keys [[buffer(4)]], device const uint* places [[buffer(5)]],
                           constant SortParams& p [[buffer(6)]], uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]]) {
  const long at = (long(group.x) * kSortThreads + index) * kMergeEach;
  if (at >= p.length) return;
  const ulong row = group.y;
  const long begin = at - at % (2 * p.run), row_begin = long(row) * p.length;
  const long in_a = metal::min(p.run, p.length - begin), in_b = metal::min(p.run, p.length - begin - in_a);
  device const K* a = keys + row_begin + begin;
  device const K* b = a + in_a;
  device const uint* from = places + row_begin + begin;
  const long end = metal::min(at + kMergeEach, p.length);
  long i = split_of(a, in_a, b, in_b, at - begin), j = at - begin - i;
  for (long to = at; to < end; ++to) {
    const bool take_a = j >= in_b || (i < in_a && a[i] <= b[j]);
    const long taken = take_a ? i++ : in_a + j++;
    if (kFinal) {
      write_sorted<K>(x, y, p, row, to, from[taken]);
    } else {
      keys_out[row_begin + to] = a[taken];
      places_out[row_begin + to] = from[taken];
    }
  }
}

#define NHWC_KEY(name, T)                                                                       \
  template [[host_name("sort_block_" #name)]] [[kernel]] decltype(sort_block<T>) sort_block<T>; \
  template [[host_name("sort_merge_" #name)]] [[kernel]] decltype(sort_merge<T>) sort_merge<T>;
#include "instances/sort.inc"
