// csrc/backend/cpu/combine.cpp -- the loops over updated elements, one for each dtype and mode
#include "backend/cpu/combine.h"

#include "base/visit_dtype.h"

namespace nhwc::cpu {
namespace {

/// Calls f(T*, combine) with the stored type and a function (T there, T update) -> T. `set` only moves elements.
template <class F>
void visit_combine(Dtype dtype, UpdateMode mode, const F& f) {
  visit_dtype(dtype, [&]<class T>(T* t) {
    using C = Compute<T>;
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
        f(t, [](T a, T b) { return C(a) != C(a) || C(a) > C(b) ? a : b; });
        break;
      case UpdateMode::minimum:
        f(t, [](T a, T b) { return C(a) != C(a) || C(a) < C(b) ? a : b; });
        break;
    }
  });
}

}  // namespace

Combine combine_of(Dtype dtype, UpdateMode mode) {
  Combine found = nullptr;
  visit_combine(dtype, mode, [&]<class T, class F>(T*, F) {
    found = [](const Updates& a) {
      auto y = reinterpret_cast<T*>(a.y);
      auto u = reinterpret_cast<const T*>(a.u);
      for (int64_t i = 0; i < a.n; ++i) {
        T& there = y[(a.where ? a.where[i * a.where_step] : i) * a.y_step];
        there = F()(there, u[i * a.u_step]);
      }
    };
  });
  return found;
}

}  // namespace nhwc::cpu
