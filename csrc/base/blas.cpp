// csrc/base/blas.cpp -- calls CBLAS, whose few names are declared here: no header of a BLAS is needed
#include "base/blas.h"

#include "nhwc/error.h"

#if defined(NHWC_BLAS)
extern "C" {
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
                 const float* b, int ldb, float beta, float* c, int ldc);
#if !defined(__APPLE__)
__attribute__((weak)) void openblas_set_num_threads(int n);  // OpenBLAS has threads of its own; others do not
#endif
}
#endif

namespace nhwc {

#if defined(NHWC_BLAS)

bool has_blas() { return true; }

void blas_multiply(int m, int n, int k, BlasMatrix<const float> a, BlasMatrix<const float> b, BlasMatrix<float> c,
                   bool add) {
#if !defined(__APPLE__)
  [[maybe_unused]] static const bool alone = [] {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return true;
  }();
#endif
  constexpr int kRowMajor = 101, kNoTranspose = 111;  // of CBLAS's enumerations
  cblas_sgemm(kRowMajor, kNoTranspose, kNoTranspose, m, n, k, 1, a.data, a.step, b.data, b.step, add ? 1 : 0, c.data,
              c.step);
}

#else

bool has_blas() { return false; }

void blas_multiply(int, int, int, BlasMatrix<const float>, BlasMatrix<const float>, BlasMatrix<float>, bool) {
  NHWC_CHECK(false, "this build has no BLAS");
}

#endif

}  // namespace nhwc
