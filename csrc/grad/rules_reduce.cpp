// csrc/grad/rules_reduce.cpp -- derivatives of reductions, scans, sort and softmax
#include "grad/rules.h"
#include "nhwc/ops.h"

namespace nhwc {
namespace {

/// The result of a reduction with its reduced axes put back as 1.
Array with_kept_axes(const Array& reduced, const Reduce& p, const Shape& full) {
  if (p.keepdims) return reduced;
  Shape s = full;
  for (int64_t a : p.axes) s[a] = 1;
  return reshape(reduced, s);
}

std::vector<int> to_axes(const Dims& d) { return {d.begin(), d.end()}; }

std::vector<int> inverse(const std::vector<int>& perm) {
  std::vector<int> inv(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inv[perm[i]] = static_cast<int>(i);
  return inv;
}

// Product of all elements along `axis` but the element itself: what is before times what is after, without a division,
// so that zeros do no harm, to any order of derivative.
Array product_of_others(const Array& x, int axis) {
  return cumprod(x, axis, false, false) * cumprod(x, axis, true, false);
}

Array product_of_others(const Array& x, const std::vector<int>& axes) {
  if (axes.size() == 1) return product_of_others(x, axes[0]);
  std::vector<int> perm;
  std::vector<bool> reduced(x.ndim());
  for (int a : axes) reduced[a] = true;
  Shape flat;
  int64_t together = 1;
  for (int a = 0; a < x.ndim(); ++a) {
    if (reduced[a]) {
      together *= x.shape(a);
    } else {
      perm.push_back(a);
      flat.push_back(x.shape(a));
    }
  }
  perm.insert(perm.end(), axes.begin(), axes.end());
  flat.push_back(together);
  const Array moved = transpose(x, perm);
  const Array others = product_of_others(reshape(moved, flat), static_cast<int>(flat.size()) - 1);
  return transpose(reshape(others, moved.shape()), inverse(perm));
}

// v[k + d] along `axis`, zero past the end.
Array ahead(const Array& v, int axis, int64_t d) {
  const int64_t n = v.shape(axis);
  if (d >= n) return zeros_like(v);
  Dims start(v.ndim(), 0), step(v.ndim(), 1);
  Shape rest = v.shape(), none = v.shape();
  start[axis] = d;
  rest[axis] = n - d;
  none[axis] = d;
  return concatenate({slice(v, start, rest, step), zeros(none, v.dtype())}, axis);
}

// y[i] = x[0] * ... * x[i], so the cotangent of x[k] is (x[0] * ... * x[k-1]) * s[k], with s[k] = ct[k] + x[k+1] *
// s[k+1]. The recurrence is solved by doubling, in log2(n) steps: no division, so zeros do no harm, to any order of
// derivative.
Array inclusive_cumprod_cotangent(const Array& x, const Array& ct, int axis) {
  Array s = ct, factor = ahead(x, axis, 1);
  for (int64_t d = 1; d < x.shape(axis); d *= 2) {
    s = s + factor * ahead(s, axis, d);
    if (2 * d < x.shape(axis)) factor = factor * ahead(factor, axis, d);
  }
  return cumprod(x, axis, false, false) * s;
}

Array max_min_cotangent(const Reduce& p, const Node& n, const Array& ct) {
  const Array& x = n.inputs[0];
  // Equal extremes share the cotangent equally, as in MLX.
  const Array hit = equal(x, with_kept_axes(value_of(n), p, x.shape()));
  const Array count = sum(astype(hit, ct.dtype()), to_axes(p.axes), true);
  return where(hit, with_kept_axes(ct, p, x.shape()) / count, like(0, ct));
}

}  // namespace

Arrays cotangents(const Reduce& p, const Node& n, const Array& ct, const Needed&) {
  const Array& x = n.inputs[0];
  if (p.axes.empty()) return {ct};
  switch (p.kind) {
    case ReduceKind::sum:
      return {broadcast_to(with_kept_axes(ct, p, x.shape()), x.shape())};
    case ReduceKind::prod:
      return {with_kept_axes(ct, p, x.shape()) * product_of_others(x, to_axes(p.axes))};
    case ReduceKind::max:
    case ReduceKind::min:
      return {max_min_cotangent(p, n, ct)};
    case ReduceKind::all:
    case ReduceKind::any:
      break;
  }
  return {Array()};
}

Arrays cotangents(const Scan& p, const Node& n, const Array& ct, const Needed&) {
  if (!p.product) return {cumsum(ct, p.axis, !p.reverse, p.inclusive)};
  const std::vector<int> axis{p.axis};
  const Array x = p.reverse ? flip(n.inputs[0], axis) : n.inputs[0];
  Array c = p.reverse ? flip(ct, axis) : ct;
  if (!p.inclusive) c = ahead(c, p.axis, 1);  // the exclusive product is the inclusive one, one place later
  const Array dx = inclusive_cumprod_cotangent(x, c, p.axis);
  return {p.reverse ? flip(dx, axis) : dx};
}

Arrays cotangents(const Sort& p, const Node& n, const Array& ct, const Needed&) {
  const Array& x = n.inputs[0];
  const ScatterAxis back{p.axis, UpdateMode::add};
  return {make_node(back, x.shape(), x.dtype(), {zeros_like(x), argsort(x, p.axis), ct})};
}

Arrays cotangents(const Softmax&, const Node& n, const Array& ct, const Needed&) {
  const Array y = value_of(n);
  const Array weighted = ct * y;
  return {weighted - y * sum(weighted, std::vector<int>{-1}, true)};
}

}  // namespace nhwc
