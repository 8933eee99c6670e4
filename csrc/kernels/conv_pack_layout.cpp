// csrc/kernels/conv_pack_layout.cpp -- how large packed weights are, and which are the same
#include "base/divide.h"
#include "base/half.h"
#include "kernels/conv.h"
#include "kernels/conv_fft.h"
#include "kernels/conv_pack.h"

namespace nhwc {

namespace {
/// Of so many weights of an output, with what fills up pairs and steps.
int64_t values_per_output(const CpuPlan& plan, int64_t weights) {
  const ConvProblem& q = plan.problem;
  if (is_amx(plan.algorithm)) return weights / plan.amx.run * plan.amx.values() * plan.amx.parts;
  if (!is_pairs(plan.algorithm)) return weights;
  const int64_t run = is_merged(plan.algorithm) ? q.kernel[2] * q.c : q.c;
  return weights / run * round_up(run, 2);
}
}  // namespace

int64_t terms_tap_elems(const CpuPlan& plan) {
  return ceil_div(plan.problem.c, int64_t(kTerms)) * kTermsVectors * plan.lanes;
}

PackedLayout::PackedLayout(const CpuPlan& plan) {
  const ConvProblem q = packed_problem(plan);
  const int64_t lanes = plan.lanes;
  const int64_t taps = is_winograd(plan.algorithm)
                           ? plan.winograd.phases() * plan.winograd.frequencies() * plan.winograd.summed_taps(q)
                           : taps_of(q);
  if (plan.algorithm == ConvAlgorithm::depthwise) {
    nr = last = round_up(q.groups, lanes);
    full_elems = group_elems = taps * nr;
  } else if (plan.algorithm == ConvAlgorithm::grouped || plan.algorithm == ConvAlgorithm::diagonal) {
    const bool grouped = plan.algorithm == ConvAlgorithm::grouped;
    q_groups = 1;
    per_group = grouped ? ceil_div(q.groups * q.o, lanes) : ceil_div(q.groups, panel_groups(plan));
    nr = last = lanes;
    full_elems = ((grouped ? 1 + q.c : 0) + taps * q.c) * lanes;
    group_elems = per_group * full_elems;
  } else if (has_terms(plan)) {
    q_groups = q.groups;
    nr = last = 2 * lanes;
    full_elems = group_elems = taps * terms_tap_elems(plan);
  } else if (dot_segments(plan) > 0) {
    nr = last = q.groups * q.o;
    full_elems = group_elems =
        (nr + 2 * dot_segments(plan) - 1) / (2 * dot_segments(plan)) * taps * dot_segments_tap_elems(q.c, plan.lanes);
  } else if (plan.algorithm == ConvAlgorithm::dot) {
    q_groups = q.groups;
    nr = plan.nr;
    per_group = (q.o + nr - 1) / nr;
    last = q.o - (per_group - 1) * nr;
    full_elems = taps * dot_tap_elems(dot_form(plan), q.c, plan.lanes);
    group_elems = per_group * full_elems;
  } else if (plan.algorithm == ConvAlgorithm::planar && is_interleaved(q)) {
    q_groups = q.groups / plan.planar.groups;
    per_group = 1;
    nr = last = plan.planar.weight_step;
    full_elems = group_elems = taps * nr;
  } else if (plan.algorithm == ConvAlgorithm::planar) {
    q_groups = q.groups;
    nr = plan.nr;
    per_group = (q.o + nr - 1) / nr;
    last = q.o - (per_group - 1) * nr;
    full_elems = taps * q.c * nr;
    group_elems = taps * q.c * q.o;
  } else {
    const ConvProblem units = is_winograd(plan.algorithm) ? winograd_units(q, plan.lanes)
                              : is_amx(plan.algorithm)    ? amx_units(q)
                                                          : q;
    q_groups = units.groups;
    nr = is_winograd(plan.algorithm) ? 2 * lanes : plan.nr;
    per_group = (units.o + nr - 1) / nr;
    last = round_up(units.o - (per_group - 1) * nr, lanes);
    const int64_t terms = is_winograd(plan.algorithm) ? winograd_terms(q, plan.lanes) : 1;
    const int64_t sums = values_per_output(plan, taps * units.c) / terms;
    full_elems = sums * nr;
    group_elems = sums * ((per_group - 1) * nr + last);
  }
}

size_t packed_element_bytes(const CpuPlan& plan) {
  if (is_pairs(plan.algorithm) || is_amx(plan.algorithm)) return sizeof(BFloat16);
  return plan.problem.dtype == Dtype::float64 ? 8 : 4;
}

size_t packed_weight_bytes(const CpuPlan& plan) {
  if (plan.algorithm == ConvAlgorithm::empty) return 0;
  if (plan.algorithm == ConvAlgorithm::fft) return fft_weight_bytes(plan);
  return static_cast<size_t>(PackedLayout(plan).elems()) * packed_element_bytes(plan);
}

void packed_weight_key(const CpuPlan& plan, uint64_t key[3]) {
  const ConvProblem q = packed_problem(plan);
  ConvAlgorithm format = plan.algorithm;
  if (format == ConvAlgorithm::merged || format == ConvAlgorithm::col2im) format = ConvAlgorithm::direct;
  key[0] = static_cast<uint64_t>(format) | static_cast<uint64_t>(q.dtype) << 8 | uint64_t(q.flip) << 16 |
           uint64_t(q.swapped) << 17 | static_cast<uint64_t>(plan.nr) << 48 | static_cast<uint64_t>(plan.lanes) << 24 |
           static_cast<uint64_t>(plan.dot_form + 1) << 32 | static_cast<uint64_t>(dot_segments(plan)) << 36 |
           uint64_t(1) << 40 | uint64_t(plan.amx.merged) << 46 | static_cast<uint64_t>(has_terms(plan)) << 61 |
           static_cast<uint64_t>(plan.winograd.axes) << 41 | static_cast<uint64_t>(plan.winograd.slide + 1) << 43;
  ConvProblem sizes;
  sizes.groups = q.groups;
  sizes.c = q.c;
  sizes.o = q.o;
  sizes.fold = q.fold;
  for (int a = 0; a < 3; ++a) sizes.kernel[a] = q.kernel[a];
  if (is_winograd(plan.algorithm))  // which taps meet in a phase
    for (int a = 0; a < 3; ++a) {
      sizes.in_dilation[a] = q.in_dilation[a];
      sizes.stride[a] = plan.winograd.axis[a].parts;
      sizes.dilation[a] = plan.winograd.axis[a].part_taps;
      sizes.out[a] = plan.winograd.axis[a].phases;
      sizes.pad[a] = (q.pad[a] % q.in_dilation[a] + q.in_dilation[a]) % q.in_dilation[a];
    }
  key[1] = hash_value(sizes);
  key[2] = static_cast<uint64_t>(q.groups) * 0x9e3779b97f4a7c15u ^ static_cast<uint64_t>(q.o) << 32 ^
           static_cast<uint64_t>(q.c) ^ static_cast<uint64_t>(plan.block[0] << 20 | plan.block[1]);
}

}  // namespace nhwc
