// tests/apple/emulator/include/msl/simdgroup.h -- barriers, simdgroup and quadgroup functions
#pragma once

#include "integer.h"
#include "module.h"

namespace msl {
extern const Runtime* runtime;  // defined by the kernel file itself: see kernel.h
inline Thread& self() { return **runtime->current; }
}  // namespace msl

// Where the caller stands, as last arguments.
#define MSL_HERE const char *file = __builtin_FILE(), msl::u32 line = __builtin_LINE()

namespace metal {

enum class mem_flags : uint {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

inline void threadgroup_barrier(mem_flags flags, MSL_HERE) {
  msl::runtime->barrier(uint(flags), {"threadgroup_barrier", file, line});
}
inline void threadgroup_barrier(mem_flags flags, thread_scope, MSL_HERE) {
  msl::runtime->barrier(uint(flags), {"threadgroup_barrier", file, line});
}
inline void simdgroup_barrier(mem_flags flags, MSL_HERE) {
  msl::runtime->simd_barrier(uint(flags), {"simdgroup_barrier", file, line});
}
inline void simdgroup_barrier(mem_flags flags, thread_scope, MSL_HERE) {
  msl::runtime->simd_barrier(uint(flags), {"simdgroup_barrier", file, line});
}

/// What Metal's simdgroup functions take: no bool, no bfloat, no 64-bit integers.
template <class T>
concept simd_scalar = is_same_v<T, float> || is_same_v<T, half> || (math_int<T> && sizeof(T) <= 4);
template <class T>
struct simd_element {
  using type = T;
};
template <class T, int N>
struct simd_element<vec<T, N>> {
  using type = T;
};
template <class T>
concept simd_type = simd_scalar<typename simd_element<T>::type>;

/// The values that the lanes of the simdgroup gave.
template <class T>
struct Lanes {
  const T* values;
  uint active;
  uint lane;
  Lanes(const T& value, const char* what, const char* file, msl::u32 line) : lane(msl::self().lane) {
    values = static_cast<const T*>(msl::runtime->exchange(&value, sizeof(T), &active, {what, file, line}));
  }
  bool has(uint l) const { return l < msl::kSimdWidth && (active >> l & 1); }
  /// Folds the lanes of `mask` that took part, in order.
  template <class F>
  T fold(uint mask, T start, F f) const {
    for (uint l = 0; l < msl::kSimdWidth; ++l)
      if (mask & active & (1u << l)) start = T(f(start, values[l]));
    return start;
  }
};

template <class T>
constexpr T largest() {
  using E = typename simd_element<T>::type;
  return T(numeric_limits<E>::has_infinity ? numeric_limits<E>::infinity() : numeric_limits<E>::max());
}
template <class T>
constexpr T smallest() {
  using E = typename simd_element<T>::type;
  return T(numeric_limits<E>::has_infinity ? E(-numeric_limits<E>::infinity()) : numeric_limits<E>::lowest());
}

// Reductions over the simdgroup and over the four lanes of a quad.
#define MSL_REDUCE(name, concept_, start, expression)                                                    \
  template <concept_ T>                                                                                  \
  inline T simd_##name(T x, MSL_HERE) {                                                                  \
    return Lanes<T>(x, "simd_" #name, file, line).fold(~0u, start, [](T a, T b) { return expression; }); \
  }                                                                                                      \
  template <concept_ T>                                                                                  \
  inline T quad_##name(T x, MSL_HERE) {                                                                  \
    const Lanes<T> lanes(x, "quad_" #name, file, line);                                                  \
    return lanes.fold(15u << (lanes.lane & ~3u), start, [](T a, T b) { return expression; });            \
  }
MSL_REDUCE(sum, simd_type, T(0), a + b)
MSL_REDUCE(product, simd_type, T(1), a* b)
MSL_REDUCE(max, simd_type, smallest<T>(), max(a, b))
MSL_REDUCE(min, simd_type, largest<T>(), min(a, b))
MSL_REDUCE(and, math_int, T(~T(0)), a& b)
MSL_REDUCE(or, math_int, T(0), a | b)
MSL_REDUCE(xor, math_int, T(0), a ^ b)
#undef MSL_REDUCE

#define MSL_PREFIX(name, start, expression)                                                \
  template <simd_type T>                                                                   \
  inline T simd_prefix_exclusive_##name(T x, MSL_HERE) {                                   \
    const Lanes<T> lanes(x, "simd_prefix_exclusive_" #name, file, line);                   \
    return lanes.fold((1u << lanes.lane) - 1, start, [](T a, T b) { return expression; }); \
  }                                                                                        \
  template <simd_type T>                                                                   \
  inline T simd_prefix_inclusive_##name(T x, MSL_HERE) {                                   \
    const Lanes<T> lanes(x, "simd_prefix_inclusive_" #name, file, line);                   \
    return lanes.fold((2u << lanes.lane) - 1, start, [](T a, T b) { return expression; }); \
  }
MSL_PREFIX(sum, T(0), a + b)
MSL_PREFIX(product, T(1), a* b)
#undef MSL_PREFIX

/// The value of a lane; that of a lane that is not there is undefined, which here is all bits set.
template <class T>
inline T lane_value(const Lanes<T>& lanes, uint from) {
  T r;
  if (lanes.has(from)) return lanes.values[from];
  __builtin_memset(static_cast<void*>(&r), 0xff, sizeof r);
  return r;
}

// One lane reads another's value: `from` of the lane `own` and the argument `by`.
#define MSL_SHUFFLE(name, width, from)                                  \
  template <simd_type T>                                                \
  inline T name(T x, ushort by, MSL_HERE) {                             \
    const Lanes<T> lanes(x, #name, file, line);                         \
    const uint own = lanes.lane & (width - 1), base = lanes.lane - own; \
    (void)own;                                                          \
    const uint source = from;                                           \
    return lane_value(lanes, source < width ? base + source : ~0u);     \
  }
MSL_SHUFFLE(simd_shuffle, 32u, by)
MSL_SHUFFLE(simd_broadcast, 32u, by)
MSL_SHUFFLE(simd_shuffle_xor, 32u, own ^ by)
MSL_SHUFFLE(simd_shuffle_up, 32u, own - by)
MSL_SHUFFLE(simd_shuffle_down, 32u, own + by)
MSL_SHUFFLE(simd_shuffle_rotate_up, 32u, (own - by) & 31u)
MSL_SHUFFLE(simd_shuffle_rotate_down, 32u, (own + by) & 31u)
MSL_SHUFFLE(quad_shuffle, 4u, by)
MSL_SHUFFLE(quad_broadcast, 4u, by)
MSL_SHUFFLE(quad_shuffle_xor, 4u, own ^ by)
MSL_SHUFFLE(quad_shuffle_up, 4u, own - by)
MSL_SHUFFLE(quad_shuffle_down, 4u, own + by)
MSL_SHUFFLE(quad_shuffle_rotate_up, 4u, (own - by) & 3u)
MSL_SHUFFLE(quad_shuffle_rotate_down, 4u, (own + by) & 3u)
#undef MSL_SHUFFLE

template <simd_type T>
inline T simd_shuffle_and_fill_down(T x, T fill, ushort by, MSL_HERE) {
  const Lanes<T> fills(fill, "simd_shuffle_and_fill_down", file, line);
  const T other = lane_value(fills, (fills.lane + by) & 31u);
  const Lanes<T> lanes(x, "simd_shuffle_and_fill_down", file, line);
  return lanes.lane + by < 32u ? lane_value(lanes, lanes.lane + by) : other;
}
template <simd_type T>
inline T simd_shuffle_and_fill_up(T x, T fill, ushort by, MSL_HERE) {
  const Lanes<T> fills(fill, "simd_shuffle_and_fill_up", file, line);
  const T other = lane_value(fills, (fills.lane - by) & 31u);
  const Lanes<T> lanes(x, "simd_shuffle_and_fill_up", file, line);
  return lanes.lane >= by ? lane_value(lanes, lanes.lane - by) : other;
}
template <simd_type T>
inline T simd_broadcast_first(T x, MSL_HERE) {
  const Lanes<T> lanes(x, "simd_broadcast_first", file, line);
  return lane_value(lanes, uint(__builtin_ctz(lanes.active)));
}

/// A mask of lanes.
struct simd_vote {
  using vote_t = ulong;
  ulong bits;
  explicit constexpr simd_vote(ulong b = 0) : bits(b) {}
  explicit constexpr operator ulong() const { return bits; }
  constexpr bool all() const { return (bits & 0xffffffffu) == 0xffffffffu; }
  constexpr bool any() const { return bits != 0; }
};
inline simd_vote simd_ballot(bool x, MSL_HERE) {
  const Lanes<bool> lanes(x, "simd_ballot", file, line);
  ulong bits = 0;
  for (uint l = 0; l < msl::kSimdWidth; ++l)
    if (lanes.has(l) && lanes.values[l]) bits |= 1ul << l;
  return simd_vote(bits);
}
inline bool simd_all(bool x, MSL_HERE) { return ulong(simd_ballot(!x, file, line)) == 0; }
inline bool simd_any(bool x, MSL_HERE) { return ulong(simd_ballot(x, file, line)) != 0; }
inline simd_vote simd_active_threads_mask(MSL_HERE) { return simd_ballot(true, file, line); }
inline bool simd_is_first(MSL_HERE) {
  const ulong active = ulong(simd_ballot(true, file, line));
  return msl::self().lane == uint(__builtin_ctzl(active));
}
inline bool simd_is_helper_thread() { return false; }

}  // namespace metal
