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
