// tests/ops/test_linalg.cpp -- matrix products, einsum, norms, normalisation
#include <cmath>
#include <limits>

#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

const Array range(const Shape& s) { return reshape(arange(0, static_cast<double>(size_of(s)), 1, Dtype::float32), s); }
std::string mistake(const std::function<Array()>& f) { return message_of<ValueError>(f); }
constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("matmul: shapes") {
  auto shape = [](const Shape& a, const Shape& b) { return matmul(zeros(a), zeros(b)).shape(); };
  CHECK(shape({3}, {3}) == Shape{});
  CHECK(shape({3}, {3, 2}) == Shape{2});
  CHECK(shape({2, 3}, {3}) == Shape{2});
  CHECK(shape({4, 2, 3}, {3, 5}) == Shape{4, 2, 5});
  CHECK(shape({4, 1, 2, 3}, {6, 3, 5}) == Shape{4, 6, 2, 5});
  CHECK(shape({4, 2, 3}, {3}) == Shape{4, 2});
  CHECK(shape({3}, {4, 3, 2}) == Shape{4, 2});
  CHECK(shape({0, 2, 3}, {3, 5}) == Shape{0, 2, 5});
  CHECK(shape({4, 2, 0}, {0, 5}) == Shape{4, 2, 5});
  CHECK_THROWS_AS(shape({}, {3}), ValueError);
  CHECK_THROWS_AS(shape({2, 3}, {2, 3}), ValueError);
  CHECK_THROWS_AS(shape({2, 2, 3}, {3, 3, 2}), ValueError);
  CHECK(contains(mistake([] { return matmul(ints({1}), ints({1})); }), "int32"));
  CHECK(matmul(zeros({2}, Dtype::float16), ints({1, 2})).dtype() == Dtype::float16);
  CHECK(values(matmul(range({2, 3}), range({3, 2}))) == V{10, 13, 28, 40});
}

TEST_CASE("addmm, outer, inner, tensordot") {
  CHECK(values(addmm(floats({1, 2}), range({2, 2}), range({2, 2}), 2, 10)) == V{14, 26, 22, 42});
  CHECK_THROWS_AS(addmm(zeros({2, 2, 2}), range({2, 2}), range({2, 2})), ValueError);
  CHECK(values(outer(ints({1, 2}), ints({3, 4}))) == V{3, 4, 6, 8});
  CHECK(values(inner(range({2, 2}), range({3, 2}))) == V{1, 3, 5, 3, 13, 23});
  CHECK(values(inner(Array(2), ints({1, 2}))) == V{2, 4});
  CHECK_THROWS_AS(inner(zeros({3}), zeros({2})), ValueError);
  CHECK(tensordot(zeros({2, 3, 4}), zeros({3, 4, 5})).shape() == Shape{2, 5});
  CHECK(tensordot(zeros({2, 3}), zeros({4, 5}), 0).shape() == Shape{2, 3, 4, 5});
  CHECK(tensordot(zeros({2, 3, 4}), zeros({4, 2}), {0, 2}, {1, 0}).shape() == Shape{3});
  CHECK_THROWS_AS(tensordot(zeros({2, 3}), zeros({3, 2}), 3), ValueError);
  CHECK_THROWS_AS(tensordot(zeros({2, 3}), zeros({3, 2}), {0}, {0}), ValueError);
}

TEST_CASE("einsum: values") {
  const Array a = range({2, 3}), b = range({3, 2}), s = range({3, 3});
  CHECK(values(einsum("ij,jk", {a, b})) == values(matmul(a, b)));
  CHECK(values(einsum("ij,jk->ki", {a, b})) == values(transpose(matmul(a, b))));
  CHECK(values(einsum("ii", {s})) == V{12});
  CHECK(values(einsum("ii->i", {s})) == V{0, 4, 8});
  CHECK(values(einsum("ba", {a})) == values(transpose(a)));
  CHECK(values(einsum("ij->j", {a})) == V{3, 5, 7});
  CHECK(values(einsum("i,j->ij", {floats({1, 2}), floats({3, 4})})) == V{3, 4, 6, 8});
  CHECK(values(einsum("ij,ij->i", {a, a})) == V{5, 50});
  CHECK(values(einsum("...i,i->...", {a, floats({1, 10, 100})})) == V{210, 543});
  CHECK(einsum("b...ij,b...jk->b...ik", {zeros({2, 5, 3, 4}), zeros({2, 5, 4, 6})}).shape() == Shape{2, 5, 3, 6});
  CHECK(einsum("...ij,jk", {zeros({7, 2, 3}), zeros({3, 4})}).shape() == Shape{7, 2, 4});
  CHECK(values(einsum("ij,jk,kl,l->i", {a, b, a, floats({1, 1, 1})})) == V{186, 564});
  CHECK(values(einsum(" i j , j -> i ", {a, floats({1, 0, 0})})) == V{0, 3});
  CHECK(values(einsum(",i->i", {Array(2.0f), floats({1, 2})})) == V{2, 4});
}

