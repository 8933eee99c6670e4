// csrc/backend/cpu/elementwise.cpp -- Unary, Binary, Select and Cast
#include <bit>

#include "backend/cpu/elementwise_loop.h"
#include "backend/cpu/run.h"
#include "kernels/table.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

int index(Dtype t) { return static_cast<int>(t); }
template <class K>
int64_t grain_of(K kind) {
  return is_heavy(kind) ? kHeavyGrain : kCheapGrain;
}

}  // namespace

void run(const Unary& p, Node& n, bool may_reuse) {
  const Dtype t = n.inputs[0].dtype();
  const auto kernel = kernels().elementwise.unary[static_cast<int>(p.kind)][index(t)];
  NHWC_CHECK(kernel, name(p.kind));
  run_elementwise<1>(n, may_reuse, grain_of(p.kind), 0,
                     [=](const char* const* x, char* y, int64_t m, unsigned) { kernel(x[0], y, m); });
}

void run(const Cast&, Node& n, bool may_reuse) {
  const auto kernel = kernels().elementwise.cast[index(n.inputs[0].dtype())][index(n.dtype)];
  run_elementwise<1>(n, may_reuse, kCheapGrain, 0,
                     [=](const char* const* x, char* y, int64_t m, unsigned) { kernel(x[0], y, m); });
}

void run(const Binary& p, Node& n, bool may_reuse) {
  const int k = static_cast<int>(p.kind), t = index(n.inputs[0].dtype());
  const ElementwiseKernels& e = kernels().elementwise;
  const ElementwiseKernels::Binary by_scalars[] = {e.binary[k][t], e.scalar_left[k][t], e.scalar_right[k][t]};
  NHWC_CHECK(by_scalars[0], name(p.kind));
  const unsigned scalar_ok = (by_scalars[1] ? 1u : 0u) | (by_scalars[2] ? 2u : 0u);
  run_elementwise<2>(
      n, may_reuse, grain_of(p.kind), scalar_ok,
      [&](const char* const* x, char* y, int64_t m, unsigned scalars) { by_scalars[scalars](x[0], x[1], y, m); });
}

void run(const Select&, Node& n, bool may_reuse) {
  const auto kernel = kernels().elementwise.select[std::countr_zero(size_of(n.dtype))];
  run_elementwise<3>(n, may_reuse, kCheapGrain, 0,
                     [=](const char* const* x, char* y, int64_t m, unsigned) { kernel(x[0], x[1], x[2], y, m); });
}

}  // namespace nhwc::cpu
