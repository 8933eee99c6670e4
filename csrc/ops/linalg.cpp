// csrc/ops/linalg.cpp -- matrix products, norms, normalisation
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/common.h"

namespace nhwc {
namespace {

void require_floating(const Array& a, const Array& b, const char* who) {
  if (!is_floating(promote_types(a.dtype(), b.dtype())))
    raise<ValueError>("[", who, "] got dtypes ", name(a.dtype()), " and ", name(b.dtype()),
                      "; expected a floating dtype: use astype");
}

[[noreturn]] void inner_sizes_differ(const Array& a, const Array& b, const char* who) {
  raise<ValueError>("[", who, "] shapes ", to_string(a.shape()), " and ", to_string(b.shape()),
                    " do not fit: the last size of the first must equal the last but one of the second");
}

int64_t product(const Array& a, const std::vector<int>& axes) {
  return std::accumulate(axes.begin(), axes.end(), int64_t(1), [&](int64_t n, int ax) { return n * a.shape(ax); });
}

}  // namespace

Array matmul(const Array& a, const Array& b) {
  if (a.ndim() == 0 || b.ndim() == 0)
    raise<ValueError>("[matmul] got shapes ", to_string(a.shape()), " and ", to_string(b.shape()),
                      "; expected at least 1 dimension each");
  require_floating(a, b, "matmul");
  const Dtype t = promote_types(a.dtype(), b.dtype());
  if (a.ndim() == 1) {
    if (b.ndim() == 1 && a.shape(0) != b.shape(0)) inner_sizes_differ(a, b, "matmul");
    const Array r = matmul(expand_dims(a, {0}), b);
    return squeeze(r, std::vector<int>{b.ndim() == 1 ? 0 : -2});
  }
  if (b.ndim() == 1) return squeeze(matmul(a, expand_dims(b, {1})), std::vector<int>{-1});
  if (a.shape(-1) != b.shape(-2)) inner_sizes_differ(a, b, "matmul");
  Array x = astype(a, t), y = astype(b, t);
  if (x.ndim() > 2 && y.ndim() == 2) {  // one matrix for all: a single product
    const Array flat = reshape(
        x, {size_of(x.shape()) == 0 ? size_of(Shape(x.shape().begin(), x.shape().end() - 1)) : -1, x.shape(-1)});
    Shape out = x.shape();
    out.back() = y.shape(-1);
    return reshape(matmul(flat, y), out);
  }
  const Shape batch = broadcast_shapes(Shape(x.shape().begin(), x.shape().end() - 2),
                                       Shape(y.shape().begin(), y.shape().end() - 2), "matmul");
  auto with_batch = [&](const Array& m) {
    Shape s = batch;
    s.append(m.shape().end() - 2, m.shape().end());
    return broadcast_to(m, s);
  };
  Shape out = batch;
  out.push_back(x.shape(-2));
  out.push_back(y.shape(-1));
  return make_node(Matmul{}, std::move(out), t, {with_batch(x), with_batch(y)});
}

Array addmm(const Array& c, const Array& a, const Array& b, double alpha, double beta) {
  const Array product = matmul(a, b);
  if (broadcast_shapes(c.shape(), product.shape(), "addmm") != product.shape())
    raise<ValueError>("[addmm] c of shape ", to_string(c.shape()), " cannot be broadcast to the product's shape ",
                      to_string(product.shape()));
  const Array scaled = alpha == 1 ? product : multiply(product, Array::scalar(alpha, product.dtype()));
  return add(beta == 1 ? c : multiply(c, constant_like(beta, c)), scaled);
}

Array outer(const Array& a, const Array& b) { return multiply(reshape(a, {a.size(), 1}), reshape(b, {b.size()})); }

Array inner(const Array& a, const Array& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b);
  if (a.shape(-1) != b.shape(-1))
    raise<ValueError>("[inner] the last sizes of ", to_string(a.shape()), " and ", to_string(b.shape()),
                      " differ; they must be equal");
  return tensordot(a, b, {-1}, {-1});
}

Array tensordot(const Array& a, const Array& b, int axes) {
  if (axes < 0 || axes > a.ndim() || axes > b.ndim())
    raise<ValueError>("[tensordot] got axes=", axes, " for arrays of ", a.ndim(), " and ", b.ndim(), " dimensions");
  std::vector<int> last(axes), first(axes);
  std::iota(last.begin(), last.end(), a.ndim() - axes);
  std::iota(first.begin(), first.end(), 0);
  return tensordot(a, b, last, first);
}

Array tensordot(const Array& a, const Array& b, const std::vector<int>& axes_a, const std::vector<int>& axes_b) {
  if (axes_a.size() != axes_b.size())
    raise<ValueError>("[tensordot] got ", axes_a.size(), " axes for one array and ", axes_b.size(),
                      " for the other; expected as many");
  std::vector<int> ca, cb, order_a, order_b;
  for (size_t i = 0; i < axes_a.size(); ++i) {
    ca.push_back(normalize_axis(axes_a[i], a.ndim(), "tensordot"));
    cb.push_back(normalize_axis(axes_b[i], b.ndim(), "tensordot"));
    if (a.shape(ca[i]) != b.shape(cb[i]))
      raise<ValueError>("[tensordot] axis ", axes_a[i], " of ", to_string(a.shape()), " and axis ", axes_b[i], " of ",
                        to_string(b.shape()), " differ in size; they must be equal");
  }
  Shape out;
  for (int i = 0; i < a.ndim(); ++i)
    if (std::find(ca.begin(), ca.end(), i) == ca.end()) {
      order_a.push_back(i);
      out.push_back(a.shape(i));
    }
  const int64_t rows = product(a, order_a), inner = product(a, ca);
  order_a.insert(order_a.end(), ca.begin(), ca.end());
  order_b = cb;
  for (int i = 0; i < b.ndim(); ++i)
    if (std::find(cb.begin(), cb.end(), i) == cb.end()) {
      order_b.push_back(i);
      out.push_back(b.shape(i));
    }
  const int64_t columns = product(b, std::vector<int>(order_b.begin() + cb.size(), order_b.end()));
  return reshape(
      matmul(reshape(transpose(a, order_a), {rows, inner}), reshape(transpose(b, order_b), {inner, columns})), out);
}

