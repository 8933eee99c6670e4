// csrc/ops/reduce.cpp -- reductions, scans and sorting
#include <algorithm>

#include "ops/common.h"

namespace nhwc {

Dims resolve_axes(const Axes& axes, int ndim, const char* who) {
  Dims out;
  if (!axes) {
    for (int i = 0; i < ndim; ++i) out.push_back(i);
    return out;
  }
  for (int a : *axes) out.push_back(normalize_axis(a, ndim, who));
  std::sort(out.begin(), out.end());
  for (size_t i = 1; i < out.size(); ++i)
    if (out[i] == out[i - 1]) raise<ValueError>("[", who, "] axis ", out[i], " is named twice");
  return out;
}

namespace {

Shape reduced_shape(const Shape& s, const Dims& axes, bool keepdims) {
  Shape out;
  size_t next = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    const bool gone = next < axes.size() && axes[next] == static_cast<int64_t>(i);
    next += gone;
    if (!gone)
      out.push_back(s[i]);
    else if (keepdims)
      out.push_back(1);
  }
  return out;
}

int64_t reduced_count(const Array& a, const Dims& axes) {
  int64_t n = 1;
  for (int64_t axis : axes) n *= a.shape(static_cast<int>(axis));
  return n;
}

// Small integers add up in 32 bits, as in MLX.
Dtype sum_dtype(Dtype t) {
  switch (t) {
    case Dtype::bool_:
    case Dtype::int8:
    case Dtype::int16:
      return Dtype::int32;
    case Dtype::uint8:
    case Dtype::uint16:
      return Dtype::uint32;
    default:
      return t;
  }
}

Array reduce(ReduceKind kind, const Array& a, const Axes& axes, bool keepdims, Dtype dtype) {
  const Dims over = resolve_axes(axes, a.ndim(), name(kind));
  Shape shape = reduced_shape(a.shape(), over, keepdims);
  if (over.empty()) return a;
  return make_node(Reduce{kind, over, keepdims}, std::move(shape), dtype, {a});
}

Array extremum(ReduceKind kind, const Array& a, const Axes& axes, bool keepdims) {
  const Dims over = resolve_axes(axes, a.ndim(), name(kind));
  if (reduced_count(a, over) == 0)
    raise<ValueError>("[", name(kind), "] of no elements: the array has shape ", to_string(a.shape()),
                      "; expected at least one element along the reduced axes");
  return reduce(kind, a, axes, keepdims, a.dtype());
}

Array arg_extremum(bool largest, const Array& a, std::optional<int> axis, bool keepdims) {
  const char* who = largest ? "argmax" : "argmin";
  if (!axis) {
    const Array flat = arg_extremum(largest, reshape(a, {a.size()}), 0, false);
    return keepdims ? reshape(flat, Shape(a.shape().size(), 1)) : flat;
  }
  const int ax = normalize_axis(*axis, a.ndim(), who);
  if (a.shape(ax) == 0)
    raise<ValueError>("[", who, "] of no elements: the array has shape ", to_string(a.shape()),
                      "; expected at least one element along axis ", ax);
  return make_node(ArgReduce{largest, ax, keepdims}, reduced_shape(a.shape(), {ax}, keepdims), Dtype::uint32, {a});
}

Array scan(bool product, const Array& a, std::optional<int> axis, bool reverse, bool inclusive) {
  if (!axis) return scan(product, flatten(a), 0, reverse, inclusive);
  const int ax = normalize_axis(*axis, a.ndim(), product ? "cumprod" : "cumsum");
  const bool from_bool = a.dtype() == Dtype::bool_;
  const Array x = from_bool ? astype(a, Dtype::int32) : a;
  const Array r = make_node(Scan{product, ax, reverse, inclusive}, x.shape(), x.dtype(), {x});
  return from_bool && product ? astype(r, Dtype::bool_) : r;
}

Array sorted(bool indices, const Array& a, std::optional<int> axis) {
  if (!axis) return sorted(indices, flatten(a), 0);
  const int ax = normalize_axis(*axis, a.ndim(), indices ? "argsort" : "sort");
  return make_node(Sort{ax, indices}, a.shape(), indices ? Dtype::uint32 : a.dtype(), {a});
}

}  // namespace

Array sum(const Array& a, const Axes& axes, bool keepdims) {
  const Dtype t = sum_dtype(a.dtype());
  return reduce(ReduceKind::sum, astype(a, t), axes, keepdims, t);
}
Array prod(const Array& a, const Axes& axes, bool keepdims) {
  const Dtype t = sum_dtype(a.dtype());
  return reduce(ReduceKind::prod, astype(a, t), axes, keepdims, t);
}
Array max(const Array& a, const Axes& axes, bool keepdims) { return extremum(ReduceKind::max, a, axes, keepdims); }
Array min(const Array& a, const Axes& axes, bool keepdims) { return extremum(ReduceKind::min, a, axes, keepdims); }
Array all(const Array& a, const Axes& axes, bool keepdims) {
  return reduce(ReduceKind::all, astype(a, Dtype::bool_), axes, keepdims, Dtype::bool_);
}
Array any(const Array& a, const Axes& axes, bool keepdims) {
  return reduce(ReduceKind::any, astype(a, Dtype::bool_), axes, keepdims, Dtype::bool_);
}

