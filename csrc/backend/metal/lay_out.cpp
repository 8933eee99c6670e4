// csrc/backend/metal/lay_out.cpp -- kernels over all elements of a shape: where operands lie, and how many threads go
#include "backend/metal/lay_out.h"

#include <algorithm>
#include <cstdlib>

namespace nhwc::metal {
namespace {

constexpr int64_t kNarrow = int64_t(1) << 31;  // places and numbers below it are computed in 32 bits
constexpr int64_t kGroup = 256;                // threads: several groups fit a core, whatever registers a kernel takes
constexpr int64_t kGroupsAcross = 1 << 16;     // the grid's width in threads has to fit 32 bits

bool fits(const Loop& loop) { return loop.ndim() <= kElementwiseAxes; }

Layout layout_of(const Loop& loop, const int64_t* first, int begin) {
  Layout l{};
  ElementwiseParams& p = l.params;
  p.size = 1;
  p.ndim = loop.ndim() - begin;
  l.strided = p.ndim > 1;
  for (int a = 0; a < p.ndim; ++a) p.size *= p.shape[a] = loop.shape[static_cast<size_t>(begin + a)];
  l.wide = p.size >= kNarrow;
  for (int o = 0; o < loop.operands; ++o) {
    int64_t reach = first[o];
    for (int a = 0; a < p.ndim; ++a) {
      p.strides[o][a] = loop.strides[o][static_cast<size_t>(begin + a)];
      reach += std::abs(p.strides[o][a]) * (p.shape[a] - 1);
    }
    p.first[o] = first[o];
    l.wide |= reach >= kNarrow;
    const int64_t step = p.strides[o][0];
    l.step[o] = static_cast<int>(step);
    l.strided |= first[o] != 0 || (step != 0 && step != 1);
  }
  return l;
}

}  // namespace

void lay_out(const Shape& shape, std::initializer_list<Lying> operands,
             const std::function<void(const Layout&, int64_t done)>& f) {
  if (size_of(shape) == 0) return;
  const Lying* const o = operands.begin();
  const size_t count = operands.size();
  const Loop loop = count == 1   ? collapse(shape, {&o[0].strides})
                    : count == 2 ? collapse(shape, {&o[0].strides, &o[1].strides})
                                 : collapse(shape, {&o[0].strides, &o[1].strides, &o[2].strides});
  int64_t first[kElementwiseOperands] = {};
  for (size_t i = 0; i < count; ++i) first[i] = o[i].first;
  if (fits(loop)) return f(layout_of(loop, first, 0), 0);
  // One part for each position along the leading axes.
  const int lead = loop.ndim() - kElementwiseAxes;
  int64_t parts = 1;
  for (int a = 0; a < lead; ++a) parts *= loop.shape[static_cast<size_t>(a)];
  for (int64_t part = 0; part < parts; ++part) {
    int64_t at[kElementwiseOperands], rest = part;
    std::copy(first, first + kElementwiseOperands, at);
    for (int a = lead - 1; a >= 0; --a) {
      const auto axis = static_cast<size_t>(a);
      for (size_t i = 0; i < count; ++i) at[i] += rest % loop.shape[axis] * loop.strides[i][axis];
      rest /= loop.shape[axis];
    }
    const Layout l = layout_of(loop, at, lead);
    f(l, part * l.params.size);
  }
}

void run_threads(Launch& launch, int64_t threads) {
  const int64_t groups = (threads + kGroup - 1) / kGroup, across = std::min(groups, kGroupsAcross);
  launch.run(static_cast<uint32_t>(across), static_cast<uint32_t>((groups + across - 1) / across), 1, kGroup);
}

}  // namespace nhwc::metal
