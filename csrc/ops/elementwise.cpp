// csrc/ops/elementwise.cpp -- unary, binary and ternary operations: promotion, broadcasting, nodes
#include <cmath>
#include <limits>

#include "ops/common.h"

namespace nhwc {

Array as_floating(const Array& a) { return astype(a, to_floating(a.dtype())); }
Array widened(const Array& a) { return is_half(a.dtype()) ? astype(a, Dtype::float32) : as_floating(a); }
Array constant_like(double v, const Array& x) { return Array::scalar(v, to_floating(x.dtype())); }

Array astype(const Array& a, Dtype dtype) {
  if (a.dtype() == dtype) return a;
  return make_node(Cast{}, a.shape(), dtype, {a});
}

std::pair<Array, Array> promote_and_broadcast(const Array& a, const Array& b, const char* who) {
  const Dtype t = promote_types(a.dtype(), b.dtype());
  Array x = astype(a, t), y = astype(b, t);
  if (x.shape() == y.shape()) return {std::move(x), std::move(y)};
  const Shape s = broadcast_shapes(x.shape(), y.shape(), who);
  return {broadcast_to(x, s), broadcast_to(y, s)};
}

void require_integers(const Array& a, const char* who, const char* what) {
  if (is_integer(a.dtype())) return;
  raise<ValueError>("[", who, "] ", what, " must hold integers, got ", name(a.dtype()), "; convert with astype");
}

namespace {

enum class Domain { any, numeric, integral, floating };

// Which element types an operation is defined on; floats only means that integers are converted to float32 first.
constexpr Domain domain_of(UnaryKind k) {
  switch (k) {
    case UnaryKind::abs:
    case UnaryKind::sign:
    case UnaryKind::square:
    case UnaryKind::floor:
    case UnaryKind::ceil:
    case UnaryKind::round:
    case UnaryKind::relu:
    case UnaryKind::relu6:
    case UnaryKind::logical_not:
    case UnaryKind::isnan:
    case UnaryKind::isinf:
    case UnaryKind::isfinite:
      return Domain::any;
    case UnaryKind::negative:
      return Domain::numeric;
    case UnaryKind::bitwise_invert:
      return Domain::integral;
    default:
      return Domain::floating;
  }
}

constexpr Domain domain_of(BinaryKind k) {
  switch (k) {
    case BinaryKind::divide:
    case BinaryKind::logaddexp:
    case BinaryKind::arctan2:
      return Domain::floating;
    case BinaryKind::bitwise_and:
    case BinaryKind::bitwise_or:
    case BinaryKind::bitwise_xor:
      return Domain::integral;
    default:
      return Domain::any;
  }
}

void require_domain(Domain d, Dtype t, const char* who) {
  if (d == Domain::integral && is_floating(t))
    raise<ValueError>("[", who, "] got ", name(t), "; expected integers or bool");
  if (d == Domain::numeric && t == Dtype::bool_)
    raise<ValueError>("[", who, "] got bool; expected numbers, use logical_not for bool");
}

// Nothing changes a value that is an integer already.
bool is_identity_on_integers(UnaryKind k) {
  return k == UnaryKind::floor || k == UnaryKind::ceil || k == UnaryKind::round;
}

Array unary(UnaryKind k, const Array& a) {
  const Domain d = domain_of(k);
  require_domain(d, a.dtype(), name(k));
  if (!is_floating(a.dtype())) {
    if (is_identity_on_integers(k)) return a;
    if (k == UnaryKind::isnan || k == UnaryKind::isinf) return zeros(a.shape(), Dtype::bool_);
    if (k == UnaryKind::isfinite) return ones(a.shape(), Dtype::bool_);
  }
  Array x = d == Domain::floating ? as_floating(a) : a;
  const Dtype out = gives_bool(k) ? Dtype::bool_ : x.dtype();
  return make_node(Unary{k}, a.shape(), out, {std::move(x)});
}

Array binary(BinaryKind k, const Array& a, const Array& b) {
  const Domain d = domain_of(k);
  // The usual case, which a small program makes often, first: nothing to convert and nothing to broadcast.
  const Dtype same = a.dtype();
  if (same == b.dtype() && (d == Domain::any || (d == Domain::floating && is_floating(same))) && a.shape() == b.shape())
    return make_node(Binary{k}, a.shape(), gives_bool(k) ? Dtype::bool_ : same, inputs_of(a, b));
  const Dtype promoted = promote_types(same, b.dtype());
  require_domain(d, promoted, name(k));
  const Dtype t = d == Domain::floating ? to_floating(promoted) : promoted;
  const auto [x, y] = promote_and_broadcast(astype(a, t), astype(b, t), name(k));
  return make_node(Binary{k}, x.shape(), gives_bool(k) ? Dtype::bool_ : t, inputs_of(x, y));
}

}  // namespace

#define NHWC_UNARY(n) \
  Array n(const Array& a) { return unary(UnaryKind::n, a); }
#define NHWC_BINARY(n) \
  Array n(const Array& a, const Array& b) { return binary(BinaryKind::n, a, b); }
#include "nhwc/kinds.inc"

Array logical_xor(const Array& a, const Array& b) {
  return not_equal(astype(a, Dtype::bool_), astype(b, Dtype::bool_));
}

Array round(const Array& a, int decimals) {
  if (decimals == 0) return round(a);
  if (!is_floating(a.dtype()) && decimals > 0) return a;
  const Array factor = constant_like(std::pow(10.0, std::abs(decimals)), a);
  const Array r =
      decimals > 0 ? divide(round(multiply(a, factor)), factor) : multiply(round(divide(a, factor)), factor);
  return astype(r, a.dtype());
}

Array clip(const Array& a, const std::optional<Array>& low, const std::optional<Array>& high) {
  if (!low && !high) raise<ValueError>("[clip] got neither a lower nor an upper bound; give at least one");
  Array r = a;
  if (low) r = maximum(r, *low);
  if (high) r = minimum(r, *high);
  return r;
}

Array where(const Array& condition, const Array& a, const Array& b) {
  const Dtype t = promote_types(a.dtype(), b.dtype());
  const Shape s = broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape(), "where"), "where");
  return make_node(
      Select{}, s, t,
      {broadcast_to(astype(condition, Dtype::bool_), s), broadcast_to(astype(a, t), s), broadcast_to(astype(b, t), s)});
}

