// csrc/include/nhwc/c_api.h -- convolutions for C (C99), and for languages that call C; see conv_plan.h
// Nothing is thrown: functions return a status, and nhwc_error() has the text of the calling thread's last failure.
// Plans may be run by several threads at a time; making, changing and destroying one is for one thread.
#ifndef NHWC_C_API_H
#define NHWC_C_API_H

#include <stddef.h>
#include <stdint.h>

#include "nhwc/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nhwc_conv_plan nhwc_conv_plan;

typedef enum {
  NHWC_OK = 0,
  NHWC_INVALID_VALUE = 1, /* an argument that does not fit; the text says which, and what was expected */
  NHWC_OUT_OF_MEMORY = 2,
  NHWC_FAILED = 3 /* anything else */
} nhwc_status;

enum { NHWC_FLOAT32 = 0, NHWC_FLOAT16 = 1, NHWC_BFLOAT16 = 2, NHWC_FLOAT64 = 3 };

enum {
  NHWC_NO_ACTIVATION = 0,
  NHWC_RELU = 1,
  NHWC_RELU6 = 2,
  NHWC_LEAKY_RELU = 3,
  NHWC_SILU = 4,
  NHWC_GELU = 5,
  NHWC_TANH = 6,
  NHWC_SIGMOID = 7
};

/* Lists have one value per spatial axis, in the order of the input's; those past `spatial` are not read. */
typedef struct {
  size_t struct_size; /* set by nhwc_conv_options_init */
  int32_t spatial;    /* axes: 1 (N, W, C), 2 (N, H, W, C), 3 (N, D, H, W, C); default 2 */
  int32_t dtype;      /* of all operands */
  int32_t activation;
  int32_t transposed, flip, highest_precision; /* 0 or 1 */
  int64_t batch, in_channels, out_channels;
  int64_t groups; /* default 1 */
  int64_t input[3], kernel[3];
  int64_t stride[3];                       /* default 1 */
  int64_t padding_low[3], padding_high[3]; /* transposed: low alone is read */
  int64_t dilation[3], input_dilation[3];  /* default 1 */
  int64_t output_padding[3];               /* transposed only */
} nhwc_conv_options;

/* Sets the defaults; size is sizeof(nhwc_conv_options) as the caller was compiled. Sizes remain to be filled in. */
nhwc_status nhwc_conv_options_init(nhwc_conv_options* options, size_t size);

/* Weights (C_out, kernel..., C_in / groups) are packed and the bias (C_out) is copied; it may be null, with 0 bytes. */
nhwc_status nhwc_conv_plan_create(const nhwc_conv_options* options, const void* weight, size_t weight_bytes,
                                  const void* bias, size_t bias_bytes, nhwc_conv_plan** plan);
/* y = activation(conv(x) + bias). Sizes must be those of the plan; buffers are aligned to their elements. */
nhwc_status nhwc_conv_plan_run(const nhwc_conv_plan* plan, const void* x, size_t x_bytes, void* y, size_t y_bytes);
nhwc_status nhwc_conv_plan_set_weights(nhwc_conv_plan* plan, const void* weight, size_t weight_bytes, const void* bias,
                                       size_t bias_bytes);
/* The sizes of y, spatial + 2 of them; each may be null where it is not wanted. */
nhwc_status nhwc_conv_plan_output(const nhwc_conv_plan* plan, int64_t shape[5], size_t* bytes);
void nhwc_conv_plan_destroy(nhwc_conv_plan* plan); /* null is fine */

/* Text of this thread's last failure, until its next call; "" where there was none. */
const char* nhwc_error(void);
/* "0.1.0": of the library. */
const char* nhwc_version(void);

/* For the process: threads to use, or a pool and memory of the caller's; see host.h. Null functions: ours again. */
nhwc_status nhwc_set_num_threads(int n);
nhwc_status nhwc_set_pool(void* ctx, int threads,
                          void (*run)(void* ctx, int n, void (*body)(void* arg, int i), void* arg));
nhwc_status nhwc_set_allocator(void* ctx, void* (*allocate)(void* ctx, size_t bytes, size_t alignment),
                               void (*release)(void* ctx, void* p, size_t bytes));

#ifdef __cplusplus
}
#endif

#endif
