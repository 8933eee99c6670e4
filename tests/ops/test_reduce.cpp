// tests/ops/test_reduce.cpp -- reductions, scans and sorting: types, shapes, edge cases
#include <cmath>
#include <limits>

#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {
constexpr float kInf = std::numeric_limits<float>::infinity();
}

TEST_CASE("reductions: result types") {
  const std::pair<Dtype, Dtype> sums[] = {{Dtype::bool_, Dtype::int32},     {Dtype::uint8, Dtype::uint32},
                                          {Dtype::uint16, Dtype::uint32},   {Dtype::uint32, Dtype::uint32},
                                          {Dtype::uint64, Dtype::uint64},   {Dtype::int8, Dtype::int32},
                                          {Dtype::int16, Dtype::int32},     {Dtype::int64, Dtype::int64},
                                          {Dtype::float16, Dtype::float16}, {Dtype::float64, Dtype::float64}};
  for (auto [from, to] : sums) {
    const Array a = ones({2, 3}, from);
    CHECK(sum(a).dtype() == to);
    CHECK(prod(a).dtype() == to);
    CHECK(max(a).dtype() == from);
    CHECK(mean(a).dtype() == to_floating(from));
    CHECK(var(a).dtype() == to_floating(from));
    CHECK(logsumexp(a).dtype() == to_floating(from));
    CHECK(softmax(a).dtype() == to_floating(from));
    CHECK(all(a).dtype() == Dtype::bool_);
    CHECK(argmax(a).dtype() == Dtype::uint32);
    CHECK(argsort(a).dtype() == Dtype::uint32);
    CHECK(cumsum(a, 0).dtype() == (from == Dtype::bool_ ? Dtype::int32 : from));
    CHECK(cumprod(a, 0).dtype() == from);
  }
}

TEST_CASE("reductions: axes") {
  const Array a = reshape(arange(0, 24, 1, Dtype::float32), {2, 3, 4});
  using List = std::vector<int>;
  CHECK(sum(a).shape() == Shape{});
  CHECK(sum(a, {}, true).shape() == Shape{1, 1, 1});
  CHECK(sum(a, List{-1, 0}).shape() == Shape{3});
  CHECK(values(sum(a, List{-1, 0})) == V{60, 92, 124});
  CHECK(sum(a, List{1}, true).shape() == Shape{2, 1, 4});
  CHECK(sum(a, List{}).shape() == a.shape());
  CHECK_THROWS_AS(sum(a, List{3}), IndexError);
  CHECK_THROWS_AS(sum(a, List{0, -3}), ValueError);
  CHECK(values(mean(a, List{0, 1})) == V{10, 11, 12, 13});
  CHECK(values(var(floats({1, 2, 4})))[0] == doctest::Approx(14.0 / 9));
  CHECK(std::isnan(values(var(zeros({1}), {}, false, 1))[0]));
  CHECK(std::isnan(values(mean(zeros({0})))[0]));
}

TEST_CASE("reductions: of half types do not overflow on the way") {
  const Array a = full({4096}, Array(100.0f), Dtype::float16);
  CHECK(values(mean(a)) == V{100});
  CHECK(values(var(a)) == V{0});
}

TEST_CASE("reductions: over nothing") {
  const Array none = zeros({0, 3});
  CHECK(values(sum(none)) == V{0});
  CHECK(values(prod(none)) == V{1});
  CHECK_THROWS_AS(max(none), ValueError);
  CHECK(max(none, std::vector<int>{1}).shape() == Shape{0});
  CHECK_THROWS_AS(argmin(none, 0), ValueError);
  CHECK(argmin(none, 1).shape() == Shape{0});
  CHECK(values(logsumexp(zeros({0})))[0] == -kInf);
}

TEST_CASE("logsumexp, softmax") {
  CHECK(values(logsumexp(floats({-kInf, -kInf})))[0] == -kInf);
  CHECK(values(logsumexp(floats({1000, 1000})))[0] == doctest::Approx(1000 + std::log(2.0)));
  CHECK(values(logsumexp(floats({kInf, 1})))[0] == kInf);
  const Array a = reshape(arange(0, 24, 1, Dtype::float32), {2, 3, 4});
  const Array s = softmax(a, std::vector<int>{0, 2});
  CHECK(s.shape() == a.shape());
  for (double v : values(sum(s, std::vector<int>{0, 2}))) CHECK(v == doctest::Approx(1));
  CHECK(values(softmax(a, std::vector<int>{1}))[0] ==
        doctest::Approx(std::exp(-8.0) / (1 + std::exp(-4.0) + std::exp(-8.0))));
}

TEST_CASE("argmax, cumsum, sort, topk") {
  const Array a = ints({5, 1, 4, 2, 3, 9}, {2, 3});
  CHECK(values(argmax(a)) == V{5});
  CHECK(argmax(a, {}, true).shape() == Shape{1, 1});
  CHECK(values(argmin(a, 1)) == V{1, 0});
  CHECK(values(cumsum(a, 1, true, false)) == V{5, 4, 0, 12, 9, 0});
  CHECK(values(cumprod(not_equal(ints({1, 1, 0, 1}), Array(0)), 0)) == V{1, 1, 0, 0});
  CHECK(values(sort(a, {})) == V{1, 2, 3, 4, 5, 9});
  CHECK(values(argsort(a)) == V{1, 2, 0, 0, 1, 2});
  CHECK(values(topk(a, 2)) == V{4, 5, 3, 9});
  CHECK(topk(a, 0).shape() == Shape{2, 0});
  CHECK_THROWS_AS(topk(a, 4), ValueError);
  CHECK_THROWS_AS(sort(Array(1.0f)), IndexError);
}
