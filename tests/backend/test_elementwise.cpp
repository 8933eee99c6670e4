// tests/backend/test_elementwise.cpp -- Unary, Binary, Select and Cast against plain loops, over all dtypes and strides
#include "backend_testing.h"
#include "base/cpu_features.h"
#include "kernels/table.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

const std::vector<Shape> shapes = {{},      {1},      {7},        {1000},       {3, 5}, {2, 3, 4},
                                   {17, 3}, {4, 300}, {2, 1, 70}, {5, 2, 3, 2}, {0, 3}};

/// In doubles; integers stay exact because the operands are small.
double plain(BinaryKind k, double a, double b, Dtype t) {
  using enum BinaryKind;
  const bool whole = !is_floating(t);
  switch (k) {
    case add:
      return a + b;
    case subtract:
      return a - b;
    case multiply:
      return a * b;
    case divide:
      return a / b;
    case floor_divide:
      return whole && b == 0 ? 0 : std::floor(a / b);
    case remainder:
      return whole && b == 0 ? 0 : a - std::floor(a / b) * b;
    case power:
      return whole && b < 0 ? 0 : std::pow(a, b);
    case maximum:
      return std::max(a, b);
    case minimum:
      return std::min(a, b);
    case logaddexp:
      return std::log(std::exp(a) + std::exp(b));
    case arctan2:
      return std::atan2(a, b);
    case equal:
      return a == b;
    case not_equal:
      return a != b;
    case less:
      return a < b;
    case less_equal:
      return a <= b;
    case greater:
      return a > b;
    case greater_equal:
      return a >= b;
    case logical_and:
      return a != 0 && b != 0;
    case logical_or:
      return a != 0 || b != 0;
    case bitwise_and:
      return static_cast<double>(static_cast<int64_t>(a) & static_cast<int64_t>(b));
    case bitwise_or:
      return static_cast<double>(static_cast<int64_t>(a) | static_cast<int64_t>(b));
    case bitwise_xor:
      return static_cast<double>(static_cast<int64_t>(a) ^ static_cast<int64_t>(b));
  }
  return 0;
}

bool exists(BinaryKind k, Dtype t) {
  return kernels().elementwise.binary[static_cast<int>(k)][static_cast<int>(t)] != nullptr;
}

/// A whole number as dtype t wraps it.
double wrapped(double v, Dtype t) {
  if (is_floating(t)) return stored(v, t);
  return stored(static_cast<double>(static_cast<int64_t>(std::fmod(v, 0x1p62))), t);
}

}  // namespace

TEST_CASE("every binary kind and dtype, any strides") {
  std::mt19937 rng(11);
  for (int k = 0; k < kBinaryCount; ++k)
    for (Dtype t : kAllDtypes) {
      const auto kind = static_cast<BinaryKind>(k);
      if (!exists(kind, t) || t == Dtype::bool_) continue;
      for (const Shape& s : shapes) {
        const Layout la = random_layout(rng), lb = random_layout(rng);
        const int most = kind == BinaryKind::power ? 3 : 9;
        Array a = random_leaf(rng, s, t, la, -most, most), b = random_leaf(rng, s, t, lb, -most, most);
        const Dtype out = gives_bool(kind) ? Dtype::bool_ : t;
        const Array y = testing::run(Binary{kind}, s, out, {a, b});
        const Values va = values(a), vb = values(b);
        Values want;
        for (size_t i = 0; i < va.size(); ++i) want.push_back(wrapped(plain(kind, va[i], vb[i], t), out));
        CAPTURE(name(kind));
        CAPTURE(std::string(name(t)));
        CAPTURE(to_string(s));
        CAPTURE(static_cast<int>(la));
        CAPTURE(static_cast<int>(lb));
        check_close(values(y), want, 2 * epsilon(out), kind == BinaryKind::logaddexp ? 4 * epsilon(out) : 0);
      }
    }
}

TEST_CASE("booleans combine as in MLX") {
  const Array a = of({4}, Dtype::bool_, {1, 0, 1, 0}), b = of({4}, Dtype::bool_, {1, 1, 0, 0});
  const auto result = [&](BinaryKind k) { return values(testing::run(Binary{k}, {4}, Dtype::bool_, {a, b})); };
  CHECK(result(BinaryKind::add) == Values{1, 1, 1, 0});
  CHECK(result(BinaryKind::subtract) == Values{0, 1, 1, 0});
  CHECK(result(BinaryKind::multiply) == Values{1, 0, 0, 0});
  CHECK(result(BinaryKind::power) == Values{1, 0, 1, 1});
  CHECK(result(BinaryKind::less) == Values{0, 1, 0, 0});
  CHECK(result(BinaryKind::equal) == Values{1, 0, 0, 1});
  CHECK(result(BinaryKind::maximum) == Values{1, 1, 1, 0});
}

