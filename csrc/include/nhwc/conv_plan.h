// csrc/include/nhwc/conv_plan.h -- convolutions over plain memory, without arrays or a graph: made once, run often
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "nhwc/conv_args.h"
#include "nhwc/dtype.h"
#include "nhwc/error.h"
#include "nhwc/host.h"
#include "nhwc/shape.h"
#include "nhwc/version.h"

namespace nhwc {

/// What a convolution is asked for beside its sizes; the defaults are those of conv2d. Lists have one value for all
/// spatial axes or one for each.
struct ConvOptions {
  Ints stride = {1};
  Ints padding = {0};             // on both sides; negative: the input is cropped
  Ints padding_high = {};         // where given, on the far side, and `padding` is of the near side
  std::string auto_padding = "";  // "same", "valid", in one dimension "causal": in place of numbers
  Ints dilation = {1};            // of the kernel
  Ints input_dilation = {1};      // zeros between the inputs
  Ints output_padding = {0};      // transposed only
  int64_t groups = 1;
  bool transposed = false;  // conv_transpose2d: `stride` spreads the input
  bool flip = false;        // the kernel is turned round
  Activation activation = Activation::none;
  Dtype dtype = Dtype::float32;    // of all operands: float16, bfloat16, float32 or float64
  bool highest_precision = false;  // no algorithm that transforms
  Strides input_strides = {};      // in elements, of an input that is not row-major; that of the channels is 1
  HostPool pool = {};              // threads of this plan; default: the process's
  HostAllocator allocator = {};    // packed weights and scratch of this plan; default: the process's
};

/// A convolution of fixed sizes with its weights. Making one plans, packs the weights and copies the bias; running it
/// reads x, writes y, and takes no memory from the system once it has run (but what set_cache_limit makes it give
/// back). One plan may be run by several threads at a time. What does not fit raises ValueError, memory that cannot be
/// had MemoryError; Interrupted is thrown where set_interrupt_check asks for it. NHWC_ISA, NHWC_NUM_THREADS,
/// NHWC_WORKSPACE_MB, NHWC_CONV_ALGORITHM and NHWC_BATCH_INVARIANT are heeded.
class ConvPlan {
 public:
  /// input: (N, H, W, C), with one spatial axis (N, W, C), with three (N, D, H, W, C). weight: (C_out, kh, kw,
  /// C_in / groups), row-major at `w`. bias: C_out values, or null.
  ConvPlan(const Shape& input, const Shape& weight, const void* w, const void* bias = nullptr,
           const ConvOptions& options = {});
  ConvPlan(ConvPlan&&) noexcept;
  ConvPlan& operator=(ConvPlan&&) noexcept;
  ~ConvPlan();

  /// y = activation(conv(x) + bias), row-major. Sizes in bytes, which must be those of the plan; x and y do not overlap
  /// and are aligned to their elements. They may be others in every run; where they stay, tiny convolutions are faster.
  void run(const void* x, size_t x_bytes, void* y, size_t y_bytes) const;
  void run(std::span<const float> x, std::span<float> y) const { run_typed(Dtype::float32, x, y); }
  void run(std::span<const double> x, std::span<double> y) const { run_typed(Dtype::float64, x, y); }

  /// Other weights, and another bias where the plan has one. Not during a run.
  void set_weights(const void* w, const void* bias = nullptr);

  const Shape& output_shape() const;
  size_t input_bytes() const;  // with input_strides: from the first element to the last
  size_t output_bytes() const;
  /// Which algorithm was chosen, with which tiles, and why the others lost.
  std::string explain() const;

 private:
  template <class T>
  void run_typed(Dtype t, std::span<const T> x, std::span<T> y) const {
    require_dtype(t);
    run(x.data(), x.size_bytes(), y.data(), y.size_bytes());
  }
  void require_dtype(Dtype t) const;

  struct State;
  std::unique_ptr<State> state_;
};

/// The same in one call, float32: plans and packs each time. y has the shape `output`, which is checked.
void conv2d(const float* x, const Shape& input, const float* w, const Shape& weight, float* y, const Shape& output,
            const ConvOptions& options = {}, const float* bias = nullptr);

}  // namespace nhwc
