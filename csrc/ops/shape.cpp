// csrc/ops/shape.cpp -- operations that move elements without computing on them
#include <algorithm>
#include <numeric>

#include "ops/common.h"

namespace nhwc {

Array reshape(const Array& a, const Dims& shape) {
  Shape out = shape;
  int unknown = -1;
  int64_t known = 1;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == -1) {
      if (unknown >= 0) raise<ValueError>("[reshape] shape ", to_string(shape), " has more than one -1");
      unknown = static_cast<int>(i);
    } else if (out[i] < 0) {
      raise<ValueError>("[reshape] shape ", to_string(shape), " has a negative size; only -1 may stand for the rest");
    }
  }
  for (size_t i = 0; i < out.size(); ++i)
    if (static_cast<int>(i) != unknown && __builtin_mul_overflow(known, out[i], &known))
      raise<ValueError>("[reshape] shape ", to_string(shape), " has more elements than 64 bits can count");
  const int64_t n = a.size();
  if (unknown >= 0 && known > 0) out[unknown] = n / known;
  if (unknown >= 0 ? known == 0 || n % known != 0 : known != n)
    raise<ValueError>("[reshape] cannot reshape an array of ", n, " elements, shape ", to_string(a.shape()), ", into ",
                      to_string(shape));
  if (out == a.shape()) return a;
  return make_node(Reshape{}, std::move(out), a.dtype(), {a});
}

Array flatten(const Array& a, int start_axis, int end_axis) {
  if (a.ndim() == 0) {
    if (start_axis < -1 || start_axis > 0 || end_axis < -1 || end_axis > 0) normalize_axis(start_axis, 1, "flatten");
    return reshape(a, {1});
  }
  const int first = std::max(start_axis < 0 ? start_axis + a.ndim() : start_axis, 0);
  const int last = std::min(end_axis < 0 ? end_axis + a.ndim() : end_axis, a.ndim() - 1);
  if (last < first)
    raise<ValueError>("[flatten] start_axis ", start_axis, " lies behind end_axis ", end_axis, " in an array of ",
                      a.ndim(), " dimensions");
  Dims out(a.shape().begin(), a.shape().begin() + first);
  out.push_back(size_of(Shape(a.shape().begin() + first, a.shape().begin() + last + 1)));
  out.append(a.shape().begin() + last + 1, a.shape().end());
  return reshape(a, out);
}

Array unflatten(const Array& a, int axis, const Dims& shape) {
  if (shape.empty()) raise<ValueError>("[unflatten] got an empty shape; expected at least one size");
  const int ax = normalize_axis(axis, a.ndim(), "unflatten");
  const int64_t n = a.shape(ax);
  Dims inner = shape, given;
  bool valid = std::count(shape.begin(), shape.end(), -1) <= 1;
  for (int64_t d : shape) {
    valid &= d >= -1;
    if (d != -1) given.push_back(d);
  }
  const int64_t known = valid ? size_of(given) : 0;
  for (int64_t& d : inner)
    if (d == -1) d = known > 0 ? n / known : -1;
  if (!valid || size_of(inner) != n)
    raise<ValueError>("[unflatten] cannot split axis ", axis, " of size ", n, " into ", to_string(shape));
  Dims out(a.shape().begin(), a.shape().begin() + ax);
  out.append(inner.begin(), inner.end());
  out.append(a.shape().begin() + ax + 1, a.shape().end());
  return reshape(a, out);
}

Array transpose(const Array& a, const Axes& axes) {
  const int n = a.ndim();
  Dims perm;
  if (!axes) {
    for (int i = n - 1; i >= 0; --i) perm.push_back(i);
  } else {
    if (static_cast<int>(axes->size()) != n)
      raise<ValueError>("[transpose] got ", axes->size(), " axes for an array of ", n,
                        " dimensions; expected one each");
    for (int x : *axes) perm.push_back(normalize_axis(x, n, "transpose"));
  }
  Shape out;
  bool moved = false;
  std::vector<bool> seen(n);
  for (int i = 0; i < n; ++i) {
    if (seen[perm[i]]) raise<ValueError>("[transpose] axis ", perm[i], " is named twice");
    seen[perm[i]] = true;
    moved |= perm[i] != i;
    out.push_back(a.shape(static_cast<int>(perm[i])));
  }
  if (!moved) return a;
  return make_node(Transpose{perm}, std::move(out), a.dtype(), {a});
}

