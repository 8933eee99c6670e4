// csrc/plan/conv_axis.cpp -- one spatial axis of a convolution split by phase
#include "plan/conv_axis.h"

#include <algorithm>
#include <numeric>

namespace nhwc {
namespace {

int64_t positive_mod(int64_t a, int64_t m) { return ((a % m) + m) % m; }

/// The x in [0, m) with a * x = 1 (mod m); a and m have no common divisor.
int64_t inverse_mod(int64_t a, int64_t m) {
  int64_t r0 = m, r1 = positive_mod(a, m), t0 = 0, t1 = 1;
  while (r1 > 0) {
    const int64_t q = r0 / r1;
    r0 = std::exchange(r1, r0 - q * r1);
    t0 = std::exchange(t1, t0 - q * t1);
  }
  return positive_mod(t0, m);
}

}  // namespace

AxisPhases::AxisPhases(const ConvProblem& q, int axis) : out_(q.out[axis]) {
  const int64_t s = q.stride[axis], d = q.in_dilation[axis], dil = q.dilation[axis];
  if (d == 1) {  // one phase with every tap, as nearly all problems have it
    step = s;
    begin_.push_back(0);
    if (out_ <= 0) return;
    for (int64_t k = 0; k < q.kernel[axis]; ++k) taps_.push_back({k, k * dil - q.pad[axis]});
    begin_.push_back(q.kernel[axis]);
    return;
  }
  const int64_t g = std::gcd(s, d);
  period = d / g;
  step = s / g;
  const int64_t n = std::max<int64_t>(std::min(period, out_), 0), inverse = inverse_mod(step, period);
  // p = r + period * j reads tap k where p * s + k * dil - pad divides by d: one residue r at most per tap.
  ScratchVec<AxisTap, 8> found;
  ScratchVec<int64_t, 8> residue;
  begin_.resize(static_cast<size_t>(n + 1));
  for (int64_t k = 0; k < q.kernel[axis]; ++k) {
    const int64_t want = q.pad[axis] - k * dil;
    if (want % g != 0) continue;
    const int64_t r = static_cast<int64_t>(static_cast<__int128>(positive_mod(want / g, period)) * inverse % period);
    if (r >= n) continue;
    found.push_back({k, (r * s - want) / d});
    residue.push_back(r);
    ++begin_[r + 1];
  }
  for (int64_t r = 0; r < n; ++r) begin_[r + 1] += begin_[r];
  taps_.resize(found.size());
  ScratchVec<int64_t, 5> next;
  next.append(begin_.begin(), begin_.end());
  for (size_t i = 0; i < found.size(); ++i) taps_[next[residue[i]]++] = found[i];
}

}  // namespace nhwc
