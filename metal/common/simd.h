// metal/common/simd.h -- values of other lanes, also of 64 bits, which Metal's own shuffles do not take
#pragma once

#include <metal_stdlib>

template <class T>
inline T shuffle_down(T v, ushort by) {
  return metal::simd_shuffle_down(v, by);
}
template <>
inline long shuffle_down<long>(long v, ushort by) {
  return as_type<long>(metal::simd_shuffle_down(as_type<uint2>(v), by));
}
template <>
inline ulong shuffle_down<ulong>(ulong v, ushort by) {
  return as_type<ulong>(metal::simd_shuffle_down(as_type<uint2>(v), by));
}

/// The first `by` lanes get undefined values.
template <class T>
inline T shuffle_up(T v, ushort by) {
  return metal::simd_shuffle_up(v, by);
}
template <>
inline long shuffle_up<long>(long v, ushort by) {
  return as_type<long>(metal::simd_shuffle_up(as_type<uint2>(v), by));
}
template <>
inline ulong shuffle_up<ulong>(ulong v, ushort by) {
  return as_type<ulong>(metal::simd_shuffle_up(as_type<uint2>(v), by));
}