Array swapaxes(const Array& a, int axis1, int axis2) {
  const int x = normalize_axis(axis1, a.ndim(), "swapaxes"), y = normalize_axis(axis2, a.ndim(), "swapaxes");
  std::vector<int> order(a.ndim());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[x], order[y]);
  return transpose(a, order);
}

Array moveaxis(const Array& a, int source, int destination) {
  const int from = normalize_axis(source, a.ndim(), "moveaxis"), to = normalize_axis(destination, a.ndim(), "moveaxis");
  std::vector<int> order(a.ndim());
  std::iota(order.begin(), order.end(), 0);
  order.erase(order.begin() + from);
  order.insert(order.begin() + to, from);
  return transpose(a, order);
}

Array squeeze(const Array& a, const Axes& axes) {
  Dims out;
  std::vector<bool> gone(a.ndim());
  if (axes) {
    for (int64_t ax : resolve_axes(axes, a.ndim(), "squeeze")) {
      if (a.shape(static_cast<int>(ax)) != 1)
        raise<ValueError>("[squeeze] axis ", ax, " of shape ", to_string(a.shape()), " has size ",
                          a.shape(static_cast<int>(ax)), "; only axes of size 1 can be removed");
      gone[ax] = true;
    }
  }
  for (int i = 0; i < a.ndim(); ++i)
    if (axes ? !gone[i] : a.shape(i) != 1) out.push_back(a.shape(i));
  return reshape(a, out);
}

Array expand_dims(const Array& a, const std::vector<int>& axes) {
  const int n = a.ndim() + static_cast<int>(axes.size());
  const Dims at = resolve_axes(axes, n, "expand_dims");
  Dims out = a.shape();
  for (int64_t ax : at) out.insert(ax, 1);  // ascending, so each lands where it was asked for
  return reshape(a, out);
}

Array broadcast_to(const Array& a, const Shape& shape) {
  if (a.shape() == shape) return a;
  for (int64_t d : shape)
    if (d < 0)
      raise<ValueError>("[broadcast_to] shape ", to_string(shape), " has a negative size; sizes are 0 or more");
  bool fits = a.shape().size() <= shape.size();
  for (size_t i = 0; fits && i < a.shape().size(); ++i) {
    const int64_t have = a.shape()[a.shape().size() - 1 - i], want = shape[shape.size() - 1 - i];
    fits = have == want || have == 1;
  }
  if (!fits)
    raise<ValueError>("[broadcast_to] an array of shape ", to_string(a.shape()), " cannot be broadcast to ",
                      to_string(shape), "; aligned at the last axis, sizes must be equal or 1");
  (void)size_of(shape);  // the only operation that makes more elements out of nothing: too many are said here
  return make_node(Broadcast{}, shape, a.dtype(), {a});
}

Arrays broadcast_arrays(const Arrays& arrays) {
  Shape s;
  for (const Array& a : arrays) s = broadcast_shapes(s, a.shape(), "broadcast_arrays");
  Arrays out;
  for (const Array& a : arrays) out.push_back(broadcast_to(a, s));
  return out;
}

Array concatenate(const Arrays& arrays, int axis) {
  if (arrays.empty()) raise<ValueError>("[concatenate] got no arrays; expected at least one");
  const int ax = normalize_axis(axis, arrays[0].ndim(), "concatenate");
  const Dtype t = result_type(arrays);
  Shape out = arrays[0].shape();
  out[ax] = 0;
  NodeInputs in;
  for (const Array& a : arrays) {
    Shape rest = a.shape(), expected = arrays[0].shape();
    if (rest.size() == expected.size()) rest[ax] = expected[ax];
    if (rest != expected)
      raise<ValueError>("[concatenate] arrays of shapes ", to_string(arrays[0].shape()), " and ", to_string(a.shape()),
                        " do not fit: all sizes but that of axis ", axis, " must be equal");
    out[ax] += a.shape(ax);
    in.push_back(astype(a, t));
  }
  if (in.size() == 1) return in[0];
  return make_node(Concatenate{ax}, std::move(out), t, std::move(in));
}

