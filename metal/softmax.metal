// metal/softmax.metal -- Softmax of rows: by a simdgroup each, or by a group where rows are long
#include <metal_stdlib>

#include "common/element.h"
#include "common/math.h"
#include "common/strided.h"
#include "params/softmax.h"

constant int kType [[function_constant(0)]];  // dtype of x and y
constant bool kWide [[function_constant(1)]];
constant int kLanes [[function_constant(2)]];  // threads of a row: 32, or kSoftmaxThreads

constant int kRun = 64;  // terms that a thread adds up before they join the others: errors stay those of a short sum

inline float larger(float a, float b) { return a != a || a > b ? a : b; }

/// Of all threads of a row, to each of them.
inline float largest_of(float v, threadgroup float* parts, uint lane, uint simd) {
  for (ushort by = 16; by >= 1; by /= 2) v = larger(v, metal::simd_shuffle_xor(v, by));
  if (kLanes == 32) return v;
  if (lane == 0) parts[simd] = v;
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  v = parts[0];
  for (int s = 1; s < kSoftmaxThreads / 32; ++s) v = larger(v, parts[s]);
  return v;
}
inline float sum_of(float v, threadgroup float* parts, uint lane, uint simd) {
  for (ushort by = 16; by >= 1; by /= 2) v += metal::simd_shuffle_xor(v, by);
  if (kLanes == 32) return v;
  if (lane == 0) parts[simd] = v;
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  v = parts[0];
  for (int s = 1; s < kSoftmaxThreads / 32; ++s) v += parts[s];
  return v;
}

[[kernel]] void softmax_rows(device const void* x [[buffer(0)]], device void* y [[buffer(1)]],
                             constant SoftmaxParams& p [[buffer(2)]], uint3 group [[threadgroup_position_in_grid]],
                             uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                             uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float tops[kSoftmaxThreads / 32];
  threadgroup float sums[kSoftmaxThreads / 32];
  const int lanes = kLanes;
  const ulong row = ulong(group.x) * uint(kSoftmaxThreads / lanes) + index / uint(lanes);
  const long width = row < ulong(p.rows) ? p.width : 0;  // no thread leaves before the barriers
  const long begin = long(index % uint(lanes));
  const long from = p.first + offset_at(row, p.axes, p.axes_count, kWide);
  float top = -INFINITY;
  for (long i = begin; i < width; i += lanes) top = larger(top, load_element<float>(x, from + i * p.step, kType));
  top = largest_of(top, tops, lane, simd);
  float sum = 0.0f;
  for (long block = begin; block < width; block += kRun * lanes) {
    const long end = metal::min(block + kRun * lanes, width);
    float part = 0.0f;
    for (long i = block; i < end; i += lanes) part += math::exp(load_element<float>(x, from + i * p.step, kType) - top);
    sum += part;
  }
  sum = sum_of(sum, sums, lane, simd);
  const float scale = 1.0f / sum;
  for (long i = begin; i < width; i += lanes)
    store_element(y, long(row) * width + i, kType,
                  math::exp(load_element<float>(x, from + i * p.step, kType) - top) * scale);
}
