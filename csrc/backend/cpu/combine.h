// csrc/backend/cpu/combine.h -- how an update meets the element that is there: for SliceUpdate, Scatter and ScatterAxis
#pragma once

#include "base/visit_dtype.h"
#include "graph/primitives.h"

namespace nhwc::cpu {

/// Calls f(T*, combine) with the stored type and a function (T there, T update) -> T. `set` only moves elements.
template <class F>
void visit_combine(Dtype dtype, UpdateMode mode, const F& f) {
  visit_dtype(dtype, [&]<class T>(T* t) {
    using C = Compute<T>;
    const auto nan = [](C a) { return a != a; };
    switch (mode) {
      case UpdateMode::set:
        f(t, [](T, T b) { return b; });
        break;
      case UpdateMode::add:
        f(t, [](T a, T b) {
          if constexpr (std::is_same_v<T, bool>)
            return a || b;
          else if constexpr (std::is_integral_v<T>)
            return static_cast<T>(uint64_t(a) + uint64_t(b));
          else
            return T(C(a) + C(b));
        });
        break;
      case UpdateMode::multiply:
        f(t, [](T a, T b) {
          if constexpr (std::is_same_v<T, bool>)
            return a && b;
          else if constexpr (std::is_integral_v<T>)
            return static_cast<T>(uint64_t(a) * uint64_t(b));
          else
            return T(C(a) * C(b));
        });
        break;
      case UpdateMode::maximum:
        f(t, [nan](T a, T b) { return nan(C(a)) || C(a) > C(b) ? a : b; });
        break;
      case UpdateMode::minimum:
        f(t, [nan](T a, T b) { return nan(C(a)) || C(a) < C(b) ? a : b; });
        break;
    }
  });
}

}  // namespace nhwc::cpu