Array stack(const Arrays& arrays, int axis) {
  if (arrays.empty()) raise<ValueError>("[stack] got no arrays; expected at least one");
  Arrays wide;
  const int ax = normalize_axis(axis, arrays[0].ndim() + 1, "stack");
  for (const Array& a : arrays) {
    if (a.shape() != arrays[0].shape())
      raise<ValueError>("[stack] arrays of shapes ", to_string(arrays[0].shape()), " and ", to_string(a.shape()),
                        " do not fit: all must have one shape");
    wide.push_back(expand_dims(a, {ax}));
  }
  return concatenate(wide, ax);
}

Arrays split_at(const Array& a, const Dims& indices, int axis) {
  const int ax = normalize_axis(axis, a.ndim(), "split");
  const int64_t n = a.shape(ax);
  Arrays out;
  int64_t from = 0;
  for (size_t i = 0; i <= indices.size(); ++i) {
    int64_t to = i < indices.size() ? indices[i] : n;
    if (to < 0) to += n;
    to = std::clamp<int64_t>(to, 0, n);
    Dims start(a.shape().size(), 0), step(a.shape().size(), 1);
    Shape piece = a.shape();
    start[ax] = std::min(from, n);
    piece[ax] = std::max<int64_t>(to - from, 0);
    out.push_back(slice(a, start, piece, step));
    from = to;
  }
  return out;
}

Arrays split(const Array& a, int64_t sections, int axis) {
  const int ax = normalize_axis(axis, a.ndim(), "split");
  const int64_t n = a.shape(ax);
  if (sections <= 0 || n % sections != 0)
    raise<ValueError>("[split] axis ", axis, " of size ", n, " cannot be split into ", sections,
                      " equal parts; give a divisor, or the indices to split at");
  Dims at;
  for (int64_t i = 1; i < sections; ++i) at.push_back(i * (n / sections));
  return split_at(a, at, ax);
}

Array repeat(const Array& a, int64_t repeats, std::optional<int> axis) {
  if (!axis) return repeat(flatten(a), repeats, 0);
  const int ax = normalize_axis(*axis, a.ndim(), "repeat");
  if (repeats < 0) raise<ValueError>("[repeat] got repeats=", repeats, "; expected 0 or more");
  Shape wide = a.shape(), out = a.shape();
  wide.insert(ax + 1, repeats);
  out[ax] = size_of(Shape{out[ax], repeats});
  return reshape(broadcast_to(expand_dims(a, {ax + 1}), wide), out);
}

Array tile(const Array& a, const Dims& reps) {
  const size_t n = std::max(a.shape().size(), reps.size());
  Dims single, wide, out;
  for (size_t i = 0; i < n; ++i) {
    const int64_t size = i + a.shape().size() >= n ? a.shape()[i + a.shape().size() - n] : 1;
    const int64_t times = i + reps.size() >= n ? reps[i + reps.size() - n] : 1;
    if (times < 0) raise<ValueError>("[tile] got ", to_string(reps), "; expected repetitions of 0 or more");
    single.push_back(1);
    single.push_back(size);
    wide.push_back(times);
    wide.push_back(size);
    out.push_back(size_of(Shape{times, size}));
  }
  return reshape(broadcast_to(reshape(a, single), wide), out);
}

namespace {

// Rows `at` of axis `ax` repeated `times`: one border of an edge-mode pad.
Array edge_rows(const Array& a, int ax, int64_t at, int64_t times) {
  Dims start(a.shape().size(), 0), step(a.shape().size(), 1);
  Shape row = a.shape();
  start[ax] = at;
  row[ax] = 1;
  Shape wide = row;
  wide[ax] = times;
  return broadcast_to(slice(a, start, row, step), wide);
}

// `n` rows backwards from `at`.
Array rows_back(const Array& a, int ax, int64_t at, int64_t n) {
  Dims start(a.shape().size(), 0), step(a.shape().size(), 1);
  Shape rows = a.shape();
  start[ax] = at;
  step[ax] = -1;
  rows[ax] = n;
  return slice(a, start, rows, step);
}

Array padded_with_edges(const Array& a, int ax, int64_t low, int64_t high) {
  Arrays parts;
  if (low) parts.push_back(edge_rows(a, ax, 0, low));
  parts.push_back(a);
  if (high) parts.push_back(edge_rows(a, ax, a.shape()[ax] - 1, high));
  return concatenate(parts, ax);
}

// The rows mirrored at both ends, `skip` = 1 without the outermost one again. What is longer than the axis is mirrored
// in rounds: after a full round the end is a mirror again.
Array mirrored(Array a, int ax, int64_t low, int64_t high, int64_t skip) {
  if (a.shape()[ax] == skip) return padded_with_edges(a, ax, low, high);
  while (low || high) {
    const int64_t size = a.shape()[ax], most = size - skip;
    const int64_t before = std::min(low, most), after = std::min(high, most);
    Arrays parts;
    if (before) parts.push_back(rows_back(a, ax, skip + before - 1, before));
    parts.push_back(a);
    if (after) parts.push_back(rows_back(a, ax, size - 1 - skip, after));
    a = concatenate(parts, ax);
    low -= before;
    high -= after;
  }
  return a;
}

}  // namespace

