// tests/apple/emulator/include/strict/simdgroup.h -- MSL's barriers, simdgroups, matrices and atomics, declared for
// clang-format off: its answer for lists of macros changes with every run
// strict.py
#pragma once

namespace metal {

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(int(a) | int(b)); }
void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

// No bool, no bfloat, no 64-bit integers.
#define MSL_SIMD_TYPES(M, name)                                                                          \
  M(name, float)                                                                                         \
  M(name, half)                                                                                          \
  M(name, char) M(name, uchar) M(name, short) M(name, ushort) M(name, int) M(name, uint) M(name, float2) \
      M(name, float4) M(name, half2) M(name, half4) M(name, int2) M(name, int4) M(name, uint2) M(name, uint4)
#define MSL_LANE(name, T) T name(T, ushort);
#define MSL_FILL(name, T) T name(T, T, ushort);
#define MSL_SIMD_AND_QUAD(M, name) MSL_SIMD_TYPES(M, simd_##name) MSL_SIMD_TYPES(M, quad_##name)
MSL_SIMD_AND_QUAD(MSL_ONE, sum)
MSL_SIMD_AND_QUAD(MSL_ONE, product)
MSL_SIMD_AND_QUAD(MSL_ONE, max)
MSL_SIMD_AND_QUAD(MSL_ONE, min)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle)
MSL_SIMD_AND_QUAD(MSL_LANE, broadcast)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle_xor)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle_up)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle_down)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle_rotate_up)
MSL_SIMD_AND_QUAD(MSL_LANE, shuffle_rotate_down)
MSL_SIMD_TYPES(MSL_FILL, simd_shuffle_and_fill_up)
MSL_SIMD_TYPES(MSL_FILL, simd_shuffle_and_fill_down)
MSL_SIMD_TYPES(MSL_ONE, simd_prefix_inclusive_sum)
MSL_SIMD_TYPES(MSL_ONE, simd_prefix_exclusive_sum)
MSL_SIMD_TYPES(MSL_ONE, simd_prefix_inclusive_product)
MSL_SIMD_TYPES(MSL_ONE, simd_prefix_exclusive_product)
MSL_SIMD_TYPES(MSL_ONE, simd_broadcast_first)
MSL_ONE(simd_and, int)
MSL_ONE(simd_and, uint)
MSL_ONE(simd_or, int) MSL_ONE(simd_or, uint) MSL_ONE(simd_xor, int) MSL_ONE(simd_xor, uint) struct simd_vote {
  explicit simd_vote(ulong);
  explicit operator ulong() const;
  bool all() const;
  bool any() const;
};
simd_vote simd_ballot(bool);
simd_vote simd_active_threads_mask();
bool simd_all(bool);
bool simd_any(bool);
bool simd_is_first();

template <class T, int Rows, int Columns>
struct simdgroup_matrix {
  vec<T, 2> e;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T);
  thread vec<T, 2>& thread_elements() thread;
  const thread vec<T, 2>& thread_elements() const thread;
};
/// vec<bfloat, 2> does not exist here.
template <int Rows, int Columns>
struct simdgroup_matrix<bfloat, Rows, Columns> {
  struct Pair {
    bfloat x, y;
    thread bfloat& operator[](int) thread;
    const thread bfloat& operator[](int) const thread;
  } e;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(bfloat);
  thread Pair& thread_elements() thread;
  const thread Pair& thread_elements() const thread;
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;
template <class T, int R, int C>
simdgroup_matrix<T, R, C> make_filled_simdgroup_matrix(T value);
#define MSL_MATRIX_IO(space)                                                                                   \
  template <class T>                                                                                           \
  void simdgroup_load(thread simdgroup_matrix<T, 8, 8>&, const space T*, ulong per_row = 8, ulong2 origin = 0, \
                      bool transposed = false);                                                                \
  template <class T>                                                                                           \
  void simdgroup_store(simdgroup_matrix<T, 8, 8>, space T*, ulong per_row = 8, ulong2 origin = 0,              \
                       bool transposed = false);
MSL_MATRIX_IO(device)
MSL_MATRIX_IO(threadgroup)
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8>&, simdgroup_matrix<A, 8, 8>,
                                   simdgroup_matrix<B, 8, 8>, simdgroup_matrix<C, 8, 8>);
template <class D, class A, class B>
void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8>&, simdgroup_matrix<A, 8, 8>, simdgroup_matrix<B, 8, 8>);

enum memory_order { memory_order_relaxed };
#define atomic_int msl_atomic_int
#define atomic_uint msl_atomic_uint
#define atomic_float msl_atomic_float
template <class T>
struct atomic {
  T held;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
#define MSL_ATOMIC_ALL(space, T)                                          \
  T atomic_load_explicit(const volatile space atomic<T>*, memory_order);  \
  void atomic_store_explicit(volatile space atomic<T>*, T, memory_order); \
  T atomic_exchange_explicit(volatile space atomic<T>*, T, memory_order); \
  bool atomic_compare_exchange_weak_explicit(volatile space atomic<T>*, thread T*, T, memory_order, memory_order);
#define MSL_ATOMIC_FETCH(space, T, name) T atomic_fetch_##name##_explicit(volatile space atomic<T>*, T, memory_order);
#define MSL_ATOMIC_INT(space, T)                                                                  \
  MSL_ATOMIC_ALL(space, T)                                                                        \
  MSL_ATOMIC_FETCH(space, T, add)                                                                 \
  MSL_ATOMIC_FETCH(space, T, sub)                                                                 \
  MSL_ATOMIC_FETCH(space, T, max) MSL_ATOMIC_FETCH(space, T, min) MSL_ATOMIC_FETCH(space, T, and) \
      MSL_ATOMIC_FETCH(space, T, or) MSL_ATOMIC_FETCH(space, T, xor)
MSL_ATOMIC_INT(device, int)
MSL_ATOMIC_INT(device, uint)
MSL_ATOMIC_INT(threadgroup, int)
MSL_ATOMIC_INT(threadgroup, uint)
// Of floats on device memory alone.
MSL_ATOMIC_ALL(device, float)
MSL_ATOMIC_FETCH(device, float, add)
MSL_ATOMIC_FETCH(device, float, sub)

}  // namespace metal
using metal::msl_atomic_float;
using metal::msl_atomic_int;
using metal::msl_atomic_uint;
