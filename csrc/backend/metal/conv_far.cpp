// csrc/backend/metal/conv_far.cpp -- convolutions whose positions along an axis need more than 32 bits, in parts; pure
#include "backend/metal/conv_far.h"

#include <algorithm>
#include <cmath>

#include "nhwc/error.h"

namespace nhwc::metal {
namespace {

constexpr double kFar = int64_t(1) << 30;  // sums of two positions fit 32 bits

double far(int64_t steps, int64_t size) { return static_cast<double>(steps) * static_cast<double>(size); }

double reach_along(const ConvProblem& q, int a) {
  return std::max({far(q.out[a], q.stride[a]), far(q.kernel[a], q.dilation[a]), far(q.in[a], q.in_dilation[a]),
                   std::abs(static_cast<double>(q.pad[a]))});
}

}  // namespace

ConvProblem narrowed(ConvProblem q) {
  for (int a = 0; a < 3; ++a) {
    if (q.out[a] == 1) q.stride[a] = 1;
    if (q.kernel[a] == 1) q.dilation[a] = 1;
  }
  return q;
}

int far_axis(const ConvProblem& q) {
  int a = 0;
  while (a < 3 && reach_along(q, a) <= kFar) ++a;
  return a;
}

AxisPart part_along(const ConvProblem& q, int axis, int64_t begin, int64_t count) {
  const int64_t first = begin * q.stride[axis] - q.pad[axis];
  const int64_t last = first + (count - 1) * q.stride[axis] + (q.kernel[axis] - 1) * q.dilation[axis];
  AxisPart part{q, std::clamp<int64_t>(first, 0, q.in[axis])};
  part.q.out[axis] = count;
  part.q.in[axis] = std::clamp<int64_t>(last + 1, part.from, q.in[axis]) - part.from;
  part.q.pad[axis] = part.q.in[axis] == 0 ? 0 : part.from - first;
  part.q = narrowed(part.q);
  return part;
}

int64_t outputs_of_part(const ConvProblem& q, int axis) {
  bool helps = q.form == ConvProblem::Form::forward && q.in_dilation[axis] == 1 && q.fold == 1 &&
               far(q.kernel[axis], q.dilation[axis]) <= kFar / 2;
  for (int a = 0; a < axis; ++a) helps &= q.out[a] == 1;
  if (!helps)
    raise<ValueError>("[conv] positions along spatial axis ", axis, " of 3 reach ", reach_along(q, axis),
                      ", beyond the ", kFar, " that the GPU's kernels count; use stream=nhwc.cpu");
  return std::max<int64_t>(1, static_cast<int64_t>(kFar / 2) / q.stride[axis]);
}

}  // namespace nhwc::metal
