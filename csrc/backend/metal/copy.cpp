// csrc/backend/metal/copy.cpp -- elements moved between strided arrays on the GPU
#include "backend/metal/copy.h"

#include <algorithm>

#include "backend/metal/axes.h"
#include "backend/metal/run.h"
#include "params/copy.h"

namespace nhwc::metal {
namespace {

const char* type_of(size_t item) { return item == 1 ? "u8" : item == 2 ? "u16" : item == 4 ? "u32" : "u64"; }
std::string kernel_of(size_t item) { return std::string("copy_") + type_of(item); }

/// The axis of operand 0 that is adjacent where the last one is not, and both are long enough for tiles; -1: none is.
int turned_axis(const Layout& l) {
  constexpr int64_t kShort = 8;  // shorter ones leave most of a tile empty
  const ElementwiseParams& p = l.params;
  const int last = p.ndim - 1;
  if (last < 1 || p.strides[0][last] == 1 || p.shape[last] < kShort) return -1;
  for (int a = 0; a < last; ++a)
    if (p.strides[0][a] == 1 && p.shape[a] >= kShort) return a;
  return -1;
}

/// The operand, row-major, into `out` by tiles of its axis `turned` and the last. False where they are too many for a
/// grid.
bool transpose(const Node& x, const Layout& l, int turned, void* out, size_t out_bytes, size_t item) {
  const ElementwiseParams& of = l.params;
  TransposeParams p{};
  p.first = of.first[0];
  p.rows = of.shape[turned];
  p.columns = of.shape[of.ndim - 1];
  p.column_step = of.strides[0][of.ndim - 1];
  int64_t step = of.size, others = 1;
  for (int a = 0; a < of.ndim - 1; ++a) {
    step /= of.shape[a];
    if (a == turned) {
      p.row_step = step;
    } else {
      p.axes[p.axes_count++] = {of.shape[a], {of.strides[0][a], step}};
      others *= of.shape[a];
    }
  }
  if (p.axes_count == 0) p.axes[p.axes_count++] = {1, {0, 0}};
  constexpr int64_t kMost = 1 << 16;  // groups along an axis of the grid whose threads fit 32 bits for certain
  const int64_t rows = groups_of(p.rows, kCopyTile), columns = groups_of(p.columns, kCopyTile);
  if (std::max({rows, columns, others}) > kMost) return false;
  Launch("copy", std::string("transpose_") + type_of(item))
      .in(x)
      .out(out, out_bytes)
      .params(p)
      .run(static_cast<uint32_t>(columns), static_cast<uint32_t>(rows), static_cast<uint32_t>(others), kCopyThreads);
  return true;
}

}  // namespace

void copy_strided(void* dst, size_t dst_bytes, const Lying& to, const void* src, size_t src_bytes, const Lying& from,
                  const Shape& shape, size_t item) {
  lay_out(shape, {from, to}, [&](const Layout& l, int64_t) {
    Launch launch("copy", kernel_of(item));
    launch.constant(0, l.wide).constant(1, false);
    launch.in(src, src_bytes).out(dst, dst_bytes).params(l.params);
    run_elements(launch, l.params.size, item);
  });
}

void copy_row_major(void* dst, const Node& x) {
  const size_t item = size_of(x.dtype);
  lay_out(x.shape, {lying(x)}, [&](const Layout& l, int64_t done) {
    void* const out = static_cast<char*>(dst) + static_cast<size_t>(done) * item;
    const size_t bytes = static_cast<size_t>(l.params.size) * item;
    if (const int turned = turned_axis(l); turned >= 0 && transpose(x, l, turned, out, bytes, item)) return;
    Launch launch("copy", kernel_of(item));
    launch.constant(0, l.wide).constant(1, true);
    launch.in(x).out(out, bytes).params(l.params);
    run_elements(launch, l.params.size, item);
  });
}

}  // namespace nhwc::metal
