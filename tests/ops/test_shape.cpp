// tests/ops/test_shape.cpp -- operations that move elements: results, simplifications, mistakes
#include "graph/node.h"
#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {
const Array six() { return reshape(arange(0, 6, 1, Dtype::int32), {2, 3}); }
}  // namespace

TEST_CASE("reshape, flatten, unflatten") {
  const Array a = six();
  CHECK(reshape(a, {3, -1}).shape() == Shape{3, 2});
  CHECK(reshape(a, {2, 3}).node() == a.node());
  CHECK(reshape(zeros({0, 3}), {3, -1}).shape() == Shape{3, 0});
  for (const Dims& bad : {Dims{-1, -1}, Dims{4, -1}, Dims{-2, 3}, Dims{5}})
    CHECK_THROWS_AS(reshape(a, bad), ValueError);
  CHECK_THROWS_AS(reshape(zeros({0, 3}), {0, -1}), ValueError);
  CHECK_THROWS_AS(reshape(a, {int64_t(1) << 40, int64_t(1) << 40}), ValueError);
  CHECK(flatten(zeros({2, 3, 4}), 1).shape() == Shape{2, 12});
  CHECK(flatten(zeros({2, 3, 4}), -7, 1).shape() == Shape{6, 4});
  CHECK(flatten(Array(1.0f)).shape() == Shape{1});
  CHECK_THROWS_AS(flatten(zeros({2, 3, 4}), 2, 1), ValueError);
  CHECK_THROWS_AS(flatten(zeros({0, int64_t(1) << 40, int64_t(1) << 40}), 1), ValueError);
  CHECK(unflatten(zeros({2, 12}), 1, {3, -1}).shape() == Shape{2, 3, 4});
  for (const Dims& bad : {Dims{}, Dims{5}, Dims{-1, -1}, Dims{-3, -4}})
    CHECK_THROWS_AS(unflatten(zeros({2, 12}), 1, bad), ValueError);
}

TEST_CASE("transpose and its relatives") {
  const Array a = zeros({2, 3, 4});
  CHECK(transpose(a).shape() == Shape{4, 3, 2});
  CHECK(transpose(a, std::vector<int>{0, 1, 2}).node() == a.node());
  CHECK(moveaxis(a, 0, -1).shape() == Shape{3, 4, 2});
  CHECK(swapaxes(a, 0, -1).shape() == Shape{4, 3, 2});
  CHECK_THROWS_AS(transpose(a, std::vector<int>{0, 1}), ValueError);
  CHECK_THROWS_AS(transpose(a, std::vector<int>{0, 0, 1}), ValueError);
  CHECK_THROWS_AS(moveaxis(a, 3, 0), IndexError);
  CHECK(squeeze(zeros({1, 2, 1})).shape() == Shape{2});
  CHECK(squeeze(zeros({1, 2, 1}), std::vector<int>{-1}).shape() == Shape{1, 2});
  CHECK_THROWS_AS(squeeze(a, std::vector<int>{0}), ValueError);
  CHECK(expand_dims(a, {0, -1}).shape() == Shape{1, 2, 3, 4, 1});
  CHECK_THROWS_AS(expand_dims(a, {0, 0}), ValueError);
}

TEST_CASE("broadcast_to") {
  CHECK(broadcast_to(zeros({3, 1}), {2, 3, 4}).shape() == Shape{2, 3, 4});
  for (const Shape& bad : {Shape{3}, Shape{2, 2}, Shape{-1, 3}, Shape{int64_t(1) << 40, int64_t(1) << 40, 2, 3}})
    CHECK_THROWS_AS(broadcast_to(zeros({2, 3}), bad), ValueError);
}

TEST_CASE("concatenate, stack, split") {
  CHECK(values(concatenate({ints({1}), floats({1.5})})) == V{1, 1.5});
  CHECK_THROWS_AS(concatenate({}), ValueError);
  CHECK_THROWS_AS(concatenate({zeros({2}), zeros({2, 1})}), ValueError);
  CHECK_THROWS_AS(concatenate({zeros({2, 2}), zeros({3, 3})}), ValueError);
  CHECK(stack({six(), six()}, -1).shape() == Shape{2, 3, 2});
  CHECK_THROWS_AS(stack({zeros({2}), zeros({3})}), ValueError);
  const Array five = arange(0, 5, 1, Dtype::int32);
  const Arrays parts = split_at(five, {1, -2});
  CHECK(parts.size() == 3);
  CHECK(values(parts[1]) == V{1, 2});
  CHECK(split_at(five, {3, 1})[1].shape() == Shape{0});
  CHECK(split(zeros({2, 6}), 3, 1)[2].shape() == Shape{2, 2});
  CHECK_THROWS_AS(split(five, 2), ValueError);
  CHECK_THROWS_AS(split(five, 0), ValueError);
}