TEST_CASE("einsum: integers are exact") {
  const Array big = ints({1 << 24, 1, 3, 5}, {2, 2});
  CHECK(values(einsum("ij,j->i", {big, ints({1, 1})})) == V{(1 << 24) + 1, 8});
  CHECK(einsum("ij,j->i", {big, ints({1, 1})}).dtype() == Dtype::int32);
  CHECK(einsum("ij->i", {zeros({2, 3}, Dtype::int8)}).dtype() == Dtype::int32);
  CHECK(values(einsum("ij,jk->ki", {ints({1, 2, 3, 4}, {2, 2}), ints({5, 6, 7, 8}, {2, 2})})) == V{19, 43, 22, 50});
}

TEST_CASE("einsum: mistakes") {
  const Array a = range({2, 3});
  CHECK(contains(mistake([&] { return einsum("ij->k", {a}); }), "names a subscript that no operand has"));
  CHECK(contains(mistake([&] { return einsum("ij->ii", {a}); }), "one twice"));
  CHECK(contains(mistake([&] { return einsum("ij", {a, a}); }), "name 1 operands, got 2"));
  CHECK(contains(mistake([&] { return einsum("ij$", {a}); }), "'$'"));
  CHECK(contains(mistake([&] { return einsum("ijk", {a}); }), "(2, 3)"));
  CHECK(contains(mistake([&] { return einsum("i", {a}); }), "(2, 3)"));
  CHECK(contains(mistake([&] { return einsum("ij,ij", {a, range({2, 4})}); }), "sizes 3 and 4"));
  CHECK(contains(mistake([&] { return einsum("ii", {a}); }), "sizes 2 and 3"));
  CHECK(mistake([&] { return einsum("...i...", {a}); }) != "");
  CHECK(mistake([&] { return einsum("ij->i->j", {a}); }) != "");
  CHECK(mistake([] { return einsum("", {}); }) != "");
}

TEST_CASE("norm") {
  const Array v = floats({3, -4}), m = floats({1, 2, 3, -4}, {2, 2});
  CHECK(values(norm(v)) == V{5});
  CHECK(values(norm(v, 1.0)) == V{7});
  CHECK(values(norm(v, 0.0)) == V{2});
  CHECK(values(norm(v, kInf)) == V{4});
  CHECK(values(norm(v, -kInf)) == V{3});
  CHECK(values(norm(v, 3.0))[0] == doctest::Approx(std::cbrt(91.0)));
  CHECK(values(norm(m, 1.0)) == V{6});
  CHECK(values(norm(m, -1.0)) == V{4});
  CHECK(values(norm(m, kInf)) == V{7});
  CHECK(values(norm(m, -kInf)) == V{3});
  CHECK(values(norm(m, "fro"))[0] == doctest::Approx(std::sqrt(30.0)));
  CHECK(norm(m, {}, {}, true).shape() == Shape{1, 1});
  CHECK(norm(zeros({2, 3, 4}), 1.0, std::vector<int>{1, 2}).shape() == Shape{2});
  CHECK(norm(ints({3, 4})).dtype() == Dtype::float32);
  CHECK_THROWS_AS(norm(m, 3.0), ValueError);
  CHECK_THROWS_AS(norm(v, "fro"), ValueError);
  CHECK_THROWS_AS(norm(m, "nuc"), ValueError);
  CHECK_THROWS_AS(norm(zeros({2, 3, 4}), 1.0), ValueError);
}

TEST_CASE("layer_norm and rms_norm") {
  const Array x = floats({1, 2}, {1, 2});
  const auto near = [](const Array& y, double a, double b) {
    CHECK(values(y)[0] == doctest::Approx(a).epsilon(1e-5));
    CHECK(values(y)[1] == doctest::Approx(b).epsilon(1e-5));
  };
  near(layer_norm(x, floats({1, 2}), {}, 1e-5), -0.99998, 1.99996);
  near(layer_norm(x, {}, floats({1, 2}), 1e-5), 0.00002, 2.99998);
  near(rms_norm(x, floats({1, 2}), 1e-5), 0.6324543, 2.5298171);
  const Array h = astype(x, Dtype::float16);
  CHECK(layer_norm(h, {}, {}, 1e-5).dtype() == Dtype::float16);
  CHECK(layer_norm(h, floats({1, 2}), {}, 1e-5).dtype() == Dtype::float32);
  CHECK(rms_norm(h, zeros({2}, Dtype::float16), 1e-5).dtype() == Dtype::float16);
  CHECK_THROWS_AS(layer_norm(x, floats({1, 2, 3}), {}, 1e-5), ValueError);
  CHECK_THROWS_AS(rms_norm(Array(1.0f), {}, 1e-5), ValueError);
}
