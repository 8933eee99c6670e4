// csrc/plan/conv_slabs.h -- half types: a box of outputs at a time is a convolution in float32; pure
// The inputs that the outputs of a slab read are widened into scratch that stays in L2, any float32 algorithm runs on
// them, and its outputs are narrowed. One plan holds for all slabs; the last ones of an axis may be smaller.
#pragma once

#include "plan/conv_problem.h"

namespace nhwc {

/// Outputs of a slab, of so many images at most; none: the plan has no slabs.
struct SlabCut {
  int64_t images = 0, out[3] = {};
};

/// How slabs are chosen: where along each axis they may begin, at multiples of unit; their bytes; and the bytes up to
/// which larger ones are taken if smaller ones would widen most inputs several times.
struct SlabLimits {
  int64_t unit[3] = {1, 1, 1}, bytes = 0, most = 0;
};
SlabCut cut_slabs(const ConvProblem& q, const SlabLimits& limits);

/// Where outputs may begin so that all slabs have the same phases.
int64_t slab_unit(const ConvProblem& q, int axis);

/// The inputs of a slab along an axis: `count` of them from `first` on, `step` apart. A pixel of a kernel of one tap is
/// taken where it is read alone: then the slab has no stride.
struct SlabAxis {
  int64_t first, count, step, stride, pad;
};
SlabAxis slab_axis(const ConvProblem& q, int axis, int64_t begin, int64_t outputs);

/// The problem of the slab whose first output is at `begin`, in float32; its axes.
ConvProblem slab_problem(const ConvProblem& q, const SlabCut& slab, const int64_t (&begin)[3], SlabAxis (&axes)[3]);

/// Values that a slab holds: inputs, and outputs.
int64_t slab_inputs(const ConvProblem& q, const SlabCut& cut);
int64_t slab_outputs(const ConvProblem& q, const SlabCut& cut);
/// The same of all slabs together.
double widened_inputs(const ConvProblem& q, const SlabCut& cut);

}  // namespace nhwc