namespace {

Array vector_norm(const Array& x, double ord, const std::vector<int>& axes, bool keepdims) {
  const Dtype t = x.dtype();
  if (ord == 0) return astype(sum(not_equal(x, Array::scalar(0, t)), axes, keepdims), t);
  if (ord == 1) return sum(abs(x), axes, keepdims);
  if (ord == 2) return sqrt(sum(square(x), axes, keepdims));
  if (std::isinf(ord)) return ord > 0 ? max(abs(x), axes, keepdims) : min(abs(x), axes, keepdims);
  return power(sum(power(abs(x), Array::scalar(ord, t)), axes, keepdims), Array::scalar(1 / ord, t));
}

Array matrix_norm(const Array& x, double ord, const std::vector<int>& axes, bool keepdims) {
  const int row = normalize_axis(axes[0], x.ndim(), "linalg.norm"),
            column = normalize_axis(axes[1], x.ndim(), "linalg.norm");
  if (std::abs(ord) != 1 && !std::isinf(ord))
    raise<ValueError>("[linalg.norm] matrix norm of order ", ord,
                      " is not supported; expected 1, -1, inf, -inf or \"fro\"");
  // order 1: the largest column sum; inf: the largest row sum
  const int summed = std::isinf(ord) ? column : row, picked = std::isinf(ord) ? row : column;
  const Array sums = sum(abs(x), std::vector<int>{summed}, true);
  const Array r = ord > 0 ? max(sums, std::vector<int>{picked}, true) : min(sums, std::vector<int>{picked}, true);
  return keepdims ? r : squeeze(r, std::vector<int>{row, column});
}

}  // namespace

Array norm(const Array& a, const std::variant<std::monostate, double, std::string>& ord, const Axes& axes,
           bool keepdims) {
  if (is_half(a.dtype())) return astype(norm(widened(a), ord, axes, keepdims), a.dtype());
  const Array x = as_floating(a);
  std::vector<int> over;
  if (axes) {
    over = *axes;
  } else {
    over.resize(x.ndim());
    std::iota(over.begin(), over.end(), 0);
  }
  if (std::holds_alternative<std::monostate>(ord)) return vector_norm(x, 2, over, keepdims);
  if (over.size() != 1 && over.size() != 2)
    raise<ValueError>("[linalg.norm] an order needs 1 axis (vector) or 2 (matrix), got ", over.size(),
                      " axes of an array of shape ", to_string(x.shape()), "; name the axes");
  if (const auto* word = std::get_if<std::string>(&ord)) {
    if (over.size() == 2 && (*word == "fro" || *word == "f")) return vector_norm(x, 2, over, keepdims);
    raise<ValueError>("[linalg.norm] got ord=\"", *word, "\" over ", over.size(),
                      " axes; the only word is \"fro\", over 2 axes");
  }
  const double p = std::get<double>(ord);
  return over.size() == 1 ? vector_norm(x, p, over, keepdims) : matrix_norm(x, p, over, keepdims);
}

namespace {

void require_vector_of(const std::optional<Array>& v, int64_t n, const char* who, const char* what) {
  if (v && v->shape() != Shape{n})
    raise<ValueError>("[", who, "] ", what, " has shape ", to_string(v->shape()), "; expected (", n,
                      ",), the size of the last axis");
}

// Everything takes part in the result's dtype, as in MLX; rounded to it once, at the end.
Array scaled(const Array& normal, const Array& x, const std::optional<Array>& weight,
             const std::optional<Array>& bias) {
  Dtype t = to_floating(x.dtype());
  if (weight) t = promote_types(t, weight->dtype());
  if (bias) t = promote_types(t, bias->dtype());
  Array y = normal;
  if (weight) y = multiply(y, *weight);
  if (bias) y = add(y, *bias);
  return astype(y, t);
}

}  // namespace

Array layer_norm(const Array& x, const std::optional<Array>& weight, const std::optional<Array>& bias, double eps) {
  if (x.ndim() == 0) raise<ValueError>("[fast.layer_norm] got a scalar; expected at least 1 dimension");
  require_vector_of(weight, x.shape(-1), "fast.layer_norm", "weight");
  require_vector_of(bias, x.shape(-1), "fast.layer_norm", "bias");
  const Array wide = widened(x);
  const Array centred = subtract(wide, mean(wide, std::vector<int>{-1}, true));
  const Array spread = mean(square(centred), std::vector<int>{-1}, true);
  return scaled(multiply(centred, rsqrt(add(spread, constant_like(eps, wide)))), x, weight, bias);
}

Array rms_norm(const Array& x, const std::optional<Array>& weight, double eps) {
  if (x.ndim() == 0) raise<ValueError>("[fast.rms_norm] got a scalar; expected at least 1 dimension");
  require_vector_of(weight, x.shape(-1), "fast.rms_norm", "weight");
  const Array wide = widened(x);
  const Array size = mean(square(wide), std::vector<int>{-1}, true);
  return scaled(multiply(wide, rsqrt(add(size, constant_like(eps, wide)))), x, weight, std::nullopt);
}

}  // namespace nhwc
