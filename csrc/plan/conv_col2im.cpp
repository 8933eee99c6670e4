// csrc/plan/conv_col2im.cpp -- the geometry of products that are gathered by outputs
#include "plan/conv_col2im.h"

#include <algorithm>

#include "base/divide.h"

namespace nhwc {
namespace {

constexpr int64_t kEnoughTasks = 16;

}  // namespace

ConvProblem col2im_units(const ConvProblem& q) {
  ConvProblem units = q;
  for (int a = 1; a < 3; ++a) {
    units.fold *= q.kernel[a];
    units.kernel[a] = 1;
  }
  units.o *= units.fold;
  return units;
}

Col2imGeometry::Col2imGeometry(const ConvProblem& q, int lanes) {
  const int64_t d = q.in_dilation[2];
  columns = round_up(col2im_units(q).o, lanes);
  overlap = ceil_div(q.kernel[2], d);
  const int64_t first = q.kernel[2] - 1 - q.pad[2];  // the first output, counted as chunks are
  first_chunk = floor_div(first, d);
  before = first - first_chunk * d;
  chunks = ceil_div(before + q.out[2], d);
  rows = (q.kernel[1] - 1) * q.dilation[1] / q.in_dilation[1] + 1;
}

Col2imCut col2im_cut(const ConvProblem& q, const Col2imGeometry& g, int mr, int64_t l1d) {
  const int64_t fit = l1d / 2 / (g.rows * g.columns * 4) - (g.overlap - 1);
  const int64_t across = ceil_div(g.chunks, std::max<int64_t>(fit, 4 * mr));
  // Input rows that neighbouring tasks both compute: at most an eighth of all, less where tasks are many anyway.
  const int64_t shared = std::max<int64_t>(1, (g.rows - 1) * q.in_dilation[1]);
  const int64_t most = ceil_div(q.out[1], 8 * shared), least = ceil_div(q.out[1], 32 * shared);
  const int64_t parts = std::clamp(kEnoughTasks / std::max<int64_t>(1, q.batch * q.out[0] * across), least, most);
  return {ceil_div(q.out[1], parts), ceil_div(g.chunks, across)};
}

}  // namespace nhwc
