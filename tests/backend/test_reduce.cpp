// tests/backend/test_reduce.cpp -- Reduce, ArgReduce, Scan, Softmax and Sort against plain loops
#include <algorithm>

#include "backend_testing.h"
#include "nhwc/memory.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// For every element of an array of this shape: where it goes in the array without (or with 1 for) `axes`.
std::vector<int64_t> targets(const Shape& s, const Dims& axes) {
  std::vector<int64_t> to;
  Dims at(s.size(), 0);
  for (int64_t i = 0; i < size_of(s); ++i) {
    int64_t o = 0;
    for (size_t a = 0; a < s.size(); ++a)
      if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) == axes.end()) o = o * s[a] + at[a];
    to.push_back(o);
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < s[d]) break;
      at[d] = 0;
    }
  }
  return to;
}
Shape reduced(const Shape& s, const Dims& axes) {
  Shape r;
  for (size_t a = 0; a < s.size(); ++a)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) == axes.end()) r.push_back(s[a]);
  return r;
}
double start(ReduceKind k) {
  return k == ReduceKind::sum || k == ReduceKind::any ? 0
         : k == ReduceKind::max                       ? -INFINITY
         : k == ReduceKind::min                       ? INFINITY
                                                      : 1;
}
double plain(ReduceKind k, double a, double b) {
  switch (k) {
    case ReduceKind::sum:
      return a + b;
    case ReduceKind::prod:
      return a * b;
    case ReduceKind::max:
      return std::max(a, b);
    case ReduceKind::min:
      return std::min(a, b);
    case ReduceKind::all:
      return a != 0 && b != 0;
    default:
      return a != 0 || b != 0;
  }
}
Dtype result(ReduceKind k, Dtype t) {
  if (k == ReduceKind::all || k == ReduceKind::any) return Dtype::bool_;
  if ((k == ReduceKind::sum || k == ReduceKind::prod) && size_of(t) < 4 && !is_floating(t))
    return is_unsigned(t) ? Dtype::uint32 : Dtype::int32;
  return t;
}

void check_reduce(std::mt19937& rng, ReduceKind k, Dtype t, const Shape& s, const Dims& axes, Layout layout) {
  Array x = k == ReduceKind::prod ? random_leaf(rng, s, t, layout, 1, 2) : random_leaf(rng, s, t, layout);
  const Shape out = reduced(s, axes);
  const Array y = testing::run(Reduce{k, axes, false}, out, result(k, t), {x});
  Values want(static_cast<size_t>(size_of(out)), start(k));
  const auto to = targets(s, axes);
  const Values v = values(x);
  for (size_t i = 0; i < v.size(); ++i)
    want[static_cast<size_t>(to[i])] = plain(k, want[static_cast<size_t>(to[i])], v[i]);
  for (double& w : want) w = stored(w, result(k, t));
  CAPTURE(name(k));
  CAPTURE(std::string(name(t)));
  CAPTURE(to_string(s));
  CAPTURE(to_string(axes));
  CAPTURE(static_cast<int>(layout));
  check_close(values(y), want, epsilon(y.dtype()));
}

const std::vector<std::pair<Shape, std::vector<Dims>>> cases = {
    {{40}, {{0}}},
    {{1}, {{0}, {}}},
    {{7, 33}, {{0}, {1}, {0, 1}}},
    {{3, 4, 5}, {{0}, {1}, {2}, {0, 2}, {0, 1}, {1, 2}, {0, 1, 2}}},
    {{2, 3, 2, 3, 4}, {{2, 4}, {1, 3}, {0, 1, 2, 3}, {0, 4}}},
    {{33, 2, 7}, {{0}, {0, 1}}},
};

}  // namespace

TEST_CASE("reductions of every kind and dtype over any axes and strides") {
  std::mt19937 rng(21);
  for (Dtype t : kAllDtypes)
    for (int k = 0; k < 6; ++k) {
      const auto kind = static_cast<ReduceKind>(k);
      for (const auto& [s, all_axes] : cases)
        for (const Dims& axes : all_axes) {
          if (kind == ReduceKind::prod && size_of(s) > 40) continue;  // would not be exact
          check_reduce(rng, kind, t, s, axes, random_layout(rng));
        }
    }
}

