// csrc/plan/conv_slabs.cpp -- half types: a box of outputs at a time is a convolution in float32; pure
#include "plan/conv_slabs.h"

#include <algorithm>
#include <numeric>

#include "base/divide.h"

namespace nhwc {
namespace {

/// The first input of a slab is a multiple of this, so that all slabs have the same residues under a stride.
int64_t input_unit(const ConvProblem& q, int a) { return q.stride[a] / std::gcd(q.stride[a], q.in_dilation[a]); }

/// Inputs that n outputs of an axis read, at most.
int64_t inputs_of(const ConvProblem& q, int a, int64_t n) {
  if (q.kernel[a] == 1 && q.in_dilation[a] == 1) return std::min(n, q.in[a]);
  const int64_t span = (n - 1) * q.stride[a] + (q.kernel[a] - 1) * q.dilation[a] + 1;
  return std::clamp<int64_t>(ceil_div(span, q.in_dilation[a]) + input_unit(q, a) - 1, 1, q.in[a]);
}

}  // namespace

int64_t slab_unit(const ConvProblem& q, int a) { return q.in_dilation[a] / std::gcd(q.stride[a], q.in_dilation[a]); }

int64_t slab_inputs(const ConvProblem& q, const SlabCut& cut) {
  int64_t n = cut.images * q.groups * q.c;
  for (int a = 0; a < 3; ++a) n *= inputs_of(q, a, cut.out[a]);
  return n;
}

int64_t slab_outputs(const ConvProblem& q, const SlabCut& cut) {
  return cut.images * cut.out[0] * cut.out[1] * cut.out[2] * q.groups * q.o;
}

double widened_inputs(const ConvProblem& q, const SlabCut& cut) {
  double n = static_cast<double>(q.batch * q.groups * q.c);
  for (int a = 0; a < 3; ++a)
    n *= static_cast<double>(
        std::min(ceil_div(q.out[a], cut.out[a]) * inputs_of(q, a, cut.out[a]), q.kernel[a] * q.out[a]));
  return n;
}

SlabCut cut_slabs(const ConvProblem& q, const SlabLimits& limits) {
  SlabCut cut;
  cut.images = 1;
  for (int a = 0; a < 3; ++a) cut.out[a] = std::max<int64_t>(q.out[a], 1);
  const auto bytes = [&](const SlabCut& c) { return 4 * (slab_inputs(q, c) + slab_outputs(q, c)); };
  const double all = widened_inputs(q, cut);
  while (bytes(cut) > limits.bytes) {
    // Halved along the axis where the fewest inputs are widened twice; rows only where nothing else is left.
    SlabCut best;
    for (int a = 0; a < 3 && (a < 2 || best.images == 0); ++a) {
      const int64_t n = std::max(limits.unit[a], round_up(ceil_div(cut.out[a], 2), limits.unit[a]));
      if (n >= cut.out[a]) continue;
      SlabCut next = cut;
      next.out[a] = n;
      if (best.images == 0 || widened_inputs(q, next) < widened_inputs(q, best)) best = next;
    }
    if (best.images == 0 || (bytes(cut) <= limits.most && widened_inputs(q, best) > 1.5 * all)) break;
    cut = best;
  }
  for (int a = 0; a < 3; ++a)
    if (cut.out[a] < q.out[a])
      cut.out[a] = round_up(ceil_div(q.out[a], ceil_div(q.out[a], cut.out[a])), limits.unit[a]);
  if (std::equal(cut.out, cut.out + 3, q.out)) {
    const int64_t fit =
        std::clamp<int64_t>(limits.bytes / std::max<int64_t>(bytes(cut), 1), 1, std::max<int64_t>(q.batch, 1));
    cut.images = ceil_div(q.batch, ceil_div(q.batch, fit));
  }
  return cut;
}

SlabAxis slab_axis(const ConvProblem& q, int a, int64_t begin, int64_t outputs) {
  const int64_t low = begin * q.stride[a] - q.pad[a];
  if (q.kernel[a] == 1 && q.in_dilation[a] == 1) {
    const int64_t s = q.stride[a], first = std::clamp<int64_t>(ceil_div(-low, s), 0, outputs);
    const int64_t last = std::clamp<int64_t>(ceil_div(q.in[a] - low, s), first, outputs);
    if (first == last) return {0, 1, 1, 1, outputs};
    return {low + first * s, last - first, s, 1, first};
  }
  const int64_t high = low + (outputs - 1) * q.stride[a] + (q.kernel[a] - 1) * q.dilation[a];
  const int64_t unit = input_unit(q, a);
  const int64_t first = std::clamp<int64_t>(ceil_div(low, q.in_dilation[a]), 0, q.in[a] - 1) / unit * unit;
  const int64_t last = std::clamp<int64_t>(ceil_div(high + 1, q.in_dilation[a]), first + 1, q.in[a]);
  return {first, last - first, 1, q.stride[a], first * q.in_dilation[a] - low};
}

ConvProblem slab_problem(const ConvProblem& q, const SlabCut& slab, const int64_t (&begin)[3], SlabAxis (&axes)[3]) {
  ConvProblem part = q;
  part.dtype = Dtype::float32;
  part.batch = slab.images;
  for (int a = 0; a < 3; ++a) {
    axes[a] = slab_axis(q, a, begin[a], slab.out[a]);
    part.in[a] = axes[a].count;
    part.out[a] = slab.out[a];
    part.stride[a] = axes[a].stride;
    part.pad[a] = axes[a].pad;
  }
  return part;
}

}  // namespace nhwc