TEST_CASE("integer division by zero, the least integer over -1, Python's signs") {
  const auto two = [](BinaryKind k, Dtype t, double a, double b) {
    return values(testing::run(Binary{k}, {1}, t, {of({1}, t, {a}), of({1}, t, {b})}))[0];
  };
  CHECK(two(BinaryKind::floor_divide, Dtype::int32, 5, 0) == 0);
  CHECK(two(BinaryKind::remainder, Dtype::int32, 5, 0) == 0);
  CHECK(two(BinaryKind::floor_divide, Dtype::int32, -0x1p31, -1) == -0x1p31);
  CHECK(two(BinaryKind::remainder, Dtype::int32, -0x1p31, -1) == 0);
  CHECK(two(BinaryKind::floor_divide, Dtype::int64, -0x1p63, -1) == -0x1p63);
  CHECK(two(BinaryKind::floor_divide, Dtype::int32, -7, 2) == -4);
  CHECK(two(BinaryKind::remainder, Dtype::int32, -7, 2) == 1);
  CHECK(two(BinaryKind::remainder, Dtype::float32, -7, 2) == 1);
  CHECK(two(BinaryKind::remainder, Dtype::float32, 7, -2) == -1);
  CHECK(two(BinaryKind::power, Dtype::int32, 2, -1) == 0);
  CHECK(two(BinaryKind::power, Dtype::uint8, 3, 6) == 729 % 256);
  CHECK(values(testing::run(Unary{UnaryKind::abs}, {1}, Dtype::int32, {of({1}, Dtype::int32, {-0x1p31})}))[0] ==
        -0x1p31);
}

TEST_CASE("NaN and infinities in maximum, minimum, logaddexp, sign, round") {
  const double nan = std::nan(""), inf = INFINITY;
  for (Dtype t : {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64}) {
    const Array a = of({5}, t, {nan, 1, -inf, inf, -inf}), b = of({5}, t, {1, nan, -inf, inf, 2});
    check_close(values(testing::run(Binary{BinaryKind::maximum}, {5}, t, {a, b})), {nan, nan, -inf, inf, 2}, 0);
    check_close(values(testing::run(Binary{BinaryKind::minimum}, {5}, t, {a, b})), {nan, nan, -inf, inf, -inf}, 0);
    check_close(values(testing::run(Binary{BinaryKind::logaddexp}, {5}, t, {a, b})), {nan, nan, -inf, inf, 2}, 0);
    const Array x = of({7}, t, {0.5, 1.5, 2.5, -0.5, -2, nan, inf});
    check_close(values(testing::run(Unary{UnaryKind::round}, {7}, t, {x})), {0, 2, 2, 0, -2, nan, inf}, 0);
    check_close(values(testing::run(Unary{UnaryKind::sign}, {7}, t, {x})), {1, 1, 1, -1, -1, 0, 1}, 0);
    check_close(values(testing::run(Unary{UnaryKind::relu}, {7}, t, {x})), {0.5, 1.5, 2.5, 0, 0, nan, inf}, 0);
    check_close(values(testing::run(Unary{UnaryKind::isnan}, {7}, Dtype::bool_, {x})), {0, 0, 0, 0, 0, 1, 0}, 0);
    check_close(values(testing::run(Unary{UnaryKind::isinf}, {7}, Dtype::bool_, {x})), {0, 0, 0, 0, 0, 0, 1}, 0);
    check_close(values(testing::run(Unary{UnaryKind::isfinite}, {7}, Dtype::bool_, {x})), {1, 1, 1, 1, 1, 0, 0}, 0);
  }
}

TEST_CASE("unary kinds of integers and the simple ones of floats, any strides") {
  std::mt19937 rng(12);
  const std::vector<std::pair<UnaryKind, double (*)(double)>> kinds = {
      {UnaryKind::abs, [](double v) { return std::fabs(v); }},
      {UnaryKind::negative, [](double v) { return -v; }},
      {UnaryKind::sign, [](double v) { return double(v > 0) - double(v < 0); }},
      {UnaryKind::square, [](double v) { return v * v; }},
      {UnaryKind::floor, [](double v) { return std::floor(v); }},
      {UnaryKind::relu, [](double v) { return v > 0 ? v : 0; }},
      {UnaryKind::relu6, [](double v) { return v > 6   ? 6.0
                                               : v > 0 ? v
                                                       : 0; }},
      {UnaryKind::logical_not, [](double v) { return double(v == 0); }},
      {UnaryKind::isfinite, [](double) { return 1.0; }},
      {UnaryKind::exp, [](double v) { return std::exp(v); }},
      {UnaryKind::sin, [](double v) { return std::sin(v); }},
      {UnaryKind::leaky_relu, [](double v) { return v < 0 ? 0.01 * v : v; }},
      {UnaryKind::tanh, [](double v) { return std::tanh(v); }},
  };
  for (auto [kind, exact] : kinds)
    for (Dtype t : kAllDtypes) {
      if (!kernels().elementwise.unary[static_cast<int>(kind)][static_cast<int>(t)] || t == Dtype::bool_) continue;
      for (const Shape& s : shapes) {
        Array x = random_leaf(rng, s, t, random_layout(rng));
        const Dtype out = gives_bool(kind) ? Dtype::bool_ : t;
        const Array y = testing::run(Unary{kind}, s, out, {x});
        Values want;
        for (double v : values(x)) want.push_back(wrapped(exact(v), out));
        CAPTURE(name(kind));
        CAPTURE(std::string(name(t)));
        CAPTURE(to_string(s));
        check_close(values(y), want, 2 * epsilon(out));
      }
    }
}