TEST_CASE("large reductions are cut, and do not depend on the number of threads") {
  std::mt19937 rng(22);
  const int threads = num_threads();
  const std::vector<std::pair<Shape, Dims>> large = {{{300000}, {0}},
                                                     {{100000, 5}, {0}},
                                                     {{5, 100000}, {1}},
                                                     {{3000, 130}, {0}},
                                                     {{130, 3000}, {1}},
                                                     {{20, 30, 40, 12}, {0, 1, 2}},
                                                     {{50, 2, 60, 2, 16}, {1, 3}},
                                                     {{200000, 3}, {1}},
                                                     {{2, 700, 600}, {1}},
                                                     {{600, 700}, {0, 1}}};
  for (const auto& [s, axes] : large)
    for (Dtype t : {Dtype::float32, Dtype::bfloat16, Dtype::bool_})
      for (ReduceKind k : {ReduceKind::sum, ReduceKind::max}) {
        if (t == Dtype::bfloat16 && k == ReduceKind::sum) continue;  // below, with its own bound
        check_reduce(rng, k, t, s, axes, random_layout(rng));
      }
  std::normal_distribution<double> normal;
  for (const auto& [s, axes] : large)
    for (Dtype t : {Dtype::float32, Dtype::float16, Dtype::float64}) {
      Array x = leaf(s, t, Layout::row_major, [&](int64_t) { return normal(rng); });
      const Shape out = reduced(s, axes);
      set_num_threads(1);
      const Values one = values(testing::run(Reduce{ReduceKind::sum, axes, false}, out, t, {x}));
      set_num_threads(3);
      const Values many = values(testing::run(Reduce{ReduceKind::sum, axes, false}, out, t, {x}));
      CHECK(one == many);
      Values want(one.size(), 0), total(one.size(), 0);
      const auto to = targets(s, axes);
      const Values v = values(x);
      for (size_t i = 0; i < v.size(); ++i) {
        want[static_cast<size_t>(to[i])] += v[i];
        total[static_cast<size_t>(to[i])] += std::fabs(v[i]);
      }
      for (size_t i = 0; i < want.size(); ++i) {
        // 64 float32 roundings and the last one: half types are summed in float32.
        const double bound = (t == Dtype::float64 ? 1e-13 : 2e-6) * total[i] + epsilon(t) * std::fabs(want[i]);
        REQUIRE(std::fabs(one[i] - want[i]) <= bound);
      }
    }
  set_num_threads(threads);
}

TEST_CASE("empty reductions give the identity, NaN reaches extrema") {
  const Array none = of({0, 3}, Dtype::float32, {});
  CHECK(values(testing::run(Reduce{ReduceKind::sum, {0}, false}, {3}, Dtype::float32, {none})) == Values{0, 0, 0});
  CHECK(values(testing::run(Reduce{ReduceKind::prod, {0}, true}, {1, 3}, Dtype::float32, {none})) == Values{1, 1, 1});
  CHECK(values(testing::run(Reduce{ReduceKind::all, {0}, false}, {3}, Dtype::bool_, {none})) == Values{1, 1, 1});
  CHECK(values(testing::run(Reduce{ReduceKind::sum, {1}, false}, {0}, Dtype::float32, {none})).empty());
  for (int64_t n : {3, 100, 5000})
    for (Dtype t : {Dtype::float16, Dtype::float32, Dtype::float64}) {
      const Array x =
          leaf({n}, t, Layout::row_major, [&](int64_t i) { return i == n / 2 ? std::nan("") : double(i % 7); });
      CHECK(std::isnan(values(testing::run(Reduce{ReduceKind::max, {0}, false}, {}, t, {x}))[0]));
      CHECK(std::isnan(values(testing::run(Reduce{ReduceKind::min, {0}, false}, {}, t, {x}))[0]));
    }
}

TEST_CASE("argmax and argmin: the first wins, NaN before all") {
  std::mt19937 rng(23);
  const double nan = std::nan("");
  CHECK(values(testing::run(ArgReduce{true, 0, false}, {}, Dtype::uint32,
                            {of({4}, Dtype::float32, {1, nan, 3, nan})}))[0] == 1);
  CHECK(values(testing::run(ArgReduce{false, 0, false}, {}, Dtype::uint32,
                            {of({4}, Dtype::float32, {1, nan, -3, nan})}))[0] == 1);
  CHECK(values(testing::run(ArgReduce{true, 0, false}, {}, Dtype::uint32, {of({3}, Dtype::int32, {2, 3, 3})}))[0] == 1);
  for (Dtype t : kAllDtypes)
    for (int axis = 0; axis < 3; ++axis) {
      const Shape s = {4, 5, 90};
      Array x = random_leaf(rng, s, t, random_layout(rng));
      const Shape out = reduced(s, {axis});
      for (bool max : {true, false}) {
        const Values got = values(testing::run(ArgReduce{max, axis, false}, out, Dtype::uint32, {x}));
        const Values v = values(x);
        const auto to = targets(s, {axis});
        Values best(got.size(), nan), count(got.size(), 0), want(got.size(), 0);
        for (size_t i = 0; i < v.size(); ++i) {
          const auto o = static_cast<size_t>(to[i]);
          if (count[o] == 0 || (max ? v[i] > best[o] : v[i] < best[o])) {
            best[o] = v[i];
            want[o] = count[o];
          }
          ++count[o];
        }
        CHECK(got == want);
      }
    }
}

