// csrc/kernels/table.cpp -- from an instruction set to its kernels
#include "kernels/table.h"

#include <algorithm>
#include <cstddef>

namespace nhwc {

// Tables are filled by code when they are first asked for: as data, with an address to be relocated for each of
// thousands of entries, they would be three times as large and slow down every load of the library.
void fill_baseline(KernelTable& t);
#if defined(__x86_64__)  // of a minimal build not all need be there
void fill_avx2(KernelTable& t);
void fill_avx512(KernelTable& t);
void fill_avx512bf16(PairKernels& k);
void fill_amx(AmxKernels& k);
#elif defined(__aarch64__)
void fill_neon(KernelTable& t);
void fill_neonbf16(PairKernels& k);
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

template <class Table>
Table filled(void (*fill)(Table&)) {
  Table t{};
  fill(t);
  return t;
}

const KernelTable& baseline() {
  static const KernelTable table = filled(fill_baseline);
  return table;
}

#if defined(__x86_64__) || defined(__aarch64__)
void fill_gaps(ElementwiseKernels& k) {
  const ElementwiseKernels& base = baseline().elementwise;
  fill_gaps(k.unary, base.unary);
  fill_gaps(k.binary, base.binary);
  fill_gaps(k.cast, base.cast);
  fill_gaps(k.rows, base.rows);
  fill_gaps(k.columns, base.columns);
}
#endif

#if defined(__x86_64__)
#if !defined(NHWC_NO_AVX2)
void complete_avx2(KernelTable& t) {
  fill_avx2(t);
  fill_gaps(t.elementwise);
}
#endif

#if !defined(NHWC_NO_AVX512)
void complete_avx512(KernelTable& t) {
  fill_avx512(t);
  fill_gaps(t.elementwise);
#if !defined(NHWC_NO_AVX512BF16)
  static const PairKernels pairs = filled(fill_avx512bf16);
  t.conv.pairs = &pairs;
#if defined(NHWC_AMX)
  static const AmxKernels amx = filled(fill_amx);
  t.conv.amx = &amx;
#endif
  if (!has_bf16_dot()) return;
  t.conv.narrow_bf16 = pairs.narrow;
  t.conv.f32.depthwise_walk[2] = pairs.depthwise_walk;
  for (int i = 0; i < kDepthwiseRows; ++i)
    std::copy(pairs.depthwise_rows[i], pairs.depthwise_rows[i] + 2, t.conv.f32.depthwise_rows[i].half[1]);
#endif
}
#endif
#elif defined(__aarch64__) && !defined(NHWC_NO_NEON)
void complete_neon(KernelTable& t) {
  fill_neon(t);
  fill_gaps(t.elementwise);
#if !defined(NHWC_NO_NEONBF16)
  static const PairKernels pairs = filled(fill_neonbf16);
  t.conv.pairs = &pairs;
  if (has_bf16_dot()) t.conv.narrow_bf16 = pairs.narrow;
#endif
}
#endif

}  // namespace

const KernelTable& table_for(Isa isa) {
#if defined(__x86_64__) && !defined(NHWC_NO_AVX512)
  if (isa == Isa::avx512) {
    static const KernelTable table = filled(complete_avx512);
    return table;
  }
#endif
#if defined(__x86_64__) && !defined(NHWC_NO_AVX2)
  if (isa == Isa::avx2) {
    static const KernelTable table = filled(complete_avx2);
    return table;
  }
#endif
#if defined(__aarch64__) && !defined(NHWC_NO_NEON)
  if (isa == Isa::neon) {
    static const KernelTable table = filled(complete_neon);
    return table;
  }
#endif
  (void)isa;
  return baseline();
}

const KernelTable& kernels() { return table_for(current_isa()); }

}  // namespace nhwc