TEST_CASE("casts between every pair of dtypes, any strides") {
  std::mt19937 rng(13);
  for (Dtype from : kAllDtypes)
    for (Dtype to : kAllDtypes)
      for (const Shape& s : {Shape{7}, Shape{5, 211}, Shape{3, 2, 5}}) {
        Array x = random_leaf(rng, s, from, random_layout(rng));
        Values want;
        for (double v : values(x)) want.push_back(to == Dtype::bool_ ? v != 0 : wrapped(v, to));
        CAPTURE(std::string(name(from)));
        CAPTURE(std::string(name(to)));
        CHECK(values(testing::run(Cast{}, s, to, {x})) == want);
      }
}

TEST_CASE("select, any strides") {
  std::mt19937 rng(14);
  for (Dtype t : kAllDtypes)
    for (const Shape& s : shapes) {
      Array c = random_leaf(rng, s, Dtype::bool_, random_layout(rng));
      Array a = random_leaf(rng, s, t, random_layout(rng)), b = random_leaf(rng, s, t, random_layout(rng));
      const Values vc = values(c), va = values(a), vb = values(b);
      Values want;
      for (size_t i = 0; i < vc.size(); ++i) want.push_back(vc[i] != 0 ? va[i] : vb[i]);
      CHECK(values(testing::run(Select{}, s, t, {c, a, b})) == want);
    }
}

TEST_CASE("large arrays: pieces, scattered operands, every instruction set, one thread and several") {
  std::mt19937 rng(15);
  const int threads = num_threads();
  const std::string isa_before = isa_choice();
  for (Isa isa : supported_isas()) {
    set_isa(name(isa));
    for (const Shape& s : {Shape{200000}, Shape{300, 700}, Shape{70000, 3}, Shape{40, 50, 60}})
      for (int layout = 0; layout < kLayouts; ++layout) {
        Array a = random_leaf(rng, s, Dtype::float32, static_cast<Layout>(layout));
        Array b = random_leaf(rng, s, Dtype::float32, random_layout(rng));
        set_num_threads(3);
        const Values many = values(testing::run(Binary{BinaryKind::subtract}, s, Dtype::float32, {a, b}));
        set_num_threads(1);
        const Values one = values(testing::run(Binary{BinaryKind::subtract}, s, Dtype::float32, {a, b}));
        const Values va = values(a), vb = values(b);
        Values want(va.size());
        for (size_t i = 0; i < va.size(); ++i) want[i] = va[i] - vb[i];
        CHECK(many == want);
        CHECK(one == want);
      }
  }
  set_isa(isa_before);
  set_num_threads(threads);
}

TEST_CASE("storage is taken over only where nobody else can see it") {
  const auto fresh = [] { return of({4}, Dtype::float32, {1, 2, 3, 4}); };
  Array shared = fresh();
  const Array y = testing::run(Unary{UnaryKind::negative}, {4}, Dtype::float32, {shared}, true);
  CHECK(values(shared) == Values{1, 2, 3, 4});  // `shared` still holds the node
  CHECK(values(y) == Values{-1, -2, -3, -4});

  Array a = fresh();
  const void* storage = a.node()->data();
  NodeInputs inputs;
  inputs.push_back(std::move(a));
  const Array taken = testing::run(Unary{UnaryKind::square}, {4}, Dtype::float32, std::move(inputs), true);
  CHECK(taken.node()->data() == storage);
  CHECK(values(taken) == Values{1, 4, 9, 16});

  Array twice = fresh();
  NodeInputs both;
  both.push_back(twice);
  both.push_back(std::move(twice));
  CHECK(values(testing::run(Binary{BinaryKind::add}, {4}, Dtype::float32, std::move(both), true)) ==
        Values{2, 4, 6, 8});
}
