// csrc/kernels/table.h -- every CPU kernel of one instruction set, as function pointers: the only door into isa_*.cpp
#pragma once

#include "base/cpu_features.h"
#include "kernels/conv_kernels.h"
#include "kernels/elementwise.h"

namespace nhwc {

struct KernelTable {
  Isa isa;
  ConvKernels conv;                // filled by conv_*.inl
  ElementwiseKernels elementwise;  // filled by elementwise.inl
};

/// The table of current_isa(); table_for(isa) for tests and benches.
const KernelTable& kernels();
const KernelTable& table_for(Isa isa);

}  // namespace nhwc