Array pad(const Array& a, const std::vector<std::pair<int64_t, int64_t>>& width, const Array& value, PadMode mode) {
  if (static_cast<int>(width.size()) != a.ndim())
    raise<ValueError>("[pad] got ", width.size(), " pairs of widths for an array of shape ", to_string(a.shape()),
                      "; expected one (before, after) per axis");
  Shape out = a.shape();
  Dims start, step(a.shape().size(), 1);
  bool any = false;
  for (size_t i = 0; i < width.size(); ++i) {
    const auto [low, high] = width[i];
    if (low < 0 || high < 0)
      raise<ValueError>("[pad] got widths (", low, ", ", high, ") for axis ", i, "; expected 0 or more");
    if (__builtin_add_overflow(out[i], low, &out[i]) || __builtin_add_overflow(out[i], high, &out[i]))
      raise<ValueError>("[pad] widths (", low, ", ", high, ") for axis ", i, " do not fit 64 bits");
    start.push_back(low);
    any |= low || high;
  }
  if (!any) return a;
  if (mode == PadMode::constant) {
    if (value.size() != 1)
      raise<ValueError>("[pad] the constant has shape ", to_string(value.shape()), "; expected one element");
    return slice_update(full(out, reshape(value, {}), a.dtype()), a, start, step);
  }
  Array r = a;
  for (size_t i = 0; i < width.size(); ++i) {
    const auto [low, high] = width[i];
    if (!low && !high) continue;
    if (r.shape()[i] == 0)
      raise<ValueError>("[pad] axis ", i, " is empty: only mode \"constant\" has values to put there");
    const int ax = static_cast<int>(i);
    if (mode == PadMode::edge)
      r = padded_with_edges(r, ax, low, high);
    else
      r = mirrored(r, ax, low, high, mode == PadMode::reflect ? 1 : 0);
  }
  return r;
}

Array roll(const Array& a, const Dims& shift, const Axes& axes) {
  if (!axes) {
    return reshape(roll(flatten(a), shift, std::vector<int>{0}), a.shape());
  }
  if (shift.size() != axes->size() && shift.size() != 1 && axes->size() != 1)
    raise<ValueError>("[roll] got ", shift.size(), " shifts for ", axes->size(),
                      " axes; expected one each, or one for all");
  Array r = a;
  for (size_t i = 0; i < std::max(shift.size(), axes->size()); ++i) {
    const int ax = normalize_axis((*axes)[axes->size() == 1 ? 0 : i], a.ndim(), "roll");
    const int64_t n = r.shape(ax);
    if (n == 0) continue;
    const int64_t by = ((shift[shift.size() == 1 ? 0 : i] % n) + n) % n;
    if (by == 0) continue;
    const Arrays parts = split_at(r, {n - by}, ax);
    r = concatenate({parts[1], parts[0]}, ax);
  }
  return r;
}

Array flip(const Array& a, const Axes& axes) {
  Dims start(a.shape().size(), 0), step(a.shape().size(), 1);
  for (int64_t ax : resolve_axes(axes, a.ndim(), "flip")) {
    start[ax] = std::max<int64_t>(a.shape(static_cast<int>(ax)) - 1, 0);
    step[ax] = -1;
  }
  return slice(a, start, a.shape(), step);
}

Array contiguous(const Array& a) { return make_node(Identity{IdentityKind::contiguous}, a.shape(), a.dtype(), {a}); }

}  // namespace nhwc
