// csrc/kernels/conv.cpp -- runs a planned convolution on plain memory: packs what is not packed, then the loop nest
#include "kernels/conv.h"

#include <algorithm>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_fft.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

/// Nothing is summed: every output is activation(bias).
template <class S>
void fill_outputs(const ConvPlan& plan, const ConvOperands& a) {
  using T = Compute<S>;
  const ConvProblem& q = plan.problem;
  const ConvKernels& k = table_for(plan.isa).conv;
  const int64_t channels = q.groups * q.o, pixels = q.batch * q.out[0] * q.out[1] * q.out[2];
  if (channels == 0 || pixels == 0) return;
  const Scratch scratch(static_cast<size_t>(channels) * (sizeof(T) + sizeof(S)) + kAlignment);
  T* row = scratch.as<T>();
  S* stored = reinterpret_cast<S*>(row + channels);
  std::fill(row, row + channels, T(0));
  if (q.has_bias) widen_bias(k, q, static_cast<const S*>(a.bias), row);
  const Epilogue<T> epilogue(q.activation, a.residual_from_y, false);
  const bool alike = a.residual_from_y == 0;  // all pixels
  if (alike) epilogue.finish(float_kernels<T>(k), row, channels);
  narrow(k, row, stored, channels);
  const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 16) / channels);
  parallel_for(pixels, grain, [&](int64_t begin, int64_t end) {
    for (S* y = static_cast<S*>(a.y) + begin * channels; begin < end; ++begin, y += channels) {
      std::memcpy(y, stored, static_cast<size_t>(channels) * sizeof(S));
      if constexpr (std::is_same_v<S, T>)
        if (!alike) epilogue.finish(float_kernels<T>(k), y, channels);
    }
  });
}

/// Packs as many panels at a time as plan.pack_bytes hold, one at least; evenly.
void run_unpacked(const ConvPlan& plan, const ConvOperands& a) {
  const PackedLayout layout(plan);
  const size_t element = packed_element_bytes(plan), panel = static_cast<size_t>(layout.full_elems) * element;
  // These walk all their panels in one go, which are small.
  const bool whole = plan.algorithm == ConvAlgorithm::grouped || plan.algorithm == ConvAlgorithm::depthwise ||
                     plan.algorithm == ConvAlgorithm::col2im || plan.algorithm == ConvAlgorithm::planar;
  const int64_t fit = std::clamp<int64_t>(static_cast<int64_t>(plan.pack_bytes / panel), 1, layout.panels());
  const int64_t passes = whole ? 1 : (layout.panels() + fit - 1) / fit;
  const int64_t at_once = (layout.panels() + passes - 1) / passes;
  const Scratch scratch(std::min(static_cast<size_t>(at_once) * panel, static_cast<size_t>(layout.elems()) * element));
  for (int64_t begin = 0; begin < layout.panels(); begin += at_once) {
    const int64_t end = std::min(begin + at_once, layout.panels());
    visit_float(plan.problem.dtype,
                [&]<class S>() { pack_panels(plan, static_cast<const S*>(a.w), begin, end, scratch.as<void>()); });
    run_forward(plan, a, scratch.as<void>(), begin, end);
  }
}

}  // namespace

void run_conv(const ConvPlan& plan, const ConvOperands& a) {
  NHWC_CHECK(plan.problem.form == ConvProblem::Form::forward, "run_conv got a weight gradient");
  if (plan.algorithm == ConvAlgorithm::empty)
    visit_float(plan.problem.dtype, [&]<class S>() { fill_outputs<S>(plan, a); });
  else if (plan.algorithm == ConvAlgorithm::fft)
    run_fft(plan, a);
  else if (a.packed)
    run_forward(plan, a, a.packed, 0, PackedLayout(plan).panels());
  else
    run_unpacked(plan, a);
}

}  // namespace nhwc
