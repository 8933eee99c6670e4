// metal/reduce.metal -- Reduce and ArgReduce: over rows by neighbouring lanes, over columns by the simdgroups of a
// group
#include <metal_stdlib>

#include "common/combine.h"
#include "common/element.h"
#include "common/simd.h"
#include "common/strided.h"
#include "params/reduce.h"

constant int kKind [[function_constant(0)]];    // of fold
constant int kIn [[function_constant(1)]];      // dtype of x
constant int kOut [[function_constant(2)]];     // dtype of y
constant bool kTruth [[function_constant(3)]];  // of x only whether an element is zero
constant bool kWide [[function_constant(4)]];   // positions need 64 bits
constant int kLanes [[function_constant(5)]];   // rows: threads of one output, a power of two

template <class A>
inline A term(device const void* x, long i) {
  return kTruth ? A(load_truth(x, i, kIn)) : load_element<A>(x, i, kIn);
}

/// The chunk's positions begin, begin + step ... of one output, in that order.
template <class A>
inline A fold_terms(device const void* x, constant ReduceParams& p, ulong output, ulong chunk, uint begin, uint step) {
  const long base = p.first + offset_at(output, p.axes, p.kept_axes, kWide);
  const ulong from = chunk * ulong(p.chunk), end = metal::min(from + ulong(p.chunk), ulong(p.reduced));
  A acc = identity_of<A>(kKind);
  for (ulong i = from + begin; i < end; i += step)
    acc = combine(acc, term<A>(x, base + offset_at(i, p.axes + p.kept_axes, p.reduced_axes, kWide)), kKind);
  return acc;
}

/// Of `width` neighbouring lanes, a power of two; right in the first of them.
template <class A>
inline A fold_lanes(A acc, int width) {
  for (int by = width / 2; by > 0; by /= 2) acc = combine(acc, shuffle_down(acc, ushort(by)), kKind);
  return acc;
}

/// kLanes neighbouring threads per output: some lanes of a simdgroup, or the whole group.
template <class A>
[[kernel]] void reduce_rows(device const void* x [[buffer(0)]], device void* y [[buffer(1)]],
                            constant ReduceParams& p [[buffer(2)]], uint3 group [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                            uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup A parts[kReduceThreads / 32];
  const uint lanes = uint(kLanes);
  const ulong output = ulong(group.x) * (kReduceThreads / lanes) + index / lanes;
  A acc = identity_of<A>(kKind);
  if (output < ulong(p.outputs)) acc = fold_terms<A>(x, p, output, group.y, index % lanes, lanes);
  acc = fold_lanes(acc, metal::min(kLanes, 32));
  if (kLanes > 32) {
    if (lane == 0) parts[simd] = acc;
    threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    acc = fold_lanes(parts[lane % (kReduceThreads / 32)], kReduceThreads / 32);
  }
  if (index % lanes == 0 && output < ulong(p.outputs))
    store_element(y, long(group.y * ulong(p.outputs) + output), kOut, acc);
}

/// A lane per output, so that neighbours read neighbours; the group's simdgroups share the reduced positions.
template <class A>
[[kernel]] void reduce_columns(device const void* x [[buffer(0)]], device void* y [[buffer(1)]],
                               constant ReduceParams& p [[buffer(2)]], uint3 group [[threadgroup_position_in_grid]],
                               uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup A parts[kReduceRowLanes][kReduceColumns];
  const ulong output = ulong(group.x) * kReduceColumns + lane;
  const bool inside = output < ulong(p.outputs);
  if (inside) parts[simd][lane] = fold_terms<A>(x, p, output, group.y, simd, kReduceRowLanes);
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (simd != 0 || !inside) return;
  A acc = parts[0][lane];
  for (int s = 1; s < kReduceRowLanes; ++s) acc = combine(acc, parts[s][lane], kKind);
  store_element(y, long(group.y * ulong(p.outputs) + output), kOut, acc);
}

#define NHWC_ACCUMULATOR(name, T)                                                                  \
  template [[host_name("reduce_rows_" #name)]] [[kernel]] decltype(reduce_rows<T>) reduce_rows<T>; \
  template [[host_name("reduce_columns_" #name)]] [[kernel]] decltype(reduce_columns<T>) reduce_columns<T>;
#include "instances/accumulators.inc"
