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

/// Packs as many panels at a time as plan.pack_bytes hold, one at least; evenly.
void run_unpacked(const CpuPlan& plan, const ConvOperands& a) {
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
    visit_float(a.weights_dtype.value_or(plan.problem.dtype),
                [&]<class S>() { pack_panels(plan, static_cast<const S*>(a.w), begin, end, scratch.as<void>()); });
    run_forward(plan, a, scratch.as<void>(), begin, end);
  }
}

}  // namespace

void run_conv(const CpuPlan& plan, const ConvOperands& a) {
  NHWC_CHECK(plan.problem.form == ConvProblem::Form::forward, "run_conv got a weight gradient");
  if (plan.algorithm == ConvAlgorithm::empty)
    fill_outputs(plan, a);
  else if (plan.algorithm == ConvAlgorithm::fft)
    plan.slabs.images ? run_slabs(plan, a, a.packed, 0, 0) : run_fft(plan, a);
  else if (a.packed)
    run_forward(plan, a, a.packed, 0, PackedLayout(plan).panels());
  else
    run_unpacked(plan, a);
}

}  // namespace nhwc