Array mean(const Array& a, const Axes& axes, bool keepdims) {
  // A half type's sum may overflow although the mean does not.
  const Array total = sum(widened(a), axes, keepdims);
  const double n = static_cast<double>(reduced_count(a, resolve_axes(axes, a.ndim(), "mean")));
  return astype(divide(total, constant_like(n, total)), to_floating(a.dtype()));
}

Array var(const Array& a, const Axes& axes, bool keepdims, int ddof) {
  const Array x = widened(a);
  const Dims over = resolve_axes(axes, a.ndim(), "var");
  const std::vector<int> list(over.begin(), over.end());
  const Array total = sum(square(subtract(x, mean(x, list, true))), list, keepdims);
  // nan or inf where n - ddof is not positive, as in MLX.
  const double n = std::max(static_cast<double>(reduced_count(a, over)) - ddof, 0.0);
  return astype(divide(total, constant_like(n, total)), to_floating(a.dtype()));
}

Array std(const Array& a, const Axes& axes, bool keepdims, int ddof) { return sqrt(var(a, axes, keepdims, ddof)); }

Array logsumexp(const Array& a, const Axes& axes, bool keepdims) {
  if (is_half(a.dtype())) return astype(logsumexp(widened(a), axes, keepdims), a.dtype());
  const Array x = as_floating(a);
  const Dims over = resolve_axes(axes, a.ndim(), "logsumexp");
  const std::vector<int> list(over.begin(), over.end());
  if (over.empty()) return x;
  if (reduced_count(a, over) == 0) return log(sum(exp(x), list, keepdims));  // -inf
  // A row of -inf, or one with +inf, must not become inf - inf.
  const Array peak = stop_gradient(max(x, list, true));
  const Array shift = where(isfinite(peak), peak, zeros_like(peak));
  const Array r = add(log(sum(exp(subtract(x, shift)), list, true)), shift);
  return keepdims ? r : squeeze(r, list);
}

Array softmax(const Array& a, const Axes& axes, bool precise) {
  const Array x = as_floating(a);
  const Dims over = resolve_axes(axes, a.ndim(), "softmax");
  if (over.empty() || x.size() == 0) return over.empty() ? ones_like(x) : x;
  if (precise && is_half(x.dtype())) return astype(softmax(astype(x, Dtype::float32), axes), x.dtype());
  if (over.size() == 1 && over[0] == x.ndim() - 1) return make_node(Softmax{}, x.shape(), x.dtype(), {x});
  // Any other set of axes: brought to the end, flattened into one, and back.
  std::vector<int> order, back(x.ndim());
  for (int i = 0; i < x.ndim(); ++i)
    if (std::find(over.begin(), over.end(), i) == over.end()) order.push_back(i);
  for (int64_t i : over) order.push_back(static_cast<int>(i));
  for (int i = 0; i < x.ndim(); ++i) back[order[i]] = i;
  const Array t = transpose(x, order);
  Dims rows(t.shape().begin(), t.shape().end() - over.size());
  rows.push_back(reduced_count(x, over));
  return transpose(reshape(softmax(reshape(t, rows), std::vector<int>{-1}), t.shape()), back);
}

Array argmax(const Array& a, std::optional<int> axis, bool keepdims) { return arg_extremum(true, a, axis, keepdims); }
Array argmin(const Array& a, std::optional<int> axis, bool keepdims) { return arg_extremum(false, a, axis, keepdims); }
Array cumsum(const Array& a, std::optional<int> axis, bool reverse, bool inclusive) {
  return scan(false, a, axis, reverse, inclusive);
}
Array cumprod(const Array& a, std::optional<int> axis, bool reverse, bool inclusive) {
  return scan(true, a, axis, reverse, inclusive);
}
Array sort(const Array& a, std::optional<int> axis) { return sorted(false, a, axis); }
Array argsort(const Array& a, std::optional<int> axis) { return sorted(true, a, axis); }

Array topk(const Array& a, int64_t k, std::optional<int> axis) {
  if (!axis) return topk(flatten(a), k, 0);
  const int ax = normalize_axis(*axis, a.ndim(), "topk");
  const int64_t n = a.shape(ax);
  if (k < 0 || k > n) raise<ValueError>("[topk] got k=", k, " for an axis of ", n, " elements; expected 0 to ", n);
  Dims start(a.shape().size(), 0), step(a.shape().size(), 1);
  Shape shape = a.shape();
  start[ax] = n - k;
  shape[ax] = k;
  return slice(sort(a, ax), start, shape, step);
}

}  // namespace nhwc
