// tests/ops/test_indexing.cpp -- slices, gathers and scatters
#include <cstdint>

#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {
const Array six() { return reshape(arange(0, 6, 1, Dtype::int32), {2, 3}); }
}  // namespace

TEST_CASE("slice and slice_update") {
  const Array a = six();
  CHECK(values(slice(a, {1, 2}, {2, 2}, {-1, -2})) == V{5, 3, 2, 0});
  CHECK(slice(a, {0, 0}, {2, 3}, {1, 1}).node() == a.node());
  CHECK_THROWS_AS(slice(a, {0, 1}, {2, 3}, {1, 1}), IndexError);
  CHECK_THROWS_AS(slice(a, {0, 0}, {2, 3}, {1, INT64_MAX}), IndexError);
  CHECK_THROWS_AS(slice(a, {0}, {2}, {1}), ValueError);
  const Array u = ints({10, 20}, {2, 1});
  CHECK(values(slice_update(a, u, {0, 1}, {1, 1})) == V{0, 10, 2, 3, 20, 5});
  CHECK(values(slice_update(a, u, {0, 1}, {1, 1}, Update::add)) == V{0, 11, 2, 3, 24, 5});
  CHECK(slice_update(a, a, {0, 0}, {1, 1}).node() == a.node());
}

TEST_CASE("take") {
  CHECK(values(take(six(), ints({1, -1}))) == V{1, 5});
  CHECK(values(take(six(), ints({2, 0, 1, 1}, {2, 2}), 1)) == V{2, 0, 1, 1, 5, 3, 4, 4});
  CHECK(take(six(), Array(1), 1).shape() == Shape{2});
  CHECK_THROWS_AS(take(six(), floats({1}), 0), ValueError);
  CHECK_THROWS_AS(take(zeros({0, 3}), ints({1}), 0), IndexError);
  CHECK(take(zeros({0, 3}), ints({1}), 1).shape() == Shape{0, 1});
  const Array outside = take(six(), ints({6}));
  CHECK_THROWS_AS(eval({outside}), IndexError);
}

TEST_CASE("gather and scatter") {
  const Array a = six();
  CHECK(values(gather(a, {ints({1, 0}), ints({2, 1})}, {0, 1}, {1, 1})) == V{5, 1});
  CHECK(gather(a, {ints({1, 0, 1})}, {1}, {2, 1}).shape() == Shape{3, 2, 1});
  CHECK_THROWS_AS(gather(a, {ints({1})}, {1}, {2, 3}), ValueError);
  CHECK_THROWS_AS(gather(a, {ints({1})}, {2}, {2, 1}), ValueError);
  CHECK_THROWS_AS(gather(a, {floats({1})}, {1}, {2, 1}), ValueError);
  const Array u = ints({10, 20, 30, 40}, {2, 2, 1});
  CHECK(values(scatter(a, {ints({1, 1})}, u, {1}, Update::add)) == V{0, 41, 2, 3, 64, 5});
  CHECK(values(scatter(a, {ints({1, 1})}, u, {1})) == V{0, 30, 2, 3, 40, 5});
  CHECK_THROWS_AS(scatter(a, {ints({1, 1})}, ints({1, 2}, {2, 1, 1, 1}), {1}), ValueError);
  CHECK_THROWS_AS(scatter(a, {ints({1, 1})}, zeros({2, 3, 1}), {1}), ValueError);
}

TEST_CASE("take_along_axis and put_along_axis") {
  CHECK(values(take_along_axis(six(), ints({1, 0}, {1, 2}), 1)) == V{1, 0, 4, 3});
  CHECK(values(take_along_axis(six(), ints({5, 0}), {})) == V{5, 0});
  CHECK_THROWS_AS(take_along_axis(six(), ints({1}), 1), ValueError);
  CHECK_THROWS_AS(take_along_axis(six(), zeros({1, 1}), 1), ValueError);
  CHECK(values(put_along_axis(six(), ints({1, 0}, {1, 2}), Array(9.5f), 1)) == V{9, 9, 2, 9, 9, 5});
  CHECK(values(put_along_axis(six(), ints({1, 0}), Array(9), {})) == V{9, 9, 2, 3, 4, 5});
}
