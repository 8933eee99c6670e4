// tests/apple/emulator/include/msl/matrix.h -- simdgroup_matrix: 8x8 numbers over 32 lanes, two to a lane
#pragma once

#include "simdgroup.h"

namespace metal {

/// Where a lane's two elements lie, side by side in a row: Apple's layout, which kernels that use thread_elements()
/// rely on.
struct MatrixLane {
  uint row, column;
  explicit MatrixLane(uint lane) : row((lane / 4 & 4) + (lane / 2 % 4)), column((lane / 4 & 2) * 2 + lane % 2 * 2) {}
};

template <class T, int Rows, int Columns>
struct simdgroup_matrix {
  static_assert(Rows == 8 && Columns == 8, "simdgroup_matrix is 8 by 8");
  static_assert(is_floating_point_v<T>, "simdgroup_matrix of float, half or bfloat");
  using storage_type = vec<T, 2>;
  storage_type elements;

  // Not zero but NaN, as what a register holds is not known.
  simdgroup_matrix() { elements = storage_type(numeric_limits<T>::quiet_NaN()); }
  /// The diagonal.
  explicit simdgroup_matrix(T diagonal) {
    const MatrixLane at(msl::self().lane);
    elements.d[0] = at.row == at.column ? diagonal : T(0);
    elements.d[1] = at.row == at.column + 1 ? diagonal : T(0);
  }
  storage_type& thread_elements() { return elements; }
  const storage_type& thread_elements() const { return elements; }
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat, 8, 8>;

template <class T, int Rows, int Columns>
inline simdgroup_matrix<T, Rows, Columns> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Rows, Columns> m;
  m.elements = vec<T, 2>(value, value);
  return m;
}
template <class T, int Size>
inline simdgroup_matrix<T, Size, Size> make_diagonal_simdgroup_matrix(T value) {
  return simdgroup_matrix<T, Size, Size>(value);
}

/// The offsets of a lane's elements in memory.
struct MatrixPlaces {
  ulong at[2];
  MatrixPlaces(ulong per_row, ulong2 origin, bool transposed) {
    const MatrixLane lane(msl::self().lane);
    for (ulong i = 0; i < 2; ++i) {
      const ulong row = transposed ? lane.column + i : lane.row, column = transposed ? lane.row : lane.column + i;
      at[i] = (origin.y + row) * per_row + origin.x + column;
    }
  }
};

#ifdef MSL_TRACED
#define MSL_OWN_ACCESS __attribute__((disable_sanitizer_instrumentation, noinline))
#else
#define MSL_OWN_ACCESS
#endif

template <class T>
MSL_OWN_ACCESS inline void simdgroup_load(simdgroup_matrix<T, 8, 8>& m, const T* from, ulong per_row = 8,
                                          ulong2 origin = ulong2(0), bool transposed = false, MSL_HERE) {
  const MatrixPlaces places(per_row, origin, transposed);
  for (int i = 0; i < 2; ++i) {
#ifdef MSL_TRACED
    msl::runtime->access(from + places.at[i], sizeof(T), msl::kLoad, {"simdgroup_load", file, line});
#endif
    m.elements.d[i] = from[places.at[i]];
  }
  (void)file, (void)line;
}
template <class T>
MSL_OWN_ACCESS inline void simdgroup_store(const simdgroup_matrix<T, 8, 8>& m, T* to, ulong per_row = 8,
                                           ulong2 origin = ulong2(0), bool transposed = false, MSL_HERE) {
  const MatrixPlaces places(per_row, origin, transposed);
  for (int i = 0; i < 2; ++i) {
#ifdef MSL_TRACED
    msl::runtime->access(to + places.at[i], sizeof(T), msl::kStore, {"simdgroup_store", file, line});
#endif
    to[places.at[i]] = m.elements.d[i];
  }
  (void)file, (void)line;
}

template <class D, class A, class B, class C>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                          const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c,
                                          MSL_HERE) {
  const float p[2] = {float(a.elements.d[0]), float(a.elements.d[1])};
  const float q[2] = {float(b.elements.d[0]), float(b.elements.d[1])};
  const float r[2] = {float(c.elements.d[0]), float(c.elements.d[1])};
  float out[2];
  msl::runtime->mma(p, q, r, out, {"simdgroup_multiply_accumulate", file, line});
  d.elements.d[0] = D(out[0]);
  d.elements.d[1] = D(out[1]);
}
template <class D, class A, class B>
inline void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                               const simdgroup_matrix<B, 8, 8>& b, MSL_HERE) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8, 8>(D(0)), file, line);
}
template <class T>
inline simdgroup_matrix<T, 8, 8> operator*(const simdgroup_matrix<T, 8, 8>& a, const simdgroup_matrix<T, 8, 8>& b) {
  simdgroup_matrix<T, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}

}  // namespace metal
