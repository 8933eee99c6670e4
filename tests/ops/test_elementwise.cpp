// tests/ops/test_elementwise.cpp -- result types and shapes of the elementwise operations
#include <cmath>
#include <limits>

#include "graph/node.h"
#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

constexpr Dtype kAll[] = {Dtype::bool_,    Dtype::uint8,   Dtype::uint16, Dtype::uint32, Dtype::uint64,
                          Dtype::int8,     Dtype::int16,   Dtype::int32,  Dtype::int64,  Dtype::float16,
                          Dtype::bfloat16, Dtype::float32, Dtype::float64};
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("unary: result types") {
  using F = Array (*)(const Array&);
  for (Dtype t : kAll) {
    const Array a = ones({2}, t);
    for (F f : {F(abs), F(sign), F(square), F(floor), F(ceil), F(round)}) CHECK(f(a).dtype() == t);
    for (F f : {F(sqrt),  F(rsqrt), F(reciprocal), F(exp), F(expm1),  F(log),    F(log1p),  F(log2),
                F(log10), F(sin),   F(cos),        F(tan), F(arcsin), F(arccos), F(arctan), F(sinh),
                F(cosh),  F(tanh),  F(sigmoid),    F(erf), F(erfinv), F(silu),   F(gelu)})
      CHECK(f(a).dtype() == to_floating(t));
    for (F f : {F(logical_not), F(isnan), F(isinf), F(isfinite)}) CHECK(f(a).dtype() == Dtype::bool_);
    if (t == Dtype::bool_)
      CHECK_THROWS_AS(negative(a), ValueError);
    else
      CHECK(negative(a).dtype() == t);
    if (is_floating(t))
      CHECK_THROWS_AS(bitwise_invert(a), ValueError);
    else
      CHECK(bitwise_invert(a).dtype() == t);
  }
}

TEST_CASE("unary: integers and bool") {
  CHECK(values(abs(ints({-3, 4}))) == V{3, 4});
  CHECK(values(floor(ints({-3, 4}))) == V{-3, 4});
  CHECK(values(isfinite(ints({-3, 4}))) == V{1, 1});
  CHECK(values(bitwise_invert(ints({0, 5}))) == V{-1, -6});
  const Array flags = not_equal(ints({1, 0}), ints({0, 0}));
  CHECK(values(bitwise_invert(flags)) == V{0, 1});
  CHECK(values(logical_not(floats({2, 0}))) == V{0, 1});
  CHECK(values(sign(flags)) == V{1, 0});
  CHECK(values(square(flags)) == V{1, 0});
  CHECK(values(relu(ints({-3, 4}))) == V{0, 4});
}

TEST_CASE("binary: result types") {
  for (Dtype s : kAll)
    for (Dtype t : kAll) {
      const Array a = ones({2}, s), b = ones({3, 1}, t);
      const Dtype p = promote_types(s, t);
      CHECK(add(a, b).dtype() == p);
      CHECK(power(a, b).dtype() == p);
      CHECK(floor_divide(a, b).dtype() == p);
      CHECK(divide(a, b).dtype() == to_floating(p));
      CHECK(logaddexp(a, b).dtype() == to_floating(p));
      CHECK(less(a, b).dtype() == Dtype::bool_);
      CHECK(logical_or(a, b).dtype() == Dtype::bool_);
      CHECK(add(a, b).shape() == Shape{3, 2});
      if (is_floating(p))
        CHECK_THROWS_AS(bitwise_and(a, b), ValueError);
      else
        CHECK(bitwise_and(a, b).dtype() == p);
      const Array node = add(a, b);
      for (const Array& in : node.node()->inputs) {
        CHECK(in.dtype() == p);
        CHECK(in.shape() == Shape{3, 2});
      }
    }
  CHECK(contains(message_of<ValueError>([] { return add(zeros({2, 3}), zeros({2})); }), "(2, 3) and (2,)"));
}

TEST_CASE("where, clip, round") {
  const Array c = ints({1, 0});
  CHECK(values(where(c, ints({1, 2}), Array(2.5f))) == V{1, 2.5});
  CHECK(where(reshape(c, {2, 1}), ints({1, 2}), Array(7)).shape() == Shape{2, 2});
  CHECK(values(clip(ints({1, 2, 3}), Array(5), Array(1))) == V{1, 1, 1});
  CHECK(clip(ints({1, 2, 3}), Array(1.5f), {}).dtype() == Dtype::float32);
  CHECK_THROWS_AS(clip(c, {}, {}), ValueError);
  CHECK(values(round(ints({123, -155}), -1)) == V{120, -160});
  CHECK(values(round(ints({123}), 2)) == V{123});
  CHECK(values(round(floats({2.5, -1.5}), 0)) == V{2, -2});
}

TEST_CASE("nan_to_num, isclose, array_equal") {
  const Array a = floats({kNan, kInf, -kInf, 1});
  CHECK(values(nan_to_num(a)) == V{0, std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 1});
  CHECK(values(nan_to_num(a, 1, 2, 3)) == V{1, 2, 3, 1});
  CHECK(values(nan_to_num(astype(a, Dtype::float16)))[1] == 65504);
  CHECK(values(isclose(a, a)) == V{0, 1, 1, 1});
  CHECK(values(isclose(a, a, 1e-5, 1e-8, true)) == V{1, 1, 1, 1});
  CHECK(values(isclose(floats({kInf, 1, 1}), floats({-kInf, 1.000001f, 1.1f}))) == V{0, 1, 0});
  CHECK(values(array_equal(ints({1, 2}), floats({1, 2}))) == V{1});
  CHECK(values(array_equal(ints({1, 2}), ints({1, 2}, {1, 2}))) == V{0});
  CHECK(values(array_equal(a, a, true)) == V{1});
  CHECK(result_type({ints({1}), zeros({1}, Dtype::float16)}) == Dtype::float16);
  CHECK_THROWS_AS(result_type({}), ValueError);
}
