// metal/scan.metal -- Scan: running sums and products along an axis, chunk by chunk
#include <metal_stdlib>

#include "common/combine.h"
#include "common/element.h"
#include "common/simd.h"
#include "common/strided.h"
#include "params/scan.h"

constant int kKind [[function_constant(0)]];  // fold::sum or prod
constant int kIn [[function_constant(1)]];    // dtype of x
constant int kOut [[function_constant(2)]];   // dtype of y
constant bool kWide [[function_constant(3)]];
constant bool kCarried [[function_constant(4)]];  // there are several chunks to a row

/// What all chunks before this one come to. `carries` has, for each row, the chunks' running results but the last.
template <class A>
inline A carry_of(device const A* carries, constant ScanParams& p, ulong row, uint chunk) {
  if (!kCarried || chunk == 0) return identity_of<A>(kKind);
  return carries[row * ulong((p.length - 1) / p.chunk) + chunk - 1];
}

/// Lane i gets the result of lanes 0 to i.
template <class A>
inline A scan_lanes(A v, uint lane) {
  for (uint by = 1; by < 32; by *= 2) {
    const A before = shuffle_up(v, ushort(by));
    if (lane >= by) v = combine(before, v, kKind);
  }
  return v;
}

/// A group per row and chunk: tiles of kScanTile elements one after another, neighbours by neighbouring threads.
template <class A>
[[kernel]] void scan_rows(device const void* x [[buffer(0)]],
                          device const A* carries [[buffer(1), function_constant(kCarried)]],
                          device void* y [[buffer(2)]], constant ScanParams& p [[buffer(3)]],
                          uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup A totals[kScanThreads / 32];
  const ulong row = group.x;
  const PairOffset base = pair_offset_at(row, p.axes, p.axes_count, kWide);
  const long from = long(group.y) * p.chunk, end = metal::min(from + p.chunk, p.length);
  A carry = carry_of(carries, p, row, group.y);
  for (long tile = from; tile < end; tile += kScanTile) {
    const long at = tile + long(index) * kScanEach;
    A terms[kScanEach];
    A own = identity_of<A>(kKind);
    for (int e = 0; e < kScanEach; ++e) {
      terms[e] = at + e < end ? load_element<A>(x, p.first[0] + base.of[0] + (at + e) * p.step[0], kIn)
                              : identity_of<A>(kKind);
      own = combine(own, terms[e], kKind);
    }
    const A through = scan_lanes(own, lane);
    if (lane == 31) totals[simd] = through;
    threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    for (uint s = 0; s < simd; ++s) carry = combine(carry, totals[s], kKind);
    const A before = shuffle_up(through, ushort(1));
    A running = lane == 0 ? carry : combine(carry, before, kKind);
    for (int e = 0; e < kScanEach && at + e < end; ++e) {
      const A next = combine(running, terms[e], kKind);
      store_element(y, p.first[1] + base.of[1] + (at + e) * p.step[1], kOut, p.exclusive ? running : next);
      running = next;
    }
    for (uint s = simd; s < kScanThreads / 32; ++s) carry = combine(carry, totals[s], kKind);
    threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
}

/// A thread per row and chunk, where neighbouring rows lie side by side.
template <class A>
[[kernel]] void scan_columns(device const void* x [[buffer(0)]],
                             device const A* carries [[buffer(1), function_constant(kCarried)]],
                             device void* y [[buffer(2)]], constant ScanParams& p [[buffer(3)]],
                             uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]]) {
  const ulong row = ulong(group.x) * kScanThreads + index;
  if (row >= ulong(p.rows)) return;
  const PairOffset base = pair_offset_at(row, p.axes, p.axes_count, kWide);
  const long from = long(group.y) * p.chunk, end = metal::min(from + p.chunk, p.length);
  A running = carry_of(carries, p, row, group.y);
  for (long i = from; i < end; ++i) {
    const A term = load_element<A>(x, p.first[0] + base.of[0] + i * p.step[0], kIn);
    const A next = combine(running, term, kKind);
    store_element(y, p.first[1] + base.of[1] + i * p.step[1], kOut, p.exclusive ? running : next);
    running = next;
  }
}

#define NHWC_ACCUMULATOR(name, T)                                                            \
  template [[host_name("scan_rows_" #name)]] [[kernel]] decltype(scan_rows<T>) scan_rows<T>; \
  template [[host_name("scan_columns_" #name)]] [[kernel]] decltype(scan_columns<T>) scan_columns<T>;
#include "instances/accumulators.inc"
