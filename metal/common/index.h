// metal/common/index.h -- which elements a thread handles, and where strided operands hold them
#pragma once

#include <metal_stdlib>

#include "params/elementwise.h"

/// The elements of one thread, in row-major order.
struct Share {
  ulong first;
  int count;  // 0: the thread lies beyond the last
};
inline Share share_of(uint2 position, uint2 grid, long size, int per_thread) {
  const ulong first = (ulong(position.y) * grid.x + position.x) * ulong(per_thread);
  const long left = size - long(first);
  return {first, left < per_thread ? (left > 0 ? int(left) : 0) : per_thread};
}

/// Goes through elements in row-major order and knows the place of each in N operands. `I` is int where all places and
/// the size fit, else long; P has the members of ElementwiseParams.
template <typename I, int N, typename P>
struct Walk {
  typedef metal::make_unsigned_t<I> U;
  constant P* params;
  U number, along;  // of the element; its coordinate along the last axis
  I at[N];

  Walk(constant P& p, ulong first) : params(&p), number(U(first)) { find(); }

  void find() {
    for (int n = 0; n < N; ++n) at[n] = I(params->first[n]);
    U rest = number;
    for (int a = int(params->ndim) - 1; a >= 0; --a) {
      const U length = U(params->shape[a]), coordinate = rest % length;
      rest /= length;
      if (a == int(params->ndim) - 1) along = coordinate;
      for (int n = 0; n < N; ++n) at[n] += I(coordinate) * I(params->strides[n][a]);
    }
  }
  void next() {
    const int last = int(params->ndim) - 1;
    ++number;
    if (++along < U(params->shape[last])) {
      for (int n = 0; n < N; ++n) at[n] += I(params->strides[n][last]);
    } else {
      find();
    }
  }
};
