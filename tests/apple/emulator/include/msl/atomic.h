// tests/apple/emulator/include/msl/atomic.h -- MSL's atomics: relaxed, on int, uint, float, bool and (min, max) ulong
#pragma once

#include "simdgroup.h"

namespace metal {

enum memory_order { memory_order_relaxed };

template <class T>
concept atomic_value =
    is_same_v<T, int> || is_same_v<T, uint> || is_same_v<T, float> || is_same_v<T, bool> || is_same_v<T, ulong>;
template <class T>
concept atomic_int_value = is_same_v<T, int> || is_same_v<T, uint>;

template <atomic_value T>
struct atomic {
  T held;
  atomic() = default;
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
};
using atomic_int = atomic<int>;
using atomic_uint = atomic<uint>;
using atomic_float = atomic<float>;
using atomic_bool = atomic<bool>;
using atomic_ulong = atomic<ulong>;

template <class T>
inline void note_atomic(const volatile atomic<T>* object, const char* what, const char* file, msl::u32 line) {
  msl::runtime->access(const_cast<const atomic<T>*>(object), sizeof(T), msl::kAtomic, {what, file, line});
}

template <class T>
inline T atomic_load_explicit(const volatile atomic<T>* object, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_load", file, line);
  T r;
  __atomic_load(&object->held, &r, __ATOMIC_RELAXED);
  return r;
}
template <class T>
inline void atomic_store_explicit(volatile atomic<T>* object, same<T> value, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_store", file, line);
  __atomic_store(&object->held, &value, __ATOMIC_RELAXED);
}
template <class T>
inline T atomic_exchange_explicit(volatile atomic<T>* object, same<T> value, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_exchange", file, line);
  T r;
  __atomic_exchange(&object->held, &value, &r, __ATOMIC_RELAXED);
  return r;
}
template <class T>
inline bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* object, T* expected, same<T> desired,
                                                  memory_order, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_compare_exchange_weak", file, line);
  return __atomic_compare_exchange(&object->held, expected, &desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#define MSL_FETCH(name, concept_, expression)                                                              \
  template <class T>                                                                                       \
    requires(concept_)                                                                                     \
  inline T atomic_fetch_##name##_explicit(volatile atomic<T>* object, same<T> y, memory_order, MSL_HERE) { \
    note_atomic(object, "atomic_fetch_" #name, file, line);                                                \
    T x;                                                                                                   \
    __atomic_load(&object->held, &x, __ATOMIC_RELAXED);                                                    \
    T next = T(expression);                                                                                \
    while (!__atomic_compare_exchange(&object->held, &x, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) \
      next = T(expression);                                                                                \
    return x;                                                                                              \
  }
MSL_FETCH(add, atomic_int_value<T> || (is_same_v<T, float>), x + y)
MSL_FETCH(sub, atomic_int_value<T> || (is_same_v<T, float>), x - y)
MSL_FETCH(and, atomic_int_value<T>, x& y)
MSL_FETCH(or, atomic_int_value<T>, x | y)
MSL_FETCH(xor, atomic_int_value<T>, x ^ y)
MSL_FETCH(max, atomic_int_value<T>, x < y ? y : x)
MSL_FETCH(min, atomic_int_value<T>, y < x ? y : x)
#undef MSL_FETCH

inline void atomic_max_explicit(volatile atomic<ulong>* object, ulong y, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_max", file, line);
  if (object->held < y) object->held = y;
}
inline void atomic_min_explicit(volatile atomic<ulong>* object, ulong y, memory_order, MSL_HERE) {
  note_atomic(object, "atomic_min", file, line);
  if (y < object->held) object->held = y;
}

}  // namespace metal