namespace {

double largest_finite(Dtype t) {
  switch (t) {
    case Dtype::float16:
      return 65504.0;
    case Dtype::bfloat16:
      return 0x1.fep127;
    case Dtype::float32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

}  // namespace

Array nan_to_num(const Array& a, double nan, std::optional<double> posinf, std::optional<double> neginf) {
  if (!is_floating(a.dtype())) return a;
  const Dtype t = a.dtype();
  const double most = largest_finite(t);
  const Array zero = Array::scalar(0, t);
  Array r = where(isnan(a), Array::scalar(nan, t), a);
  r = where(logical_and(isinf(a), greater(a, zero)), Array::scalar(posinf.value_or(most), t), r);
  return where(logical_and(isinf(a), less(a, zero)), Array::scalar(neginf.value_or(-most), t), r);
}

Array isclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  auto [x, y] = promote_and_broadcast(as_floating(a), as_floating(b), "isclose");
  const Array bound = add(Array::scalar(atol, x.dtype()), multiply(Array::scalar(rtol, x.dtype()), abs(y)));
  const Array finite = logical_and(isfinite(x), isfinite(y));
  Array r = logical_or(logical_and(finite, less_equal(abs(subtract(x, y)), bound)), equal(x, y));
  if (equal_nan) r = logical_or(r, logical_and(isnan(x), isnan(y)));
  return r;
}

Array allclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  return all(isclose(a, b, rtol, atol, equal_nan));
}

Array array_equal(const Array& a, const Array& b, bool equal_nan) {
  if (a.shape() != b.shape()) return Array(false);
  auto [x, y] = promote_and_broadcast(a, b, "array_equal");
  Array same = equal(x, y);
  if (equal_nan) same = logical_or(same, logical_and(isnan(x), isnan(y)));
  return all(same);
}

Array stop_gradient(const Array& a) {
  return make_node(Identity{IdentityKind::stop_gradient}, a.shape(), a.dtype(), {a});
}

Array depends(const Array& a, const Arrays& others) {
  NodeInputs in{a};
  in.append(others.begin(), others.end());
  return make_node(Identity{IdentityKind::depends}, a.shape(), a.dtype(), std::move(in));
}

Dtype result_type(const Arrays& arrays) {
  if (arrays.empty()) raise<ValueError>("[result_type] got no arrays; expected at least one");
  Dtype t = arrays[0].dtype();
  for (const Array& a : arrays) t = promote_types(t, a.dtype());
  return t;
}

}  // namespace nhwc
