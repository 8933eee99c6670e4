// tests/apple/mlx/reductions.metal -- MLX's reductions, softmax, scan and sort
// clang-format off
#include <metal_atomic>
#include <metal_simdgroup>
#include "mlx/backend/metal/kernels/utils.h"
#include "mlx/backend/metal/kernels/atomic.h"
#include "mlx/backend/metal/kernels/reduction/ops.h"
#include "mlx/backend/metal/kernels/reduce.h"
#include "mlx/backend/metal/kernels/softmax.h"
#include "mlx/backend/metal/kernels/scan.h"
#include "mlx/backend/metal/kernels/sort.h"

instantiate_kernel("all_sum_f32", all_reduce, float, float, Sum<float>, int)
instantiate_kernel("all_sum_bf16", all_reduce, bfloat16_t, float, Sum<float>, int)
instantiate_kernel("all_max_i32", all_reduce, int, int, Max<int>, int)
instantiate_kernel("row_sum_f32", row_reduce_simple, float, float, Sum<float>, int)
instantiate_kernel("row_min_bf16", row_reduce_simple, bfloat16_t, bfloat16_t, Min<bfloat16_t>, int)
instantiate_kernel("softmax_f32", softmax_single_row, float)
instantiate_kernel("softmax_f16", softmax_single_row, half, float)
instantiate_kernel("softmax_bf16", softmax_single_row, bfloat16_t, float)
instantiate_kernel("softmax_looped_f32", softmax_looped, float)
instantiate_kernel("scan_sum_f32", contiguous_scan, float, float, CumSum<float>, 4, true, false)
instantiate_kernel("scan_max_i32", contiguous_scan, int, int, CumMax<int>, 4, true, true)
instantiate_kernel("sort_f32", block_sort, float, float, false, 128, 4)
instantiate_kernel("argsort_i32", block_sort, int, uint, true, 128, 4)
