// metal/common/pack.h -- adjacent elements that are loaded and stored at once
#pragma once

#include <metal_stdlib>

/// Aligned to its size: the host picks v by what the addresses allow.
template <typename T, int v>
struct alignas(sizeof(T) * v) Pack {
  T e[v];
};

template <typename T, int v>
inline Pack<T, v> zero_pack() {
  Pack<T, v> p;
  for (int i = 0; i < v; ++i) p.e[i] = T(0);
  return p;
}
