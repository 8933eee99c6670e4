// metal/common/element.h -- elements of any dtype, loaded as and stored from the few types that kernels compute in
#pragma once

#include <metal_stdlib>

/// The numbers of nhwc::Dtype.
namespace type {
enum : int { boolean, u8, u16, u32, u64, i8, i16, i32, i64, f16, bf16, f32 };
}

/// Element `i` as a C. `t` is a function constant, so the choice is made when the pipeline is built.
template <class C>
inline C load_element(device const void* x, long i, int t) {
  switch (t) {
    case type::boolean:
      return C(((device const uchar*)x)[i] != 0);
    case type::u8:
      return C(((device const uchar*)x)[i]);
    case type::u16:
      return C(((device const ushort*)x)[i]);
    case type::u32:
      return C(((device const uint*)x)[i]);
    case type::u64:
      return C(((device const ulong*)x)[i]);
    case type::i8:
      return C(((device const char*)x)[i]);
    case type::i16:
      return C(((device const short*)x)[i]);
    case type::i32:
      return C(((device const int*)x)[i]);
    case type::i64:
      return C(((device const long*)x)[i]);
    case type::f16:
      return C(float(((device const half*)x)[i]));
    case type::bf16:
      return C(float(((device const bfloat*)x)[i]));
    default:
      return C(((device const float*)x)[i]);
  }
}

/// Whether element `i` is not zero; NaN is not.
inline bool load_truth(device const void* x, long i, int t) {
  switch (t) {
    case type::u64:
    case type::i64:
      return load_element<ulong>(x, i, t) != 0;
    case type::f16:
    case type::bf16:
    case type::f32:
      return load_element<float>(x, i, t) != 0.0f;
    default:
      return load_element<uint>(x, i, t) != 0;
  }
}

/// Rounds to the nearest of a half type, wraps to a narrower integer.
template <class C>
inline void store_element(device void* y, long i, int t, C v) {
  switch (t) {
    case type::boolean:
      ((device uchar*)y)[i] = v != C(0);
      break;
    case type::u8:
      ((device uchar*)y)[i] = uchar(v);
      break;
    case type::u16:
      ((device ushort*)y)[i] = ushort(v);
      break;
    case type::u32:
      ((device uint*)y)[i] = uint(v);
      break;
    case type::u64:
      ((device ulong*)y)[i] = ulong(v);
      break;
    case type::i8:
      ((device char*)y)[i] = char(v);
      break;
    case type::i16:
      ((device short*)y)[i] = short(v);
      break;
    case type::i32:
      ((device int*)y)[i] = int(v);
      break;
    case type::i64:
      ((device long*)y)[i] = long(v);
      break;
    case type::f16:
      ((device half*)y)[i] = half(float(v));
      break;
    case type::bf16:
      ((device bfloat*)y)[i] = bfloat(float(v));
      break;
    default:
      ((device float*)y)[i] = float(v);
      break;
  }
}
