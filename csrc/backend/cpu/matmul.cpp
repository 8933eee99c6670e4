// csrc/backend/cpu/matmul.cpp -- Matmul: batches of matrix products, operands read by their strides
#include <cstring>

#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/thread_pool.h"
#include "kernels/conv.h"

namespace nhwc::cpu {
namespace {

struct Matrix {
  const char* data;
  int64_t row, col;
  Strides batch;
  explicit Matrix(const Node& x)
      : data(x.data()),
        row(x.strides[x.strides.size() - 2]),
        col(x.strides.back()),
        batch(x.strides.begin(), x.strides.end() - 2) {}
};

}  // namespace

void run(const Matmul&, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  const Matrix a(x), b(*n.inputs[1].node());
  const int64_t k = x.shape.back(), columns = n.shape.back();
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  if (k == 0) {
    std::memset(n.data(), 0, static_cast<size_t>(size_of(n.shape) * item));
    return;
  }
  const Loop l = collapse(Shape(n.shape.begin(), n.shape.end() - 2), {&a.batch, &b.batch});
  int64_t batches = size_of(l.shape), m = n.shape[n.shape.size() - 2];
  if (l.ndim() == 1 && l.strides[1][0] == 0 && l.strides[0][0] == m * a.row) {  // one b for all: the batch is rows
    m *= batches;
    batches = 1;
  }
  const auto products = [&](int64_t begin, int64_t end) {
    Walk w(l, l.ndim(), begin);
    for (int64_t i = begin; i < end; ++i, w.next())
      run_gemm(n.dtype, m, columns, k, a.data + w.offset[0] * item, a.row, a.col, b.data + w.offset[1] * item, b.row,
               b.col, n.data() + i * m * columns * item);
  };
  // Products too small to be worth threads of their own share them by batch.
  constexpr int64_t kLargeProduct = 1 << 21;
  const int64_t work = m * columns * k;
  if (batches == 1 || work >= kLargeProduct)
    products(0, batches);
  else
    parallel_for(batches, std::max<int64_t>(1, (1 << 18) / work), products);
}

}  // namespace nhwc::cpu
