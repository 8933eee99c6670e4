// csrc/backend/views.cpp -- results that share their input's storage, and loops over strides; the same on every device
#include "backend/views.h"

namespace nhwc {
namespace {

bool alias(Node& n, const Node& x) {
  share_storage(n, x, x.strides, x.offset);
  return true;
}

/// Strides that give `x`'s elements in row-major order the shape `to`, where a view can.
bool reshaped_strides(const Node& x, const Shape& to, Strides& strides) {
  strides = Strides(to.size(), 0);
  const Loop l = collapse(x.shape, {&x.strides});
  int a = l.ndim() - 1;
  int64_t left = l.shape[static_cast<size_t>(a)], step = l.strides[0][static_cast<size_t>(a)];
  for (size_t i = to.size(); i-- > 0;) {
    if (left == 1 && a > 0 && to[i] != 1) {
      --a;
      left = l.shape[static_cast<size_t>(a)];
      step = l.strides[0][static_cast<size_t>(a)];
    }
    if (left % to[i] != 0) return false;  // an axis of the result would span two runs
    strides[i] = step;
    step *= to[i];
    left /= to[i];
  }
  return true;
}

}  // namespace

Loop collapse(const Shape& shape, std::initializer_list<const Strides*> strides) {
  Loop l;
  l.operands = static_cast<int>(strides.size());
  const Strides* const* s = strides.begin();
  for (size_t a = 0; a < shape.size(); ++a) {
    if (shape[a] == 1) continue;
    bool merge = !l.shape.empty();
    for (int o = 0; merge && o < l.operands; ++o) merge = l.strides[o].back() == (*s[o])[a] * shape[a];
    if (merge) {
      l.shape.back() *= shape[a];
      for (int o = 0; o < l.operands; ++o) l.strides[o].back() = (*s[o])[a];
    } else {
      l.shape.push_back(shape[a]);
      for (int o = 0; o < l.operands; ++o) l.strides[o].push_back((*s[o])[a]);
    }
  }
  if (l.shape.empty()) {
    l.shape.push_back(1);
    for (int o = 0; o < l.operands; ++o) l.strides[o].push_back(1);
  }
  return l;
}

Shape without_axis(const Dims& d, int axis) {
  Dims r = d;
  r.erase(static_cast<size_t>(axis));
  return r;
}

Strides slice_strides(const Strides& strides, size_t item, const Dims& start, const Dims& step, int64_t& offset) {
  Strides s = strides;
  int64_t first = 0;
  for (size_t a = 0; a < s.size(); ++a) {
    first += start[a] * strides[a];
    s[a] *= step[a];
  }
  offset += first * static_cast<int64_t>(item);
  return s;
}

bool make_view(const Reshape&, Node& n) {
  const Node& x = *n.inputs[0].node();
  Strides strides;
  if (x.row_major || size_of(n.shape) == 0)
    share_storage(n, x, contiguous_strides(n.shape), x.offset);
  else if (reshaped_strides(x, n.shape, strides))
    share_storage(n, x, std::move(strides), x.offset);
  else
    return false;
  return true;
}

bool make_view(const Transpose& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  Strides strides(p.perm.size(), 0);
  for (size_t i = 0; i < p.perm.size(); ++i) strides[i] = x.strides[static_cast<size_t>(p.perm[i])];
  share_storage(n, x, std::move(strides), x.offset);
  return true;
}

bool make_view(const Broadcast&, Node& n) {
  const Node& x = *n.inputs[0].node();
  Strides strides(n.shape.size(), 0);
  const size_t lead = n.shape.size() - x.shape.size();
  for (size_t a = 0; a < x.shape.size(); ++a) strides[lead + a] = x.shape[a] == 1 ? 0 : x.strides[a];
  share_storage(n, x, std::move(strides), x.offset);
  return true;
}

bool make_view(const Slice& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  if (size_of(n.shape) == 0) {  // no element: the first may lie outside
    share_storage(n, x, contiguous_strides(n.shape), x.offset);
    return true;
  }
  int64_t offset = x.offset;
  Strides strides = slice_strides(x.strides, size_of(x.dtype), p.start, p.step, offset);
  share_storage(n, x, std::move(strides), offset);
  return true;
}

bool make_view(const Identity& p, Node& n) {
  const Node& x = *n.inputs[0].node();
  return (p.kind != IdentityKind::contiguous || x.row_major) && alias(n, x);
}

bool make_view(const CustomOutput& p, Node& n) { return alias(n, *n.inputs[static_cast<size_t>(p.index)].node()); }

}  // namespace nhwc
