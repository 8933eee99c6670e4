// csrc/kernels/table.cpp -- from an instruction set to its kernels
#include "kernels/table.h"

namespace nhwc {

extern const KernelTable baseline_kernels;
#if defined(__x86_64__)
extern const KernelTable avx2_kernels, avx512_kernels;
#endif

const KernelTable& table_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return avx2_kernels;
  if (isa == Isa::avx512) return avx512_kernels;
#else
  (void)isa;
#endif
  return baseline_kernels;
}

const KernelTable& kernels() { return table_for(current_isa()); }

}  // namespace nhwc
