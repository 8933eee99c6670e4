// tests/kernels/test_gemm.cpp -- run_gemm against a plain product: strides, dtypes, tails, empty sizes
#include <doctest/doctest.h>

#include <cstring>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

struct Layout {
  int64_t row, col;
  size_t size;
};

/// Row-major, column-major, padded rows, or every other element.
Layout layout(int kind, int64_t rows, int64_t cols) {
  if (kind == 0) return {cols, 1, static_cast<size_t>(rows * cols)};
  if (kind == 1) return {1, rows, static_cast<size_t>(rows * cols)};
  if (kind == 2) return {cols + 3, 1, static_cast<size_t>(rows * (cols + 3))};
  return {2 * cols, 2, static_cast<size_t>(rows * 2 * cols)};
}

void check(Dtype t, int64_t m, int64_t n, int64_t k, int a_kind, int b_kind) {
  std::mt19937_64 rng(static_cast<uint64_t>(m * 31 + n * 7 + k));
  const Layout la = layout(a_kind, m, k), lb = layout(b_kind, k, n);
  const std::vector<double> a = random_values(rng, t, static_cast<int64_t>(la.size));
  const std::vector<double> b = random_values(rng, t, static_cast<int64_t>(lb.size));
  const Stored sa(t, a), sb(t, b);
  Stored c(t, static_cast<size_t>(m * n));
  std::memset(c.data(), 0x7f, c.bytes());
  run_gemm(t, m, n, k, sa.data(), la.row, la.col, sb.data(), lb.row, lb.col, c.data());
  double worst = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double want = 0, scale = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double p =
            a[static_cast<size_t>(i * la.row + l * la.col)] * b[static_cast<size_t>(l * lb.row + j * lb.col)];
        want += p;
        scale += std::fabs(p);
      }
      const double e = std::fabs(c.get(static_cast<size_t>(i * n + j)) - want) / tolerance(t, scale, want);
      worst = e <= worst ? worst : e;
    }
  CHECK_MESSAGE(worst <= 1, name(t), " m=", m, " n=", n, " k=", k, " a ", a_kind, " b ", b_kind, " error ", worst);
}

}  // namespace

TEST_CASE("gemm agrees with the plain product") {
  const std::string isa = isa_choice();
  const size_t limit = get_workspace_limit();
  for (Isa i : supported_isas()) {
    set_isa(name(i));
    for (Dtype t : {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16})
      for (size_t workspace : {limit, size_t(4096)}) {
        set_workspace_limit(workspace);
        for (int a = 0; a < 4; ++a)
          for (int b = 0; b < 4; ++b) check(t, 5 + 9 * a, 17 + 16 * b, 23, a, b);
        check(t, 1, 1, 1, 0, 0);
        check(t, 0, 3, 2, 0, 0);
        check(t, 3, 0, 2, 0, 0);
        check(t, 3, 4, 0, 0, 0);
        check(t, 40, 100, 5000, 1, 1);
        check(t, 2, 33, 4097, 0, 0);
        check(t, 300, 3, 3, 0, 1);
        for (int m = 1; m <= 9; ++m) check(t, m, 20 + m, 30 + 5 * m, m % 4, 1);
      }
  }
  set_workspace_limit(limit);
  set_isa(isa);
}
