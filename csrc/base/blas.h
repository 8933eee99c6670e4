// csrc/base/blas.h -- the matrix product of the system's BLAS: on Apple's processors the way to the matrix unit
#pragma once

namespace nhwc {

/// Whether this build is linked with one (CMake option NHWC_BLAS).
bool has_blas();

/// A row-major matrix of float32: element (i, j) at data[i * step + j].
template <class T>
struct BlasMatrix {
  T* data;
  int step;
};
/// c (m, n) = a (m, k) * b (k, n), with `add` on top of what is there; on the calling thread alone. Only if has_blas().
void blas_multiply(int m, int n, int k, BlasMatrix<const float> a, BlasMatrix<const float> b, BlasMatrix<float> c,
                   bool add);

}  // namespace nhwc
