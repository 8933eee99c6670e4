// csrc/ops/creation.cpp -- arrays from shapes and ranges
#include <algorithm>
#include <cmath>

#include "base/visit_dtype.h"

#include "ops/common.h"

namespace nhwc {
namespace {

void require_shape(const Shape& s, const char* who) {
  for (int64_t d : s)
    if (d < 0) raise<ValueError>("[", who, "] shape ", to_string(s), " has a negative size; sizes are 0 or more");
  (void)size_of(s);
}

void require_matrix(const Array& x, const char* who) {
  if (x.ndim() < 2)
    raise<ValueError>("[", who, "] got an array of shape ", to_string(x.shape()), "; expected at least 2 dimensions");
}

Array range(int64_t n, double start, double step, Dtype dtype) {
  return make_node(Arange{start, step, convert<int64_t>(start), convert<int64_t>(step)}, {n}, dtype, {});
}

// The row, shifted by k, and the column of every element of an (n, m) matrix: to be broadcast against each other.
std::pair<Array, Array> shifted_rows_and_columns(int64_t n, int64_t m, int k) {
  return {reshape(range(n, k, 1, Dtype::int64), {n, 1}), range(m, 0, 1, Dtype::int64)};
}

}  // namespace

Array full(const Shape& shape, const Array& value, Dtype dtype) {
  require_shape(shape, "full");
  return broadcast_to(astype(value, dtype), shape);
}

Array zeros(const Shape& shape, Dtype dtype) { return full(shape, Array::scalar_int(0, dtype), dtype); }
Array ones(const Shape& shape, Dtype dtype) { return full(shape, Array::scalar_int(1, dtype), dtype); }
Array zeros_like(const Array& a) { return zeros(a.shape(), a.dtype()); }
Array ones_like(const Array& a) { return ones(a.shape(), a.dtype()); }
Array full_like(const Array& a, const Array& value, Dtype dtype) { return full(a.shape(), value, dtype); }

Array arange(double start, double stop, double step, Dtype dtype) {
  if (dtype == Dtype::bool_) raise<ValueError>("[arange] got dtype bool; expected a numeric dtype");
  if (std::isnan(start) || std::isnan(stop) || std::isnan(step))
    raise<ValueError>("[arange] got start=", start, ", stop=", stop, ", step=", step, "; none may be NaN");
  if (step == 0) raise<ValueError>("[arange] got step=0; expected a step that leads from start to stop");
  if (std::isinf(start) || std::isinf(stop))
    raise<ValueError>("[arange] start and stop must be finite, got ", start, " and ", stop);
  const bool forward = step > 0 ? start < stop : start > stop;
  const double count = std::isinf(step) && forward ? 1 : std::ceil((stop - start) / step);
  if (count >= 0x1p62) raise<ValueError>("[arange] from ", start, " to ", stop, " by ", step, " is too many elements");
  const int64_t n = count > 0 ? static_cast<int64_t>(count) : 0;
  if (n <= 1) return range(n, start, 0, dtype);
  // Integers step from the first element to the second, each truncated, as in MLX.
  const double by = is_floating(dtype) ? step : std::trunc(start + step) - std::trunc(start);
  return range(n, start, by, dtype);
}

Array linspace(double start, double stop, int64_t num, Dtype dtype) {
  if (num < 0) raise<ValueError>("[linspace] got num=", num, "; expected 0 or more");
  if (num <= 1) return full({num}, Array::scalar(start, dtype), dtype);
  // From both ends, so that the last element is exactly `stop`; in float32 as MLX does, in float64 where that is asked
  // for.
  const Dtype t = dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32;
  const Array w = divide(range(num, 0, 1, t), Array::scalar(static_cast<double>(num - 1), t));
  const Array lower = multiply(subtract(Array::scalar(1, t), w), Array::scalar(start, t));
  return astype(add(lower, multiply(w, Array::scalar(stop, t))), dtype);
}

Array eye(int64_t n, int64_t m, int k, Dtype dtype) {
  require_shape({n, m}, "eye");
  const auto [row, column] = shifted_rows_and_columns(n, m, k);
  return astype(equal(row, column), dtype);
}

Array tri(int64_t n, int64_t m, int k, Dtype dtype) {
  require_shape({n, m}, "tri");
  const auto [row, column] = shifted_rows_and_columns(n, m, k);
  return astype(greater_equal(row, column), dtype);
}

Array tril(const Array& x, int k) {
  require_matrix(x, "tril");
  return where(tri(x.shape(-2), x.shape(-1), k, Dtype::bool_), x, zeros_like(x));
}

Array triu(const Array& x, int k) {
  require_matrix(x, "triu");
  return where(tri(x.shape(-2), x.shape(-1), k - 1, Dtype::bool_), zeros_like(x), x);
}

Array diagonal(const Array& x, int offset, int axis1, int axis2) {
  require_matrix(x, "diagonal");
  const int a = normalize_axis(axis1, x.ndim(), "diagonal"), b = normalize_axis(axis2, x.ndim(), "diagonal");
  if (a == b) raise<ValueError>("[diagonal] axis1 and axis2 are both ", a, "; expected two different axes");
  std::vector<int> order;
  for (int i = 0; i < x.ndim(); ++i)
    if (i != a && i != b) order.push_back(i);
  order.push_back(a);
  order.push_back(b);
  const Array t = transpose(x, order);
  const int64_t rows = t.shape(-2), columns = t.shape(-1);
  const int64_t r0 = offset < 0 ? -int64_t(offset) : 0, c0 = offset > 0 ? offset : 0;
  const int64_t n = std::max<int64_t>(0, std::min(rows - r0, columns - c0));
  // Element (r0 + i, c0 + i) of a matrix is element i * (columns + 1) of its rows written one after another.
  Dims flat(t.shape().begin(), t.shape().end() - 2);
  Dims start(flat.size() + 1, 0), step(flat.size() + 1, 1), result = flat;
  flat.push_back(rows * columns);
  result.push_back(n);
  start.back() = n ? r0 * columns + c0 : 0;
  step.back() = columns + 1;
  return slice(reshape(t, flat), start, result, step);
}

Array diag(const Array& x, int k) {
  if (x.ndim() == 2) return diagonal(x, k, 0, 1);
  if (x.ndim() != 1)
    raise<ValueError>("[diag] got an array of shape ", to_string(x.shape()), "; expected 1 or 2 dimensions");
  const int64_t off = std::abs(int64_t(k)), n = x.shape(0) + off;
  if (n == 0) return zeros({0, 0}, x.dtype());
  const int64_t first = k >= 0 ? k : off * n;
  return reshape(slice_update(zeros({n * n}, x.dtype()), x, {first}, {n + 1}), {n, n});
}

Arrays meshgrid(const Arrays& arrays, bool sparse, const std::string& indexing) {
  if (indexing != "xy" && indexing != "ij")
    raise<ValueError>("[meshgrid] got indexing=\"", indexing, "\"; expected \"xy\" or \"ij\"");
  const size_t n = arrays.size();
  Arrays out;
  for (size_t i = 0; i < n; ++i) {
    if (arrays[i].ndim() > 1)
      raise<ValueError>("[meshgrid] argument ", i, " has shape ", to_string(arrays[i].shape()),
                        "; expected 1 dimension");
    Shape s(n, 1);
    const size_t at = indexing == "xy" && n > 1 && i < 2 ? 1 - i : i;
    s[at] = arrays[i].size();
    out.push_back(reshape(arrays[i], s));
  }
  return sparse ? out : broadcast_arrays(out);
}

}  // namespace nhwc
