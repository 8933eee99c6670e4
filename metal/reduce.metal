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
// ArgReduce: the positions that take part are listed: entry c * outputs + output is candidate c of an output.
constant bool kListed [[function_constant(6)]];

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
  for (int by = width / 2; by >= 1; by /= 2) acc = combine(acc, shuffle_down(acc, ushort(by)), kKind);
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

/// An element and where along the axis it is.
template <class A>
struct Candidate {
  A value;
  uint at;
};

/// Whether b takes the place of a: NaN before any number, and of equals the first.
template <class A>
inline bool wins(Candidate<A> b, Candidate<A> a) {
  const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  if (nan_a || nan_b) return nan_b && (!nan_a || b.at < a.at);
  if (b.value == a.value) return b.at < a.at;
  return kKind == fold::max ? b.value > a.value : b.value < a.value;
}

/// Of `width` neighbouring lanes, a power of two; right in the first of them.
template <class A>
inline Candidate<A> best_of_lanes(Candidate<A> best, int width) {
  for (int by = width / 2; by >= 1; by /= 2) {
    const Candidate<A> other = {shuffle_down(best.value, ushort(by)), shuffle_down(best.at, ushort(by))};
    if (wins(other, best)) best = other;
  }
  return best;
}

/// As reduce_rows; every chunk has an element.
template <class A>
[[kernel]] void arg_reduce(device const void* x [[buffer(0)]],
                           device const uint* listed [[buffer(1), function_constant(kListed)]],
                           device uint* y [[buffer(2)]], constant ArgReduceParams& p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup A values[kReduceThreads / 32];
  threadgroup uint places[kReduceThreads / 32];
  const uint lanes = uint(kLanes);
  const ulong output = ulong(group.x) * (kReduceThreads / lanes) + index / lanes, outputs = ulong(p.outputs);
  // A lane without elements has that of the chunk's first, which never wins over itself.
  Candidate<A> best = {A(0), ~0u};
  if (output < outputs) {
    const long base = p.first + offset_at(output, p.axes, p.kept_axes, kWide);
    const ulong from = group.y * ulong(p.chunk), end = metal::min(from + ulong(p.chunk), ulong(p.reduced));
    for (ulong i = from + index % lanes; i < end || best.at == ~0u; i += lanes) {
      const ulong c = i < end ? i : from;
      const uint at = kListed ? listed[c * outputs + output] : uint(c);
      const Candidate<A> next = {load_element<A>(x, base + long(at) * p.step, kIn), at};
      if (best.at == ~0u || wins(next, best)) best = next;
    }
  }
  best = best_of_lanes(best, metal::min(kLanes, 32));
  if (kLanes > 32) {
    if (lane == 0) {
      values[simd] = best.value;
      places[simd] = best.at;
    }
    threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    const uint other = lane % (kReduceThreads / 32);
    const Candidate<A> part = {values[other], places[other]};
    best = best_of_lanes(part, kReduceThreads / 32);
  }
  if (index % lanes == 0 && output < outputs) y[group.y * outputs + output] = best.at;
}

#define NHWC_ACCUMULATOR(name, T)                                                                           \
  template [[host_name("reduce_rows_" #name)]] [[kernel]] decltype(reduce_rows<T>) reduce_rows<T>;          \
  template [[host_name("reduce_columns_" #name)]] [[kernel]] decltype(reduce_columns<T>) reduce_columns<T>; \
  template [[host_name("arg_reduce_" #name)]] [[kernel]] decltype(arg_reduce<T>) arg_reduce<T>;
#include "instances/accumulators.inc"
