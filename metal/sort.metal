// metal/sort.metal -- Sort: blocks in threadgroup memory, then runs merged two by two; stable, NaN last
// Values become unsigned keys in their order, and a key goes with its place in the row. No two (key, place) are equal,
// so the bitonic network, which is not stable by itself, has one result. Of a row whose keys and places exceed the
// workspace, parts are sorted one after another: those between two ranks, whose elements are searched digit by digit.
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
constant bool kPart [[function_constant(5)]];  // keys and places of a part are given, in any order

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

/// Where an element of a row of this launch lies in x.
inline long element_at(constant SortParams& p, ulong row, long at) {
  return p.first + pair_offset_at(ulong(p.row) + row, p.axes, p.axes_count, kWide).of[0] + at * p.step[0];
}

/// Element `at` of a sorted row: the one that was at `place`.
template <class K>
inline void write_sorted(device const void* x, device void* y, constant SortParams& p, ulong row, long at, uint place) {
  const PairOffset base = pair_offset_at(ulong(p.row) + row, p.axes, p.axes_count, kWide);
  const long to = base.of[1] + (p.at + at) * p.step[1];
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
                           device const K* keys_in [[buffer(4), function_constant(kPart)]],
                           device const uint* places_in [[buffer(5), function_constant(kPart)]],
                           constant SortParams& p [[buffer(6)]], uint3 group [[threadgroup_position_in_grid]],
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
    keys[i] = ~K(0);
    places[i] = ~0u;
    if (inside && kPart) {
      keys[i] = keys_in[at];
      places[i] = places_in[at];
    } else if (inside) {
      keys[i] = key_of<K>(x, element_at(p, row, at));
      places[i] = uint(at);
    }
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

/// Two neighbouring runs of keys, and their places.
template <class K>
struct RunPair {
  device const K* a;
  device const K* b;
  device const uint* from_a;
  device const uint* from_b;

  /// Whether element i of run a goes before element j of run b: where their keys are equal, by their places, which are
  /// those of the runs but in a part.
  bool first(long i, long j) const { return a[i] < b[j] || (a[i] == b[j] && (!kPart || from_a[i] < from_b[j])); }
};

/// How many of the first `before` merged elements come from run a.
template <class K>
inline long split_of(thread const RunPair<K>& runs, long in_a, long in_b, long before) {
  long low = metal::max(before - in_b, 0l), high = metal::min(before, in_a);
  while (low < high) {
    const long middle = (low + high) / 2;
    if (runs.first(middle, before - 1 - middle))
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
  device const uint* from = places + row_begin + begin;
  const RunPair<K> pair = {a, a + in_a, from, from + in_a};
  const long end = metal::min(at + kMergeEach, p.length);
  long i = split_of(pair, in_a, in_b, at - begin), j = at - begin - i;
  for (long to = at; to < end; ++to) {
    const bool take_a = j >= in_b || (i < in_a && pair.first(i, j));
    const long taken = take_a ? i++ : in_a + j++;
    if (kFinal) {
      write_sorted<K>(x, y, p, row, to, from[taken]);
    } else {
      keys_out[row_begin + to] = a[taken];
      places_out[row_begin + to] = from[taken];
    }
  }
}

/// Of the row's elements that have the digits which are known of `cut`, how many have each next digit.
template <class K>
[[kernel]] void sort_count(device const void* x [[buffer(0)]], device const SortCut* cut [[buffer(1)]],
                           device metal::atomic_uint* counts [[buffer(2)]], constant SortParams& p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                           uint index [[thread_index_in_threadgroup]]) {
  threadgroup metal::atomic_uint own[kSortBuckets];
  for (uint i = index; i < kSortBuckets; i += kSortThreads)
    metal::atomic_store_explicit(&own[i], 0u, metal::memory_order_relaxed);
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  const K known = K(cut->key);
  const uint known_place = cut->place;
  const int above = p.shift + 8;  // bits from here on are known
  for (long at = long(group.x) * kSortThreads + index; at < p.length; at += long(groups.x) * kSortThreads) {
    const K key = key_of<K>(x, element_at(p, 0, at));
    bool meets = key == known;
    if (p.of_place)
      meets = meets && (above >= 32 || uint(at) >> above == known_place >> above);
    else
      meets = above >= 8 * int(sizeof(K)) || key >> above == known >> above;
    if (!meets) continue;
    const uint digit = (p.of_place ? uint(at) >> p.shift : uint(key >> p.shift)) & (kSortBuckets - 1);
    metal::atomic_fetch_add_explicit(&own[digit], 1u, metal::memory_order_relaxed);
  }
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  for (uint i = index; i < kSortBuckets; i += kSortThreads) {
    const uint count = metal::atomic_load_explicit(&own[i], metal::memory_order_relaxed);
    if (count > 0) metal::atomic_fetch_add_explicit(&counts[i], count, metal::memory_order_relaxed);
  }
}

/// Adds the next digit to what is known of `cut`, and clears the counts for the one after. One thread.
[[kernel]] void sort_digit(device SortCut* cut [[buffer(0)]], device uint* counts [[buffer(1)]],
                           constant SortParams& p [[buffer(2)]]) {
  uint rank = cut->rank, digit = 0;
  while (digit + 1 < kSortBuckets && counts[digit] <= rank) rank -= counts[digit++];
  for (uint i = 0; i < kSortBuckets; ++i) counts[i] = 0;
  cut->rank = rank;
  if (p.of_place)
    cut->place |= digit << p.shift;
  else
    cut->key |= ulong(digit) << p.shift;
}

/// The row's elements from the first of two neighbouring cuts on and before the second, in any order.
template <class K>
[[kernel]] void sort_part(device const void* x [[buffer(0)]], device const SortCut* cuts [[buffer(1)]],
                          device metal::atomic_uint* filled [[buffer(2)]], device K* keys [[buffer(3)]],
                          device uint* places [[buffer(4)]], constant SortParams& p [[buffer(5)]],
                          uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                          uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  const K low = K(cuts[0].key), high = K(cuts[1].key);
  const uint low_place = cuts[0].place, high_place = cuts[1].place;
  for (long begin = long(group.x) * kSortThreads; begin < p.length; begin += long(groups.x) * kSortThreads) {
    const long at = begin + index;  // lanes stay together: one of them makes room for all
    const uint place = uint(at);
    const K key = at < p.length ? key_of<K>(x, element_at(p, 0, at)) : K(0);
    bool inside = at < p.length && (key > low || (key == low && place >= low_place));
    inside = inside && (p.last || key < high || (key == high && place < high_place));
    const uint before = metal::simd_prefix_exclusive_sum(uint(inside)), count = metal::simd_sum(uint(inside));
    uint to = 0;
    if (lane == 0 && count > 0) to = metal::atomic_fetch_add_explicit(filled, count, metal::memory_order_relaxed);
    to = metal::simd_broadcast_first(to) + before;
    if (!inside) continue;
    keys[to] = key;
    places[to] = place;
  }
}

#define NHWC_KEY(name, T)                                                                       \
  template [[host_name("sort_block_" #name)]] [[kernel]] decltype(sort_block<T>) sort_block<T>; \
  template [[host_name("sort_merge_" #name)]] [[kernel]] decltype(sort_merge<T>) sort_merge<T>; \
  template [[host_name("sort_count_" #name)]] [[kernel]] decltype(sort_count<T>) sort_count<T>; \
  template [[host_name("sort_part_" #name)]] [[kernel]] decltype(sort_part<T>) sort_part<T>;
#include "instances/sort.inc"