TEST_CASE("cumulative sums and products along any axis") {
  std::mt19937 rng(24);
  for (Dtype t : {Dtype::bool_, Dtype::int8, Dtype::int32, Dtype::bfloat16, Dtype::float32, Dtype::float64})
    for (int axis = 0; axis < 2; ++axis)
      for (int bits = 0; bits < 8; ++bits) {
        const Scan p{(bits & 1) != 0, axis, (bits & 2) != 0, (bits & 4) != 0};
        const Shape s = {4, 6};
        const Dtype out = t == Dtype::bool_ ? Dtype::int32 : t;
        Array x = random_leaf(rng, s, t, random_layout(rng), 0, 2);
        const Values v = values(x), got = values(testing::run(p, s, out, {x}));
        Values want(v.size());
        const int64_t n = s[static_cast<size_t>(axis)], step = axis == 0 ? 6 : 1, others = 24 / n;
        for (int64_t o = 0; o < others; ++o) {
          double acc = p.product ? 1 : 0;
          for (int64_t i = 0; i < n; ++i) {
            const auto at = static_cast<size_t>((axis == 0 ? o : o * 6) + (p.reverse ? n - 1 - i : i) * step);
            if (!p.inclusive) want[at] = acc;
            acc = p.product ? acc * v[at] : acc + v[at];
            if (p.inclusive) want[at] = acc;
          }
        }
        check_close(got, want, epsilon(out));
      }
}

TEST_CASE("softmax rows sum to one and match double") {
  std::mt19937 rng(25);
  for (Dtype t : {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64})
    for (const Shape& s : {Shape{1}, Shape{3, 10}, Shape{2, 3, 1000}, Shape{2, 0}}) {
      Array x = random_leaf(rng, s, t, random_layout(rng));
      const Values v = values(x), got = values(testing::run(Softmax{}, s, t, {x}));
      const auto n = static_cast<size_t>(s.back());
      Values want(v.size());
      for (size_t r = 0; n && r < v.size(); r += n) {
        double sum = 0;
        for (size_t i = 0; i < n; ++i) sum += std::exp(v[r + i]);
        for (size_t i = 0; i < n; ++i) want[r + i] = std::exp(v[r + i]) / sum;
      }
      const double bound = t == Dtype::float64 ? 1e-12 : 4 * epsilon(t);  // the plain sum of 1000 terms is no better
      check_close(got, want, bound, t == Dtype::float16 ? 1e-7 : 0);
    }
}

TEST_CASE("sort and argsort: stable, NaN last, along any axis") {
  std::mt19937 rng(26);
  const double nan = std::nan("");
  const Array x = of({6}, Dtype::float32, {3, nan, 1, -INFINITY, INFINITY, nan});
  check_close(values(testing::run(Sort{0, false}, {6}, Dtype::float32, {x})), {-INFINITY, 1, 3, INFINITY, nan, nan}, 0);
  CHECK(values(testing::run(Sort{0, true}, {6}, Dtype::uint32, {x})) == Values{3, 2, 0, 4, 1, 5});
  for (Dtype t : kAllDtypes)
    for (int axis = 0; axis < 3; ++axis) {
      const Shape s = {3, 17, 4};
      Array a = random_leaf(rng, s, t, random_layout(rng));
      const Values v = values(a), sorted = values(testing::run(Sort{axis, false}, s, t, {a}));
      const Values order = values(testing::run(Sort{axis, true}, s, Dtype::uint32, {a}));
      const Strides st = contiguous_strides(s);
      const int64_t step = st[static_cast<size_t>(axis)], n = s[static_cast<size_t>(axis)];
      for (int64_t i = 0; i < size_of(s); ++i) {
        const int64_t at = i / step % n, first = i - at * step;
        REQUIRE(v[static_cast<size_t>(first + static_cast<int64_t>(order[static_cast<size_t>(i)]) * step)] ==
                sorted[static_cast<size_t>(i)]);
        if (at == 0) continue;
        const auto p = static_cast<size_t>(i - step), q = static_cast<size_t>(i);
        REQUIRE(sorted[p] <= sorted[q]);
        if (sorted[p] == sorted[q]) REQUIRE(order[p] < order[q]);
      }
    }
}
