// tests/ops/test_random.cpp -- random numbers: MLX's for the same key, checked against values printed by MLX 0.32
#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

TEST_CASE("random: keys and bits") {
  CHECK(values(random::key((uint64_t(3) << 32) | 7)) == V{3, 7});
  const Array k = random::key(7);
  CHECK(values(random::bits({5}, 4, k)) == V{276534068, 861967409, 2793701230, 1641862660, 2900896126});
  CHECK(values(random::split(k, 2)) == V{966301609, 989289821, 1948237315, 1058547403});
  CHECK(values(random::split(k).second) == V{1948237315, 1058547403});
  CHECK(random::split(k, 0).shape() == Shape{0, 2});
  CHECK_THROWS_AS(random::split(k, -1), ValueError);
  CHECK_THROWS_AS(random::bits({2}, 3, k), ValueError);
  CHECK_THROWS_AS(random::bits({2}, 4, ints({1, 2})), ValueError);
  CHECK_THROWS_AS(random::bits({-2}, 4, k), ValueError);
}

TEST_CASE("random: distributions") {
  const Array k = random::key(7), zero(0.0f), one(1.0f);
  CHECK(values(random::uniform(zero, one, {5}, Dtype::float32, k))[0] == doctest::Approx(0.06438561));
  CHECK(values(random::randint(Array(0), Array(100), {5}, Dtype::int32, k)) == V{6, 20, 65, 38, 67});
  CHECK(values(random::randint(Array(-7), Array(100), {5}, Dtype::int32, k)) == V{-1, 14, 62, 33, 65});
  CHECK(values(random::randint(Array(10), Array(5), {2}, Dtype::int32, k)) == V{10, 10});
  CHECK(values(random::normal({5}, Dtype::float16, {}, {}, k))[1] == doctest::Approx(-0.838867).epsilon(1e-5));
  CHECK(random::normal({2}, Dtype::float64, {}, {}, k).dtype() == Dtype::float64);
  CHECK(values(random::bernoulli(floats({0, 1}), {2}, k)) == V{0, 1});
  CHECK_THROWS_AS(random::uniform(zero, one, {2}, Dtype::int32, k), ValueError);
  CHECK_THROWS_AS(random::uniform(zeros({2}), one, {1}, Dtype::float32, k), ValueError);
  CHECK_THROWS_AS(random::randint(zero, one, {2}, Dtype::float32, k), ValueError);
  CHECK_THROWS_AS(random::bernoulli(Array(1), {2}, k), ValueError);
}

TEST_CASE("random: randint limits what float32 rounds out of the range") {
  const Array k = random::key(3);
  const Array r = random::randint(Array((1 << 24) + 1), Array((1 << 24) + 4), {1000}, Dtype::int32, k);
  CHECK(values(min(r)) == V{(1 << 24) + 1});
  CHECK(values(max(r)) == V{(1 << 24) + 3});
  const Array f = random::randint(Array(-3.5f), Array(3.5f), {1000}, Dtype::int32, k);
  CHECK(values(min(f)) == V{-3});
  CHECK(values(max(f)) == V{2});
}

TEST_CASE("random: samples of one distribution follow its weights") {
  const Array logits = log(floats({1, 0, 2, 5}));
  const Array c = random::categorical(logits, -1, {}, 80000, random::key(1));
  CHECK(c.shape() == Shape{80000});
  CHECK(c.dtype() == Dtype::uint32);
  const double expected[] = {10000, 0, 20000, 50000};
  for (int i = 0; i < 4; ++i) CHECK(values(sum(equal(c, Array(i))))[0] == doctest::Approx(expected[i]).epsilon(0.03));
  const Array none = log(zeros({5}));
  CHECK(values(max(random::categorical(none, -1, {}, 1000, random::key(1)))) == V{4});
}

TEST_CASE("random: half types stay below the upper bound") {
  const Array k = random::key(1), zero(0.0f), one(1.0f);
  for (Dtype t : {Dtype::float16, Dtype::bfloat16}) {
    const Array u = random::uniform(zero, one, {100000}, t, k);
    CHECK(u.dtype() == t);
    CHECK(values(max(u))[0] < 1);
  }
}

TEST_CASE("random: categorical and permutation") {
  const Array k = random::key(3), logits = zeros({2, 3});
  CHECK(random::categorical(logits, -1, {}, {}, k).shape() == Shape{2});
  CHECK(random::categorical(logits, 0, {}, {}, k).shape() == Shape{3});
  CHECK(random::categorical(logits, -1, Shape{5, 2}, {}, k).shape() == Shape{5, 2});
  CHECK(random::categorical(logits, -1, {}, 4, k).shape() == Shape{2, 4});
  CHECK_THROWS_AS(random::categorical(logits, -1, Shape{4}, {}, k), ValueError);
  CHECK_THROWS_AS(random::categorical(logits, -1, Shape{2}, 4, k), ValueError);
  CHECK_THROWS_AS(random::categorical(logits, 5, {}, {}, k), IndexError);
  CHECK(values(sort(random::permutation(6, k))) == V{0, 1, 2, 3, 4, 5});
  CHECK(random::permutation(zeros({4, 3}), 1, k).shape() == Shape{4, 3});
  CHECK_THROWS_AS(random::permutation(-1, k), ValueError);
}
