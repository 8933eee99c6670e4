// tests/backend/test_shape.cpp -- views, copies, SliceUpdate, Concatenate, Gather and Scatter against plain loops
#include "backend_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

double combined(UpdateMode m, double a, double b) {
  switch (m) {
    case UpdateMode::set:
      return b;
    case UpdateMode::add:
      return a + b;
    case UpdateMode::multiply:
      return a * b;
    case UpdateMode::maximum:
      return std::max(a, b);
    default:
      return std::min(a, b);
  }
}
const UpdateMode modes[] = {UpdateMode::set, UpdateMode::add, UpdateMode::multiply, UpdateMode::maximum,
                            UpdateMode::minimum};

Array counting(const Shape& s, Dtype t = Dtype::float32, Layout l = Layout::row_major) {
  return leaf(s, t, l, [](int64_t i) { return static_cast<double>(i % 100); });
}

}  // namespace

TEST_CASE("reshape keeps the row-major order; a view where strides allow") {
  std::mt19937 rng(31);
  const std::vector<std::pair<Shape, std::vector<Shape>>> cases = {
      {{2, 3, 4}, {{24}, {6, 4}, {2, 12}, {4, 6}, {1, 2, 3, 1, 4, 1}, {2, 3, 2, 2}, {3, 8}}},
      {{6, 4}, {{2, 3, 4}, {24}, {6, 2, 2}}},
      {{1}, {{}, {1, 1}}},
      {{0, 3}, {{3, 0}, {0}}},
  };
  for (const auto& [from, all] : cases)
    for (const Shape& to : all)
      for (int l = 0; l < kLayouts; ++l)
        for (Dtype t : {Dtype::uint8, Dtype::float16, Dtype::float32, Dtype::int64}) {
          Array x = counting(from, t, static_cast<Layout>(l));
          CAPTURE(to_string(from));
          CAPTURE(to_string(to));
          CAPTURE(l);
          CHECK(values(testing::run(Reshape{}, to, t, {x})) == values(x));
        }
  const Array stepped = counting({4, 6}, Dtype::float32, Layout::stepped);
  const Array split = testing::run(Reshape{}, {2, 2, 3, 2}, Dtype::float32, {stepped});
  CHECK(split.node()->buffer.get() == stepped.node()->buffer.get());
}

TEST_CASE("transpose, broadcast and slice are views") {
  const Array x = counting({2, 3, 4});
  const Array t = testing::run(Transpose{{2, 0, 1}}, {4, 2, 3}, Dtype::float32, {x});
  CHECK(t.node()->buffer.get() == x.node()->buffer.get());
  CHECK(values(t)[1] == 4);
  CHECK(values(t)[3] == 12);
  const Array s = testing::run(Slice{{1, 2, 3}, {1, -1, -2}}, {1, 3, 2}, Dtype::float32, {x});
  CHECK(values(s) == Values{23, 21, 19, 17, 15, 13});
  const Array b = testing::run(Broadcast{}, {2, 3, 2}, Dtype::float32, {of({3, 1}, Dtype::float32, {1, 2, 3})});
  CHECK(values(b) == Values{1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3});
  CHECK(values(testing::run(Slice{{2, 0, 0}, {1, 1, 1}}, {0, 3, 4}, Dtype::float32, {x})).empty());
}

TEST_CASE("contiguous copies of large and small arrays of any strides") {
  for (const Shape& s : {Shape{5}, Shape{70, 90}, Shape{300, 500}, Shape{3, 200, 300}, Shape{20, 30, 40, 3}})
    for (int l = 0; l < kLayouts; ++l)
      for (Dtype t : {Dtype::uint8, Dtype::float16, Dtype::float32, Dtype::float64}) {
        const Array x = counting(s, t, static_cast<Layout>(l));
        const Array y = testing::run(Identity{IdentityKind::contiguous}, s, t, {x});
        CHECK(y.node()->row_major);
        CHECK(values(y) == values(x));
      }
  Array x = counting({60, 200, 50});
  Array t = testing::run(Transpose{{2, 0, 1}}, {50, 60, 200}, Dtype::float32, {x});
  CHECK(values(testing::run(Identity{IdentityKind::contiguous}, {50, 60, 200}, Dtype::float32, {t})) == values(t));
}

