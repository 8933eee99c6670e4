// tests/apple/emulator/include/msl/kernel.h -- how a rewritten .metal file registers its kernels; included before it
#pragma once

#include "atomic.h"
#include "matrix.h"

namespace msl {

/// A parameter of a kernel: what it is bound to, and how to get it.
template <Bind Kind, u32 Index, Builtin What>
struct Bound {
  static constexpr Bind kind = Kind;
  static constexpr u32 index = Index;

  template <class P>
  static P get(const Thread& t) {
    if constexpr (Kind == Bind::builtin) {
      return convert<P>(t);
    } else {
      void* const p = Kind == Bind::buffer ? runtime->buffers[Index] : runtime->threadgroup_buffers[Index];
      if constexpr (__is_pointer(P))
        return P(p);
      else
        return *static_cast<__remove_reference_t(P)*>(p);
    }
  }

 private:
  static u32 scalar(const Thread& t) {
    switch (What) {
      case Builtin::thread_index_in_threadgroup:
        return t.index;
      case Builtin::thread_index_in_simdgroup:
        return t.lane;
      case Builtin::simdgroup_index_in_threadgroup:
        return t.simd;
      case Builtin::simdgroups_per_threadgroup:
      case Builtin::dispatch_simdgroups_per_threadgroup:
        return t.group->simds;
      case Builtin::threads_per_simdgroup:
        return kSimdWidth;
      case Builtin::thread_index_in_quadgroup:
        return t.lane % 4;
      case Builtin::quadgroup_index_in_threadgroup:
        return t.index / 4;
      default:
        return vector(t)[0];
    }
  }
  static const u32* vector(const Thread& t) {
    switch (What) {
      case Builtin::thread_position_in_grid:
        return t.position;
      case Builtin::thread_position_in_threadgroup:
        return t.local;
      case Builtin::threadgroup_position_in_grid:
        return t.group->position;
      case Builtin::threads_per_threadgroup:
        return t.group->threads;
      case Builtin::dispatch_threads_per_threadgroup:
        return t.group->dispatch_threads;
      case Builtin::threads_per_grid:
        return t.group->grid;
      default:
        return t.group->groups;
    }
  }
  template <class P>
  static P convert(const Thread& t) {
    if constexpr (metal::is_integral_v<P>) {
      static_assert(sizeof(P) == 2 || sizeof(P) == 4, "ushort or uint");
      return P(scalar(t));
    } else {
      const u32* v = vector(t);
      __remove_cv(P) r;
      for (int i = 0; i < P::kCount; ++i) r.d[i] = typename P::element(v[i]);
      return r;
    }
  }
};

template <class F>
struct Signature;
template <class... P>
struct Signature<void (*)(P...)> {
  template <auto Function, class... B>
  static void run(const Thread& t) {
    [[clang::noinline]] Function(B::template get<P>(t)...);
  }
  /// Size of what parameter `i` points or refers to, whether it is a reference, and whether it may be written.
  struct Facts {
    u64 bytes;
    bool reference, written;
  };
  template <class Q>
  static constexpr Facts facts_of() {
    if constexpr (__is_pointer(Q)) {
      using E = __remove_pointer(Q);
      if constexpr (metal::is_void_v<E>)
        return {1, false, !__is_const(E)};
      else
        return {sizeof(E), false, !__is_const(E)};
    } else if constexpr (__is_reference(Q)) {
      using E = __remove_reference_t(Q);
      return {sizeof(E), true, !__is_const(E)};
    } else {
      return {0, false, false};
    }
  }
  static constexpr Facts facts(int i) {
    constexpr Facts all[] = {facts_of<P>()...};
    return all[i];
  }
};

template <class T>
constexpr u32 constant_type() {
  using metal::is_same_v;
  if (is_same_v<T, bool>) return 0;
  if (is_same_v<T, int>) return 1;
  if (is_same_v<T, uint>) return 2;
  if (is_same_v<T, float>) return 3;
  if (is_same_v<T, short>) return 4;
  if (is_same_v<T, ushort>) return 5;
  if (is_same_v<T, half>) return 6;
  return 7;
}

template <class T>
inline T& threadgroup_block(const void* key, const char* name, MSL_HERE) {
  return *static_cast<T*>(runtime->threadgroup_block(key, sizeof(T), {name, file, line}));
}

}  // namespace msl

#define is_function_constant_defined(name) msl_defined_##name

#define METAL_FUNC inline __attribute__((always_inline))
#define device
#define constant const
#define threadgroup
#define threadgroup_imageblock
#define thread
#define kernel
#define ray_data
