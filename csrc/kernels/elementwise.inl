// csrc/kernels/elementwise.inl -- fills the tables of elementwise.h for the instruction set that is being compiled
#pragma once

#include "kernels/elementwise_binary.inl"
#include "kernels/elementwise_reduce.inl"
#include "kernels/elementwise_unary.inl"

namespace nhwc {
namespace {

void add_elementwise_kernels(ElementwiseKernels& k) {
#define NHWC_UNARY(n) fill_unary<UnaryKind::n>(k);
#define NHWC_BINARY(n) fill_binary<BinaryKind::n>(k);
#include "nhwc/kinds.inc"
  fill_reduce<ReduceKind::sum>(k);
  fill_reduce<ReduceKind::prod>(k);
  fill_reduce<ReduceKind::max>(k);
  fill_reduce<ReduceKind::min>(k);
  k.select[0] = &select_loop<uint8_t>;
  k.select[1] = &select_loop<uint16_t>;
  k.select[2] = &select_loop<uint32_t>;
  k.select[3] = &select_loop<uint64_t>;
  if constexpr (kEveryDtype) {
    fill_cast<bool>(k, Dtype::bool_);
    fill_cast<uint8_t>(k, Dtype::uint8);
    fill_cast<uint16_t>(k, Dtype::uint16);
    fill_cast<uint32_t>(k, Dtype::uint32);
    fill_cast<uint64_t>(k, Dtype::uint64);
    fill_cast<int8_t>(k, Dtype::int8);
    fill_cast<int16_t>(k, Dtype::int16);
    fill_cast<int32_t>(k, Dtype::int32);
    fill_cast<int64_t>(k, Dtype::int64);
  }
  fill_cast<Float16>(k, Dtype::float16);
  fill_cast<BFloat16>(k, Dtype::bfloat16);
  fill_cast<float>(k, Dtype::float32);
  fill_cast<double>(k, Dtype::float64);
  k.softmax[index(Dtype::float32)] = &softmax_row<float>;
  k.softmax[index(Dtype::float64)] = &softmax_row<double>;
}

}  // namespace
}  // namespace nhwc