TEST_CASE("slice update with every mode, and its storage") {
  std::mt19937 rng(32);
  for (Dtype t : {Dtype::bool_, Dtype::int8, Dtype::float16, Dtype::float32, Dtype::int64})
    for (UpdateMode m : modes)
      for (int l = 0; l < kLayouts; ++l) {
        if (t == Dtype::bool_ && m != UpdateMode::set) continue;
        Array x = random_leaf(rng, {5, 7}, t, static_cast<Layout>(l)),
              u = random_leaf(rng, {2, 3}, t, random_layout(rng));
        const Values before = values(x), vu = values(u);
        Values want = before;
        for (size_t i = 0; i < 2; ++i)
          for (size_t j = 0; j < 3; ++j) {
            double& w = want[(1 + i * 2) * 7 + 6 - 2 * j];
            w = combined(m, w, vu[i * 3 + j]);
          }
        CHECK(values(testing::run(SliceUpdate{{1, 6}, {2, -2}, m}, {5, 7}, t, {x, u})) == want);
        CHECK(values(x) == before);
      }
  Array x = counting({5});
  const void* storage = x.node()->data();
  NodeInputs in;
  in.push_back(std::move(x));
  in.push_back(of({1}, Dtype::float32, {9}));
  const Array y = testing::run(SliceUpdate{{2}, {1}, UpdateMode::set}, {5}, Dtype::float32, std::move(in), true);
  CHECK(y.node()->data() == storage);
  CHECK(values(y) == Values{0, 1, 9, 3, 4});
}

TEST_CASE("concatenate along any axis, empty parts included") {
  std::mt19937 rng(33);
  for (int axis = 0; axis < 2; ++axis) {
    const Shape sa = axis == 0 ? Shape{2, 4} : Shape{3, 2}, sb = axis == 0 ? Shape{0, 4} : Shape{3, 0},
                sc = axis == 0 ? Shape{1, 4} : Shape{3, 5};
    Array a = random_leaf(rng, sa, Dtype::int16, Layout::transposed),
          b = random_leaf(rng, sb, Dtype::int16, Layout::row_major),
          c = random_leaf(rng, sc, Dtype::int16, Layout::reversed);
    const Shape out = axis == 0 ? Shape{3, 4} : Shape{3, 7};
    const Values va = values(a), vc = values(c),
                 got = values(testing::run(Concatenate{axis}, out, Dtype::int16, {a, b, c}));
    Values want;
    if (axis == 0) {
      want = va;
      want.insert(want.end(), vc.begin(), vc.end());
    } else {
      for (size_t r = 0; r < 3; ++r) {
        for (size_t j = 0; j < 2; ++j) want.push_back(va[r * 2 + j]);
        for (size_t j = 0; j < 5; ++j) want.push_back(vc[r * 5 + j]);
      }
    }
    CHECK(got == want);
  }
}

