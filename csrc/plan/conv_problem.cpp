// csrc/plan/conv_problem.cpp -- the three kinds of a convolution as one problem
#include "plan/conv_problem.h"

#include <algorithm>
#include <array>

namespace nhwc {
namespace {

void copy(const int64_t (&from)[3], int64_t (&to)[3]) {
  for (int a = 0; a < 3; ++a) to[a] = from[a];
}

/// gx[i] sums over p * stride = i * in_dilation + k' * dilation - pad', with k' the reversed tap: a convolution of gy
/// whose stride and input dilation are exchanged.
void make_input_grad(const ConvGeometry& g, ConvProblem& q) {
  q.c = g.out_channels / g.groups;
  q.o = g.in_channels / g.groups;
  copy(g.out, q.in);
  copy(g.in, q.out);
  copy(g.in_dilation, q.stride);
  copy(g.stride, q.in_dilation);
  for (int a = 0; a < 3; ++a) q.pad[a] = g.dilation[a] * (g.kernel[a] - 1) - g.pad[a];
  q.flip = !g.flip;
  q.swapped = true;
}

/// Whether outputs [0, in * kernel) along an axis read the inputs one after another, through each tap in turn.
bool one_tap_each(const ConvProblem& q, int a) {
  return q.in[a] > 0 && q.stride[a] == 1 && q.out[a] == q.in[a] * q.kernel[a] && q.pad[a] == q.kernel[a] - 1 &&
         (q.dilation[a] == 1 || q.kernel[a] == 1) && (q.in[a] == 1 || q.in_dilation[a] == q.kernel[a]);
}

/// Odd numbers without a pattern (splitmix64): one for the flags and one per size.
constexpr auto kKeys = [] {
  std::array<uint64_t, 27> keys{};
  uint64_t state = 0;
  for (uint64_t& k : keys) {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    k = (z ^ z >> 31) | 1;
  }
  return keys;
}();

}  // namespace

void fold_outputs(ConvProblem& q) {
  if (q.form != ConvProblem::Form::forward || q.groups != 1 || (q.swapped && !q.flip)) return;
  for (int a = 2; a >= 0 && one_tap_each(q, a); --a) {
    q.o *= q.kernel[a];
    q.fold *= q.kernel[a];
    q.out[a] = q.in[a];
    q.kernel[a] = q.dilation[a] = q.in_dilation[a] = 1;
    q.pad[a] = 0;
    if (q.in[a] > 1) return;
  }
}

ConvProblem merge_groups(const ConvProblem& q, int64_t most) {
  ConvProblem units = q;
  int64_t merged = q.groups > 1 ? std::max<int64_t>(1, most / std::max<int64_t>({q.c, q.o, 1})) : 1;
  while (q.groups % merged != 0) --merged;
  units.groups /= merged;
  units.c *= merged;
  units.o *= merged;
  return units;
}

ConvProblem normalize(const ConvGeometry& g, ConvKind kind, Dtype dtype) {
  ConvProblem q;
  q.form = kind == ConvKind::weight_grad ? ConvProblem::Form::weight_grad : ConvProblem::Form::forward;
  q.dtype = dtype;
  q.batch = g.batch;
  q.groups = g.groups;
  q.c = g.in_channels / g.groups;
  q.o = g.out_channels / g.groups;
  copy(g.in, q.in);
  copy(g.out, q.out);
  copy(g.kernel, q.kernel);
  copy(g.stride, q.stride);
  copy(g.dilation, q.dilation);
  copy(g.in_dilation, q.in_dilation);
  copy(g.pad, q.pad);
  q.flip = g.flip;
  q.highest_precision = g.highest_precision;
  if (kind == ConvKind::input_grad) make_input_grad(g, q);
  fold_outputs(q);
  return q;
}

// A sum of products with keys, of which no one waits for another: the hash is taken for every convolution.
uint64_t hash_value(const ConvProblem& q) {
  uint64_t h = static_cast<uint64_t>(q.form) | static_cast<uint64_t>(q.dtype) << 8 |
               static_cast<uint64_t>(q.activation) << 16 | uint64_t(q.flip) << 24 | uint64_t(q.swapped) << 25 |
               uint64_t(q.has_bias) << 26 | uint64_t(q.highest_precision) << 27;
  h *= kKeys[0];
  const uint64_t* key = kKeys.data();
  const auto add = [&](int64_t v) { h += static_cast<uint64_t>(v) * *++key; };
  const auto add_axes = [&](const int64_t (&v)[3]) { add(v[0]), add(v[1]), add(v[2]); };
  add(q.batch), add(q.groups), add(q.c), add(q.o);
  add_axes(q.in), add_axes(q.out), add_axes(q.kernel), add_axes(q.stride);
  add_axes(q.dilation), add_axes(q.in_dilation), add_axes(q.pad), add(q.fold);
  h = (h ^ h >> 32) * 0xff51afd7ed558ccdu;
  return h ^ h >> 32;
}

}  // namespace nhwc