TEST_CASE("repeat, tile, pad, roll, flip") {
  CHECK(values(repeat(ints({1, 2}), 2)) == V{1, 1, 2, 2});
  CHECK(repeat(six(), 2, 1).shape() == Shape{2, 6});
  CHECK_THROWS_AS(repeat(six(), -1), ValueError);
  CHECK(values(tile(ints({1, 2}), {2, 1, 2})) == V{1, 2, 1, 2, 1, 2, 1, 2});
  CHECK(tile(six(), {}).node() != nullptr);
  CHECK_THROWS_AS(tile(six(), {-1}), ValueError);
  CHECK(values(pad(ints({1, 2}), {{1, 2}}, Array(1.7f))) == V{1, 1, 2, 1, 1});
  CHECK(values(pad(six(), {{1, 0}, {0, 2}}, Array(0), PadMode::edge)) ==
        V{0, 1, 2, 2, 2, 0, 1, 2, 2, 2, 3, 4, 5, 5, 5});
  CHECK(values(pad(six(), {{0, 0}, {1, 0}}, Array(9))) == V{9, 0, 1, 2, 9, 3, 4, 5});
  CHECK_THROWS_AS(pad(six(), {{-1, 0}, {0, 0}}, Array(0)), ValueError);
  CHECK_THROWS_AS(pad(six(), {{1, 0}}, Array(0)), ValueError);
  CHECK_THROWS_AS(pad(zeros({0}), {{1, 0}}, Array(0), PadMode::edge), ValueError);
  CHECK(values(roll(six(), {1})) == V{5, 0, 1, 2, 3, 4});
  CHECK(values(roll(six(), {1, 2})) == V{3, 4, 5, 0, 1, 2});
  CHECK(values(roll(six(), {1}, std::vector<int>{0, 1})) == V{5, 3, 4, 2, 0, 1});
  CHECK(values(roll(six(), {-4}, std::vector<int>{1})) == V{1, 2, 0, 4, 5, 3});
  CHECK(values(roll(six(), {1, 2}, std::vector<int>{0})) == V{3, 4, 5, 0, 1, 2});
  CHECK_THROWS_AS(roll(six(), {1, 2, 3}, std::vector<int>{0, 1}), ValueError);
  CHECK(values(flip(six(), std::vector<int>{1})) == V{2, 1, 0, 5, 4, 3});
  CHECK(flip(zeros({0, 2})).shape() == Shape{0, 2});
}

TEST_CASE("creation") {
  CHECK_THROWS_AS(zeros({2, -1}), ValueError);
  CHECK_THROWS_AS(full({int64_t(1) << 40, int64_t(1) << 40}, Array(1), Dtype::int32), ValueError);
  CHECK(values(arange(0, 5, 0.5, Dtype::int32)) == V(10, 0));
  CHECK(values(arange(0.7, 5, 1.5, Dtype::int32)) == V{0, 2, 4});
  CHECK(values(arange(5, 0, -2, Dtype::float16)) == V{5, 3, 1});
  CHECK(arange(5, 0, 1, Dtype::int32).shape() == Shape{0});
  CHECK_THROWS_AS(arange(0, 5, 0, Dtype::int32), ValueError);
  CHECK_THROWS_AS(arange(0, 5, 1, Dtype::bool_), ValueError);
  CHECK_THROWS_AS(arange(0, 1e300, 1e-300, Dtype::float32), ValueError);
  CHECK(values(linspace(0, 10, 5, Dtype::int32)) == V{0, 2, 5, 7, 10});
  CHECK(values(linspace(3, 10, 1)) == V{3});
  CHECK(linspace(0, 1, 0).shape() == Shape{0});
  CHECK_THROWS_AS(linspace(0, 1, -1), ValueError);
  CHECK(values(eye(2, 3, -1)) == V{0, 0, 0, 1, 0, 0});
  CHECK(values(tri(2, 3, 1)) == V{1, 1, 0, 1, 1, 1});
  CHECK(values(tril(six())) == V{0, 0, 0, 3, 4, 0});
  CHECK(values(triu(six())) == V{0, 1, 2, 0, 4, 5});
  CHECK_THROWS_AS(tril(zeros({3})), ValueError);
  CHECK(values(diag(ints({1, 2}), -1)) == V{0, 0, 0, 1, 0, 0, 0, 2, 0});
  CHECK(values(diag(six(), 1)) == V{1, 5});
  CHECK(diag(six(), 7).shape() == Shape{0});
  CHECK(values(diagonal(reshape(arange(0, 24, 1, Dtype::int32), {2, 3, 4}), 1, 2, 0)) == V{12, 16, 20});
  CHECK_THROWS_AS(diagonal(six(), 0, 0, 0), ValueError);
  const Arrays grid = meshgrid({ints({1, 2, 3}), ints({4, 5})});
  CHECK(values(grid[0]) == V{1, 2, 3, 1, 2, 3});
  CHECK(values(grid[1]) == V{4, 4, 4, 5, 5, 5});
  CHECK_THROWS_AS(meshgrid({ints({1})}, false, "x"), ValueError);
}