TEST_CASE("gather: rows, elements, slices of any strides; negative indices; out of range raises") {
  std::mt19937 rng(34);
  for (int l = 0; l < kLayouts; ++l) {
    Array x = random_leaf(rng, {5, 6, 3}, Dtype::float32, static_cast<Layout>(l));
    const Values v = values(x);
    const Array rows = of({2, 2}, Dtype::int32, {0, -1, 3, 3});
    const Values got = values(testing::run(Gather{{0}, {1, 6, 3}}, {2, 2, 1, 6, 3}, Dtype::float32, {x, rows}));
    const size_t at[] = {0, 4, 3, 3};
    for (size_t i = 0; i < 4; ++i)
      for (size_t j = 0; j < 18; ++j) REQUIRE(got[i * 18 + j] == v[at[i] * 18 + j]);
    const Array i0 = of({3}, Dtype::int64, {1, 2, -5}), i2 = of({3}, Dtype::uint8, {2, 0, 1});
    const Values two = values(testing::run(Gather{{0, 2}, {1, 4, 1}}, {3, 1, 4, 1}, Dtype::float32, {x, i0, i2}));
    const size_t a0[] = {1, 2, 0}, a2[] = {2, 0, 1};
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 4; ++j) REQUIRE(two[i * 4 + j] == v[(a0[i] * 6 + j) * 3 + a2[i]]);
  }
  const Array x = counting({5});
  for (double bad : {5.0, -6.0}) {
    std::string what;
    try {
      testing::run(Gather{{0}, {1}}, {1, 1}, Dtype::float32, {x, of({1}, Dtype::int32, {bad})});
    } catch (const IndexError& e) {
      what = e.what();
    }
    CHECK(what.find(std::to_string(static_cast<int>(bad))) != std::string::npos);
    CHECK(what.find("axis 0 of size 5") != std::string::npos);
  }
}

TEST_CASE("scatter: every mode, in the order of the updates") {
  std::mt19937 rng(35);
  for (UpdateMode m : modes)
    for (int l = 0; l < kLayouts; ++l) {
      Array x = random_leaf(rng, {4, 5}, Dtype::float32, static_cast<Layout>(l));
      Array u = random_leaf(rng, {3, 1, 5}, Dtype::float32, random_layout(rng));
      const Array idx = of({3}, Dtype::int32, {2, -1, 2});
      Values want = values(x);
      const Values vu = values(u);
      const size_t at[] = {2, 3, 2};
      for (size_t i = 0; i < 3; ++i)
        for (size_t j = 0; j < 5; ++j) want[at[i] * 5 + j] = combined(m, want[at[i] * 5 + j], vu[i * 5 + j]);
      CHECK(values(testing::run(Scatter{{0}, m}, {4, 5}, Dtype::float32, {x, idx, u})) == want);
    }
  const Array x = counting({3});
  CHECK_THROWS_AS(testing::run(Scatter{{0}, UpdateMode::add}, {3}, Dtype::float32,
                               {x, of({1}, Dtype::int32, {3}), of({1, 1}, Dtype::float32, {1})}),
                  IndexError);
}

TEST_CASE("take_along_axis and put_along_axis") {
  std::mt19937 rng(36);
  for (int axis = 0; axis < 2; ++axis)
    for (int l = 0; l < kLayouts; ++l) {
      const Shape s = {4, 6}, si = axis == 0 ? Shape{3, 6} : Shape{4, 2};
      Array x = random_leaf(rng, s, Dtype::float32, static_cast<Layout>(l));
      const int64_t n = s[static_cast<size_t>(axis)];
      Array idx = random_leaf(rng, si, Dtype::int32, random_layout(rng), static_cast<int>(-n), static_cast<int>(n - 1));
      Array u = random_leaf(rng, si, Dtype::float32, random_layout(rng));
      const Values v = values(x), vi = values(idx), vu = values(u);
      Values taken, put = v;
      for (size_t i = 0; i < vi.size(); ++i) {
        const auto k = static_cast<size_t>(vi[i] < 0 ? vi[i] + static_cast<double>(n) : vi[i]);
        const size_t columns = static_cast<size_t>(si[1]), r = i / columns, c = i % columns;
        const size_t at = axis == 0 ? k * 6 + c : r * 6 + k;
        taken.push_back(v[at]);
        put[at] += vu[i];
      }
      CHECK(values(testing::run(GatherAxis{axis}, si, Dtype::float32, {x, idx})) == taken);
      CHECK(values(testing::run(ScatterAxis{axis, UpdateMode::add}, s, Dtype::float32, {x, idx, u})) == put);
    }
}
