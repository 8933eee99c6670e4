// csrc/grad/rules_elementwise.cpp -- derivatives of the elementwise primitives
#include <numbers>

#include "grad/rules.h"
#include "nhwc/ops.h"

namespace nhwc {
namespace {

constexpr double kLn2 = std::numbers::ln2, kLn10 = std::numbers::ln10, kInvSqrtPi = std::numbers::inv_sqrtpi;

Array masked(const Array& mask, const Array& ct) { return where(mask, ct, like(0, ct)); }
Array silu_slope(const Array& x) {  // d silu / dx = s * (1 + x * (1 - s))
  const Array s = sigmoid(x), one = like(1, x);
  return s * (one + x * (one - s));
}
Array gelu_slope(const Array& x) {
  const Array half = like(0.5, x);
  const Array cdf = half * (like(1, x) + erf(x * like(std::numbers::sqrt2 / 2, x)));
  const Array density = exp(square(x) * like(-0.5, x)) * like(kInvSqrtPi / std::numbers::sqrt2, x);
  return cdf + x * density;
}

// At kinks the sides are MLX's: relu(0) and relu6(0), relu6(6) have slope 0, leaky_relu(0) has 1, abs(0) has 0.
Array unary_cotangent(UnaryKind kind, const Array& x, const Array& y, const Array& ct) {
  auto c = [&](double v) { return like(v, x); };
  switch (kind) {
    case UnaryKind::abs:
      return ct * sign(x);
    case UnaryKind::negative:
      return -ct;
    case UnaryKind::square:
      return ct * (x * c(2));
    case UnaryKind::sqrt:
      return ct * c(0.5) / y;
    case UnaryKind::rsqrt:
      return ct * (c(-0.5) * y * y * y);
    case UnaryKind::reciprocal:
      return -ct * square(y);
    case UnaryKind::exp:
      return ct * y;
    case UnaryKind::expm1:
      return ct * exp(x);
    case UnaryKind::log:
      return ct / x;
    case UnaryKind::log1p:
      return ct / (x + c(1));
    case UnaryKind::log2:
      return ct / (x * c(kLn2));
    case UnaryKind::log10:
      return ct / (x * c(kLn10));
    case UnaryKind::sin:
      return ct * cos(x);
    case UnaryKind::cos:
      return -ct * sin(x);
    case UnaryKind::tan:
      return ct * (c(1) + square(y));
    case UnaryKind::arcsin:
      return ct * rsqrt(c(1) - square(x));
    case UnaryKind::arccos:
      return -ct * rsqrt(c(1) - square(x));
    case UnaryKind::arctan:
      return ct / (c(1) + square(x));
    case UnaryKind::sinh:
      return ct * cosh(x);
    case UnaryKind::cosh:
      return ct * sinh(x);
    case UnaryKind::tanh:
      return ct * (c(1) - square(y));
    case UnaryKind::sigmoid:
      return ct * (y * (c(1) - y));
    case UnaryKind::erf:
      return ct * (c(2 * kInvSqrtPi) * exp(-square(x)));
    case UnaryKind::erfinv:
      return ct * (c(0.5 / kInvSqrtPi) * exp(square(y)));
    case UnaryKind::relu:
      return masked(greater(x, c(0)), ct);
    case UnaryKind::relu6:
      return masked(logical_and(greater(x, c(0)), less(x, c(6))), ct);
    case UnaryKind::leaky_relu:
      return where(less(x, c(0)), ct * c(0.01), ct);
    case UnaryKind::silu:
      return ct * silu_slope(x);
    case UnaryKind::gelu:
      return ct * gelu_slope(x);
    case UnaryKind::sign:
    case UnaryKind::floor:
    case UnaryKind::ceil:
    case UnaryKind::round:
    case UnaryKind::logical_not:
    case UnaryKind::bitwise_invert:
    case UnaryKind::isnan:
    case UnaryKind::isinf:
    case UnaryKind::isfinite:
      break;
  }
  return {};
}

// b * a^(b-1), where 0^0 counts as constant; the exponent is replaced before the power so that no derivative meets 0 *
// inf.
Array power_by_base(const Array& a, const Array& b, const Array& ct) {
  const Array constant = logical_and(equal(a, like(0, a)), equal(b, like(0, b)));
  return ct * (b * power(a, where(constant, like(1, b), b) - like(1, b)));
}
// log(a) * a^b, zero at a = 0.
Array power_by_exponent(const Array& a, const Array& y, const Array& ct) {
  return ct * (y * log(where(equal(a, like(0, a)), like(1, a), a)));
}
// a - b where both are the same infinity counts as 0: the weights of logaddexp are then one half.
Array finite_difference(const Array& a, const Array& b) {
  return where(logical_and(equal(a, b), isinf(a)), like(0, a), a - b);
}

struct Pair {
  const Array &a, &b, &y, &ct;
};

Array by_first(BinaryKind kind, const Pair& v) {
  const auto& [a, b, y, ct] = v;
  switch (kind) {
    case BinaryKind::add:
    case BinaryKind::subtract:
    case BinaryKind::remainder:
      return ct;
    case BinaryKind::multiply:
      return ct * b;
    case BinaryKind::divide:
      return ct / b;
    case BinaryKind::power:
      return power_by_base(a, b, ct);
    case BinaryKind::maximum:
      return masked(greater(a, b), ct);
    case BinaryKind::minimum:
      return masked(less(a, b), ct);
    case BinaryKind::logaddexp:
      return ct * sigmoid(finite_difference(a, b));
    case BinaryKind::arctan2:
      return ct * (b / (square(a) + square(b)));
    case BinaryKind::floor_divide:
    case BinaryKind::equal:
    case BinaryKind::not_equal:
    case BinaryKind::less:
    case BinaryKind::less_equal:
    case BinaryKind::greater:
    case BinaryKind::greater_equal:
    case BinaryKind::logical_and:
    case BinaryKind::logical_or:
    case BinaryKind::bitwise_and:
    case BinaryKind::bitwise_or:
    case BinaryKind::bitwise_xor:
      break;
  }
  return {};
}

Array by_second(BinaryKind kind, const Pair& v) {
  const auto& [a, b, y, ct] = v;
  switch (kind) {
    case BinaryKind::add:
      return ct;
    case BinaryKind::subtract:
      return -ct;
    case BinaryKind::multiply:
      return ct * a;
    case BinaryKind::divide:
      return -ct * (y / b);
    case BinaryKind::remainder:
      return -ct * floor_divide(a, b);
    case BinaryKind::power:
      return power_by_exponent(a, y, ct);
    case BinaryKind::maximum:
      return masked(less_equal(a, b), ct);  // ties go to the second, as in MLX
    case BinaryKind::minimum:
      return masked(greater_equal(a, b), ct);
    case BinaryKind::logaddexp:
      return ct * sigmoid(finite_difference(b, a));
    case BinaryKind::arctan2:
      return -ct * (a / (square(a) + square(b)));
    case BinaryKind::floor_divide:
    case BinaryKind::equal:
    case BinaryKind::not_equal:
    case BinaryKind::less:
    case BinaryKind::less_equal:
    case BinaryKind::greater:
    case BinaryKind::greater_equal:
    case BinaryKind::logical_and:
    case BinaryKind::logical_or:
    case BinaryKind::bitwise_and:
    case BinaryKind::bitwise_or:
    case BinaryKind::bitwise_xor:
      break;
  }
  return {};
}

}  // namespace

Arrays cotangents(const Unary& p, const Node& n, const Array& ct, const Needed&) {
  return {unary_cotangent(p.kind, n.inputs[0], value_of(n), ct)};
}

Arrays cotangents(const Binary& p, const Node& n, const Array& ct, const Needed& needed) {
  const Array y = value_of(n);
  const Pair v{n.inputs[0], n.inputs[1], y, ct};
  return {needed[0] ? by_first(p.kind, v) : Array(), needed[1] ? by_second(p.kind, v) : Array()};
}

Arrays cotangents(const Select&, const Node& n, const Array& ct, const Needed& needed) {
  const Array zero = like(0, ct);
  return {Array(), needed[1] ? where(n.inputs[0], ct, zero) : Array(),
          needed[2] ? where(n.inputs[0], zero, ct) : Array()};
}

Arrays cotangents(const Cast&, const Node& n, const Array& ct, const Needed&) {
  return {astype(ct, n.inputs[0].dtype())};
}

}  // namespace nhwc
