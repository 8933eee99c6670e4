// tests/apple/mlx/conv.metal -- MLX's implicit GEMM convolutions and GEMM
// clang-format off
#include <metal_stdlib>
#include "mlx/backend/metal/kernels/utils.h"
#include "mlx/backend/metal/kernels/steel/gemm/mma.h"
#include "mlx/backend/metal/kernels/steel/conv/conv.h"
#include "mlx/backend/metal/kernels/steel/conv/params.h"
#include "mlx/backend/metal/kernels/steel/conv/kernels/steel_conv.h"
#include "mlx/backend/metal/kernels/steel/conv/kernels/steel_conv_general.h"
using namespace mlx::steel;

instantiate_kernel("conv2d_f32", implicit_gemm_conv_2d, float, 32, 32, 16, 2, 2, 0, false)
instantiate_kernel("conv2d_f16", implicit_gemm_conv_2d, half, 32, 32, 16, 2, 2, 0, false)
instantiate_kernel("conv2d_small_f32", implicit_gemm_conv_2d, float, 32, 32, 16, 2, 2, 0, true)
instantiate_kernel("conv2d_channels4_f32", implicit_gemm_conv_2d, float, 32, 8, 16, 4, 1, 4, false)
instantiate_kernel("conv2d_general_f32", implicit_gemm_conv_2d_general, float, 32, 32, 16, 2, 2)
