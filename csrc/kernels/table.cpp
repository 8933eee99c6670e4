// csrc/kernels/table.cpp -- from an instruction set to its kernels
#include "kernels/table.h"

#include <cstddef>

namespace nhwc {

extern const KernelTable baseline_kernels;
#if defined(__x86_64__)
extern const KernelTable avx2_kernels, avx512_kernels;
extern const PairKernels avx512bf16_kernels;
#endif

namespace {

// What the stronger set leaves out, it has from the baseline: integer kernels are bound by memory, and few need them.
template <class F, size_t N>
void fill_gaps(F (&to)[N], const F (&from)[N]) {
  for (size_t i = 0; i < N; ++i)
    if (!to[i]) to[i] = from[i];
}
template <class F, size_t M, size_t N>
void fill_gaps(F (&to)[M][N], const F (&from)[M][N]) {
  for (size_t i = 0; i < M; ++i) fill_gaps(to[i], from[i]);
}

KernelTable completed(KernelTable t, const PairKernels* pairs = nullptr) {
  const ElementwiseKernels& base = baseline_kernels.elementwise;
  fill_gaps(t.elementwise.unary, base.unary);
  fill_gaps(t.elementwise.binary, base.binary);
  fill_gaps(t.elementwise.cast, base.cast);
  fill_gaps(t.elementwise.rows, base.rows);
  fill_gaps(t.elementwise.columns, base.columns);
  t.conv.pairs = pairs;
  return t;
}

}  // namespace

const KernelTable& table_for(Isa isa) {
#if defined(__x86_64__)
  static const KernelTable avx2 = completed(avx2_kernels), avx512 = completed(avx512_kernels, &avx512bf16_kernels);
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512) return avx512;
#else
  (void)isa;
#endif
  return baseline_kernels;
}

const KernelTable& kernels() { return table_for(current_isa()); }

}  // namespace nhwc
