// csrc/kernels/all.inl -- every CPU kernel, for the instruction set whose simd header was included before
#pragma once

#include "kernels/conv_table.inl"
#if !defined(NHWC_MINIMAL)
#include "kernels/elementwise.inl"
#endif
#include "kernels/table.h"

namespace nhwc {
namespace {

void fill_table(KernelTable& t) {
  t.isa = kIsa;
  add_conv_kernels(t.conv);
#if !defined(NHWC_MINIMAL)
  add_elementwise_kernels(t.elementwise);
#endif
}

}  // namespace
}  // namespace nhwc
