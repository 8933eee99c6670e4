// tests/apple/mlx/elementwise.metal -- MLX's element-wise kernels: unary, binary, copies, arange
// clang-format off
#include "mlx/backend/metal/kernels/utils.h"
#include "mlx/backend/metal/kernels/unary_ops.h"
#include "mlx/backend/metal/kernels/unary.h"
#include "mlx/backend/metal/kernels/binary_ops.h"
#include "mlx/backend/metal/kernels/binary.h"
#include "mlx/backend/metal/kernels/copy.h"
#include "mlx/backend/metal/kernels/arange.h"

#define instantiate_unary(op) \
  instantiate_kernel("v_" #op "_f32", unary_v, float, float, op) \
  instantiate_kernel("v_" #op "_f16", unary_v, half, half, op) \
  instantiate_kernel("v_" #op "_bf16", unary_v, bfloat16_t, bfloat16_t, op)
instantiate_unary(Exp)
instantiate_unary(Tanh)
instantiate_unary(Sigmoid)
instantiate_unary(Erf)
instantiate_unary(Sqrt)
instantiate_unary(Rsqrt)
instantiate_unary(Log1p)
instantiate_unary(Abs)
instantiate_unary(Sin)

#define instantiate_binary(op, name, T) \
  instantiate_kernel("vv_" #op "_" name, binary_vv, T, T, op) \
  instantiate_kernel("vs_" #op "_" name, binary_vs, T, T, op) \
  instantiate_kernel("g2_" #op "_" name, binary_g_nd2, T, T, op)
#define instantiate_binaries(op) \
  instantiate_binary(op, "f32", float) \
  instantiate_binary(op, "f16", half) \
  instantiate_binary(op, "bf16", bfloat16_t) \
  instantiate_binary(op, "i32", int) \
  instantiate_binary(op, "u8", uint8_t) \
  instantiate_binary(op, "i64", int64_t)
instantiate_binaries(Add)
instantiate_binaries(Multiply)
instantiate_binaries(Maximum)
instantiate_binaries(Power)
instantiate_binaries(Remainder)

instantiate_kernel("copy_f32_bf16", copy_v, float, bfloat16_t)
instantiate_kernel("copy_bf16_f16", copy_v, bfloat16_t, half)
instantiate_kernel("copy_i32_f32", copy_v, int, float)
instantiate_kernel("arange_f32", arange, float)
instantiate_kernel("arange_i32", arange, int)
