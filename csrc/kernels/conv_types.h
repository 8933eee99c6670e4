// csrc/kernels/conv_types.h -- storage types and compute types: which kernels a dtype runs on
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/conv.h"
#include "kernels/table.h"
#include "nhwc/error.h"

namespace nhwc {

/// The type that S is computed in.
template <class S>
using Compute = std::conditional_t<std::is_same_v<S, double>, double, float>;

template <class T>
const FloatKernels<T>& float_kernels(const ConvKernels& k) {
  if constexpr (std::is_same_v<T, double>)
    return k.f64;
  else
    return k.f32;
}

inline void widen(const ConvKernels& k, const Float16* s, float* d, int64_t n) { k.widen_f16(s, d, n); }
inline void widen(const ConvKernels& k, const BFloat16* s, float* d, int64_t n) { k.widen_bf16(s, d, n); }
template <class T>
void widen(const ConvKernels&, const T* s, T* d, int64_t n) {
  std::memcpy(d, s, static_cast<size_t>(n) * sizeof(T));
}
inline void narrow(const ConvKernels& k, const float* s, Float16* d, int64_t n) { k.narrow_f16(s, d, n); }
inline void narrow(const ConvKernels& k, const float* s, BFloat16* d, int64_t n) { k.narrow_bf16(s, d, n); }
template <class T>
void narrow(const ConvKernels&, const T* s, T* d, int64_t n) {
  if (s != d) std::memcpy(d, s, static_cast<size_t>(n) * sizeof(T));
}

/// float16 or bfloat16, by a dtype that is known at run time: what only converts them is compiled once for both.
struct AnyHalf {
  uint16_t bits;
};
template <class S, class T>
void widen(const ConvKernels& k, Dtype, const S* s, T* d, int64_t n) {
  widen(k, s, d, n);
}
inline void widen(const ConvKernels& k, Dtype t, const AnyHalf* s, float* d, int64_t n) {
  if (t == Dtype::float16)
    k.widen_f16(reinterpret_cast<const Float16*>(s), d, n);
  else
    k.widen_bf16(reinterpret_cast<const BFloat16*>(s), d, n);
}
template <class S, class T>
void narrow(const ConvKernels& k, Dtype, const T* s, S* d, int64_t n) {
  narrow(k, s, d, n);
}
inline void narrow(const ConvKernels& k, Dtype t, const float* s, AnyHalf* d, int64_t n) {
  if (t == Dtype::float16)
    k.narrow_f16(s, reinterpret_cast<Float16*>(d), n);
  else
    k.narrow_bf16(s, reinterpret_cast<BFloat16*>(d), n);
}

/// The bias of every output channel, groups * o of them.
template <class S, class T>
void widen_bias(const ConvKernels& k, const ConvProblem& q, const S* bias, T* to) {
  const int64_t n = q.groups * q.o / q.fold;
  for (int64_t i = 0; i < q.fold; ++i) widen(k, q.dtype, bias, to + i * n, n);
}

/// Calls f.operator()<S>() for the storage type of a floating dtype.
template <class F>
decltype(auto) visit_float(Dtype t, const F& f) {
  switch (t) {
    case Dtype::float16:
      return f.template operator()<Float16>();
    case Dtype::bfloat16:
      return f.template operator()<BFloat16>();
    case Dtype::float32:
      return f.template operator()<float>();
    default:
#if defined(NHWC_MINIMAL)
      raise_bug("a minimal build has no float64", "float64", __FILE__, __LINE__);
#else
      NHWC_CHECK(t == Dtype::float64, "a convolution of integers");
      return f.template operator()<double>();
#endif
  }
}

/// What follows the sum and the bias. Activations that are a clamp to [lo, hi] run inside the tile; the others as a
/// pass over it while it is in L1, and before them what is added, where the kernel does not do that too.
template <class T>
struct Epilogue {
  Epilogue(Activation f, int64_t residual_from_y, bool kernel_adds)
      : residual(kernel_adds ? residual_from_y : 0), activation(f), added_later(kernel_adds ? 0 : residual_from_y) {
    const T inf = static_cast<T>(__builtin_inf());
    const bool clamps = added_later == 0 && (f == Activation::relu || f == Activation::relu6);
    lo = clamps ? 0 : -inf;
    hi = clamps && f == Activation::relu6 ? 6 : inf;
    pass = added_later != 0 || (!clamps && f != Activation::none);
  }
  /// The pass over n outputs at y.
  void finish(const FloatKernels<T>& f, T* y, int64_t n) const {
    if (added_later) f.add(y + added_later, y, n);
    if (activation != Activation::none) f.activate(y, y, n, activation);
  }
  T lo, hi;
  int64_t residual;  // the kernel's part of it
  bool pass;         // something remains to be done

 private:
  Activation activation;
  int64_t added_later;
};

/// Whether outputs may be written past the caches: nothing reads them again, and vectors are lines.
template <class T>
bool streamable(const ConvOperands& a, const Epilogue<T>& end) {
  return !end.pass && a.residual_from_y == 0 && reinterpret_cast<uintptr_t>(a.y) % 64 == 0;
}

/// Work below which waking another thread costs more than it gives: about 10 us on one AVX-512 core.
inline constexpr double kInlineFlops = 2e6;
/// Tasks per range of parallel_for, for n tasks of so many flops together: ranges of about 1 us, longer ones where that
/// leaves enough to share out.
inline int64_t grain_of(int64_t n, double flops) {
  constexpr int64_t kManyRanges = 128;
  if (flops <= kInlineFlops) return n > 0 ? n : 1;
  const double per_task = flops / static_cast<double>(n);
  const auto tasks = [&](double wanted) { return std::max<int64_t>(1, static_cast<int64_t>(wanted / per_task + 0.5)); };
  return std::clamp(n / kManyRanges, tasks(kInlineFlops / 8), tasks(kInlineFlops));
}

}  // namespace nhwc
