// csrc/kernels/all.inl -- every CPU kernel, for the instruction set whose simd header was included before
#pragma once

#include "kernels/conv_table.inl"
#include "kernels/elementwise.inl"
#include "kernels/table.h"

namespace nhwc {
namespace {

void fill_table(KernelTable& t) {
  t.isa = kIsa;
  add_conv_kernels(t.conv);
  add_elementwise_kernels(t.elementwise);
}

}  // namespace
}  // namespace nhwc
