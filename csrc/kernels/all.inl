// csrc/kernels/all.inl -- every CPU kernel, for the instruction set whose simd header was included before
#pragma once

#include "kernels/conv_table.inl"
#include "kernels/elementwise.inl"
#include "kernels/table.h"

namespace nhwc {
namespace {

constexpr KernelTable make_table() { return {kIsa, make_conv_kernels(), make_elementwise_kernels()}; }

}  // namespace
}  // namespace nhwc
