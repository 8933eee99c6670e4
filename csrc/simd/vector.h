// csrc/simd/vector.h -- the vector operations that compiler vector types give every instruction set
// Included by baseline.h, neon.h, avx2.h and avx512.h after they have set kVectorBytes; never on its own. Everything is
// in an anonymous namespace and always inlined: a shared copy built for a stronger set could be the one the linker
// keeps.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"

#define NHWC_INLINE inline __attribute__((always_inline))
#define NHWC_UNROLL _Pragma("GCC unroll 64")

namespace nhwc {
namespace {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
struct IntOfSize;
template <>
struct IntOfSize<float> {
  using type = int32_t;
};
template <>
struct IntOfSize<double> {
  using type = int64_t;
};
/// The integer as wide as T: the lanes of a permutation.
template <class T>
using IntOf = typename IntOfSize<T>::type;

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

/// No alignment needed.
template <class T>
NHWC_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T>
NHWC_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
/// A store past the caches to an address that a vector divides. Worth it where a vector is a whole line; those sets
/// have an overload, and kStreams.
template <class T>
NHWC_INLINE void stream(T* p, Vec<T> v) {
  store(p, v);
}
/// What was streamed may be read by others then.
template <class T>
void end_streams() {}
/// All lanes s. Subtracting a zero changes no value, not even -0, so the compiler leaves only the broadcast.
template <class T>
NHWC_INLINE Vec<T> set1(T s) {
  return s - Vec<T>{};
}
/// All lanes *p, to be multiplied.
template <class T>
NHWC_INLINE Vec<T> splat(const T* p) {
  return set1(*p);
}
/// Asks for weights, which follow one another. With NEON vectors of a quarter line that would take a load in ten, and
/// what follows in order the processor fetches by itself.
NHWC_INLINE void ask_for(const void* p) {
  if (kIsa != Isa::neon) __builtin_prefetch(p);
}
/// a * b + c, in one rounding where the instruction set has it (-ffp-contract=fast).
template <class V>
NHWC_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
/// lanes[i] = v[index[i]]; index in [0, kLanes).
template <class T>
NHWC_INLINE Vec<T> permute(Vec<T> v, Vec<IntOf<T>> index) {
#if defined(__clang__)  // makes one instruction of this where the index is a constant, as it is everywhere
  Vec<T> lanes = {};
  NHWC_UNROLL for (int i = 0; i < kLanes<T>; ++i) lanes[i] = v[index[i]];
  return lanes;
#else
  return __builtin_shuffle(v, index);
#endif
}
/// lanes[i] = concat(a, b)[index[i]]; index in [0, 2 * kLanes).
template <class T>
NHWC_INLINE Vec<T> permute2(Vec<T> a, Vec<T> b, Vec<IntOf<T>> index) {
#if defined(__clang__)
  Vec<T> lanes = {};
  NHWC_UNROLL for (int i = 0; i < kLanes<T>; ++i) lanes[i] =
      index[i] < kLanes<T> ? a[index[i]] : b[index[i] - kLanes<T>];
  return lanes;
#else
  return __builtin_shuffle(a, b, index);
#endif
}
/// a0 + a1, a2 + a3, ..., b0 + b1, ...
template <class T>
NHWC_INLINE Vec<T> sum_neighbours(Vec<T> a, Vec<T> b) {
  Vec<IntOf<T>> even{}, odd{};
  NHWC_UNROLL for (int l = 0; l < kLanes<T>; ++l) {
    even[l] = 2 * l;
    odd[l] = 2 * l + 1;
  }
  return permute2<T>(a, b, even) + permute2<T>(a, b, odd);
}
/// permute and permute2 for indices that only the run knows. Sets whose instruction for them clang does not find have
/// an overload.
template <class V, class I>
NHWC_INLINE V lookup(V v, I index) {
  return permute<std::remove_reference_t<decltype(v[0])>>(v, index);
}
template <class V, class I>
NHWC_INLINE V lookup2(V a, V b, I index) {
  return permute2<std::remove_reference_t<decltype(a[0])>>(a, b, index);
}
/// v, held in a register: the compiler would load it again for each of its products. Sets for which that matters have
/// an overload.
template <class V>
NHWC_INLINE V in_register(V v) {
  return v;
}
/// A pointer or an offset of which the compiler does not know that it is what it was before: what lies there is read
/// again, and sums with it are made again, rather than held.
template <class T>
NHWC_INLINE T read_again(T p) {
  asm("" : "+r"(p));  // no instruction
  return p;
}
/// In a function that gives nothing and writes nothing, as those that only prefetch: calls of it stay.
NHWC_INLINE void keep_calls() { asm volatile(""); }
/// Whether a lane is NaN. Sets with an instruction for it have an overload.
template <class V>
NHWC_INLINE bool has_nan(V v) {
  bool any = false;
  NHWC_UNROLL for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); ++i) any |= v[i] != v[i];
  return any;
}
/// lo where lo > x, else x: a NaN in x stays. Sets whose own instruction does this have an overload: from the
/// comparison the compiler makes two.
template <class V>
NHWC_INLINE V max_keep_nan(V x, V lo) {
  return lo > x ? lo : x;
}
template <class V>
NHWC_INLINE V min_keep_nan(V x, V hi) {
  return hi < x ? hi : x;
}

}  // namespace
}  // namespace nhwc
