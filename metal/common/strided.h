// metal/common/strided.h -- from a position in row-major order to where the element lies
#pragma once

#include <metal_stdlib>

#include "params/strided.h"

/// Elements from the first to the one at `position` over axes[0..count). I holds any position.
template <class I>
inline long offset_by(I position, constant StridedAxis* axes, int count) {
  long offset = 0;
  for (int a = count - 1; a > 0; --a) {
    const I size = I(axes[a].size), above = position / size;
    offset += long(position - above * size) * axes[a].stride;
    position = above;
  }
  return offset + long(position) * axes[0].stride;
}

/// The same; 64-bit divisions, which take the GPU some hundred instructions, only where `wide` says that a position may
/// need them. `wide` is a function constant.
inline long offset_at(ulong position, constant StridedAxis* axes, int count, bool wide) {
  return wide ? offset_by<ulong>(position, axes, count) : offset_by<uint>(uint(position), axes, count);
}

/// Of both arrays of the pairs.
struct PairOffset {
  long of[2];
};
template <class I>
inline PairOffset pair_offset_by(I position, constant StridedPair* axes, int count) {
  PairOffset offset = {{0, 0}};
  for (int a = count - 1; a >= 0; --a) {
    const I size = I(axes[a].size), above = a > 0 ? position / size : I(0);
    const long at = long(position - above * size);
    offset.of[0] += at * axes[a].stride[0];
    offset.of[1] += at * axes[a].stride[1];
    position = above;
  }
  return offset;
}
inline PairOffset pair_offset_at(ulong position, constant StridedPair* axes, int count, bool wide) {
  return wide ? pair_offset_by<ulong>(position, axes, count) : pair_offset_by<uint>(uint(position), axes, count);
}
