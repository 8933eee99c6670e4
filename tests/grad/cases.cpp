// tests/grad/cases.cpp -- functions over every primitive, with arguments
#include "grad/cases.h"

#include <cmath>
#include <random>

#include "graph/node.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "ops/conv.h"

namespace nhwc::testing {

Array of64(const std::vector<double>& v, const Shape& shape) { return Array::copy_of(v.data(), shape, Dtype::float64); }
Array of64(const std::vector<double>& v) { return of64(v, {static_cast<int64_t>(v.size())}); }
Array of_ints(const std::vector<int>& v, const Shape& shape) { return Array::copy_of(v.data(), shape, Dtype::int32); }

Array random64(const Shape& shape, double low, double high, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> d(low, high);
  std::vector<double> v(static_cast<size_t>(size_of(shape)));
  for (double& x : v) x = d(rng);
  return of64(v, shape);
}

std::vector<double> values(const Array& a) {
  const Array c = contiguous(astype(a, Dtype::float64));
  const double* p = c.data<double>();
  return {p, p + c.size()};
}

std::string difference(const Array& a, const Array& b, double tolerance) {
  if (a.shape() != b.shape()) return message("shapes ", to_string(a.shape()), " and ", to_string(b.shape()));
  if (a.dtype() != b.dtype()) return message("dtypes ", name(a.dtype()), " and ", name(b.dtype()));
  const std::vector<double> x = values(a), y = values(b);
  for (size_t i = 0; i < x.size(); ++i) {
    const double scale = std::max(1.0, std::max(std::abs(x[i]), std::abs(y[i])));
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    if (!(std::abs(x[i] - y[i]) <= tolerance * scale)) return message("element ", i, ": ", x[i], " and ", y[i]);
  }
  return "";
}

std::string difference(const Arrays& a, const Arrays& b, double tolerance) {
  if (a.size() != b.size()) return message(a.size(), " and ", b.size(), " arrays");
  for (size_t i = 0; i < a.size(); ++i) {
    const std::string d = difference(a[i], b[i], tolerance);
    if (!d.empty()) return message("array ", i, ": ", d);
  }
  return "";
}

namespace {

using Cases = std::vector<Case>;
using One = Array (*)(const Array&);
using Two = Array (*)(const Array&, const Array&);

void add_one(Cases& cs, const char* name, One f, double low, double high) {
  cs.push_back({name, [f](const Arrays& a) { return Arrays{f(a[0])}; }, {random64({2, 3}, low, high)}});
}
void add_two(Cases& cs, const char* name, Two f, double low, double high, double low2, double high2) {
  cs.push_back({name,
                [f](const Arrays& a) { return Arrays{f(a[0], a[1])}; },
                {random64({2, 3}, low, high, 1), random64({2, 3}, low2, high2, 2)}});
}

void elementwise_cases(Cases& cs) {
  const std::pair<const char*, One> smooth[] = {
      {"negative", negative}, {"square", square}, {"exp", exp},   {"expm1", expm1}, {"sin", sin},
      {"cos", cos},           {"arctan", arctan}, {"sinh", sinh}, {"cosh", cosh},   {"tanh", tanh},
      {"sigmoid", sigmoid},   {"erf", erf},       {"silu", silu}, {"gelu", gelu}};
  for (auto [name, f] : smooth) add_one(cs, name, f, -1.5, 1.5);
  const std::pair<const char*, One> kinked[] = {
      {"abs", abs}, {"relu", relu}, {"leaky_relu", leaky_relu}, {"relu6", relu6}};
  for (auto [name, f] : kinked) {
    add_one(cs, name, f, 0.5, 2);
    add_one(cs, name, f, -2, -0.5);
  }
  add_one(cs, "relu6 above", relu6, 6.5, 8);
  const std::pair<const char*, One> positive[] = {{"sqrt", sqrt},  {"rsqrt", rsqrt}, {"reciprocal", reciprocal},
                                                  {"log", log},    {"log1p", log1p}, {"log2", log2},
                                                  {"log10", log10}};
  for (auto [name, f] : positive) add_one(cs, name, f, 0.5, 2);
  const std::pair<const char*, One> inside[] = {
      {"arcsin", arcsin}, {"arccos", arccos}, {"tan", tan}, {"erfinv", erfinv}};
  for (auto [name, f] : inside) add_one(cs, name, f, -0.7, 0.7);
  const std::pair<const char*, One> flat[] = {
      {"sign", sign}, {"floor", floor}, {"ceil", ceil}, {"round", static_cast<One>(round)}};
  for (auto [name, f] : flat) add_one(cs, name, f, 0.1, 0.4);
  const std::pair<const char*, Two> two[] = {
      {"add", add}, {"subtract", subtract}, {"multiply", multiply}, {"logaddexp", logaddexp}};
  for (auto [name, f] : two) add_two(cs, name, f, -1, 1, -1, 1);
  add_two(cs, "divide", divide, -1, 1, 0.5, 2);
  add_two(cs, "power", power, 0.5, 2, -2, 2);
  add_two(cs, "arctan2", arctan2, 0.5, 2, -2, 2);
  add_two(cs, "maximum", maximum, 0, 1, 0.2, 0.9);
  add_two(cs, "minimum", minimum, 0, 1, 0.2, 0.9);
  add_two(cs, "remainder", remainder, 3.1, 3.9, 1.1, 1.5);
  add_two(cs, "floor_divide", floor_divide, 3.1, 3.9, 1.1, 1.5);
  cs.push_back({"broadcasting",
                [](const Arrays& a) { return Arrays{a[0] * a[1] + a[2]}; },
                {random64({2, 3}), random64({3}), random64({4, 1, 1})}});
  cs.push_back({"where",
                [](const Arrays& a) { return Arrays{where(greater(a[0], a[1]), square(a[0]), sin(a[1]))}; },
                {random64({2, 3}), random64({2, 3}, -1, 1, 5)}});
  cs.push_back({"cast and back",
                [](const Arrays& a) {
                  return Arrays{astype(astype(astype(a[0], Dtype::int32), Dtype::float64), Dtype::float64) * a[0]};
                },
                {random64({3}, 2.1, 2.9)}});
}

void reduce_cases(Cases& cs) {
  const std::vector<std::vector<int>> axes = {{0}, {1}, {2}, {0, 2}, {0, 1, 2}};
  for (const auto& ax : axes)
    for (bool keep : {false, true}) {
      auto with = [&](Array (*f)(const Array&, const Axes&, bool), const char* name) {
        cs.push_back(
            {name, [f, ax, keep](const Arrays& a) { return Arrays{f(a[0], ax, keep)}; }, {random64({2, 3, 2})}});
      };
      with(sum, "sum");
      with(prod, "prod");
      with(max, "max");
      with(min, "min");
      with(mean, "mean");
      with(logsumexp, "logsumexp");
    }
  for (int zeros : {1, 2, 3}) {
    std::vector<double> v{0.5, -1.5, 2, 0.7, 1.1, -0.3};
    for (int i = 0; i < zeros; ++i) v[2 * i] = 0;
    cs.push_back(
        {message("prod with ", zeros, " zeros"), [](const Arrays& a) { return Arrays{prod(a[0])}; }, {of64(v)}});
    for (bool reverse : {false, true})
      for (bool inclusive : {false, true})
        cs.push_back({message("cumprod with ", zeros, " zeros"),
                      [=](const Arrays& a) { return Arrays{cumprod(a[0], 0, reverse, inclusive)}; },
                      {of64(v)}});
  }
  for (int axis : {0, 1})
    for (bool reverse : {false, true})
      for (bool inclusive : {false, true}) {
        cs.push_back({"cumsum",
                      [=](const Arrays& a) { return Arrays{cumsum(square(a[0]), axis, reverse, inclusive)}; },
                      {random64({3, 4})}});
        cs.push_back({"cumprod",
                      [=](const Arrays& a) { return Arrays{cumprod(a[0], axis, reverse, inclusive)}; },
                      {random64({3, 4}, 0.5, 1.5)}});
      }
  for (int axis : {0, 1, -1}) {
    cs.push_back({"sort", [=](const Arrays& a) { return Arrays{square(sort(a[0], axis))}; }, {random64({3, 4})}});
    cs.push_back({"argsort",
                  [=](const Arrays& a) { return Arrays{a[0] * astype(argsort(a[0], axis), Dtype::float64)}; },
                  {random64({3, 4})}});
    cs.push_back({"argmax",
                  [=](const Arrays& a) { return Arrays{astype(argmax(a[0], axis), Dtype::float64)}; },
                  {random64({3, 4})}});
    cs.push_back({"softmax",
                  [=](const Arrays& a) { return Arrays{softmax(a[0], std::vector<int>{axis})}; },
                  {random64({3, 4})}});
  }
}

void shape_cases(Cases& cs) {
  auto with = [&](const char* name, Array (*f)(const Array&)) {
    cs.push_back({name, [f](const Arrays& a) { return Arrays{square(f(a[0]))}; }, {random64({2, 3, 4})}});
  };
  with("reshape", [](const Array& a) { return reshape(a, {4, 6}); });
  with("transpose", [](const Array& a) { return transpose(a, std::vector<int>{2, 0, 1}); });
  with("broadcast", [](const Array& a) { return broadcast_to(reshape(a, {2, 1, 12}), {3, 2, 2, 12}); });
  with("slice", [](const Array& a) { return slice(a, {1, 0, 3}, {1, 2, 2}, {1, 2, -2}); });
  with("flip", [](const Array& a) { return flip(a); });
  with("pad", [](const Array& a) { return pad(a, {{1, 0}, {0, 2}, {1, 1}}, Array::scalar(0, Dtype::float64)); });
  with("roll", [](const Array& a) { return roll(a, {1}, std::vector<int>{1}); });
  with("contiguous", [](const Array& a) { return contiguous(swapaxes(a, 0, 1)); });
  with("tile", [](const Array& a) { return tile(a, {2, 1, 2}); });
  cs.push_back({"concatenate",
                [](const Arrays& a) { return Arrays{square(concatenate({a[0], a[1], a[0]}, 1))}; },
                {random64({2, 2}), random64({2, 3})}});
  cs.push_back({"depends",
                [](const Arrays& a) { return Arrays{square(depends(a[0], {a[1]}))}; },
                {random64({2, 2}), random64({2, 3})}});
}

void indexing_cases(Cases& cs) {
  for (Update mode : {Update::set, Update::add, Update::multiply, Update::maximum, Update::minimum}) {
    const std::string m = std::to_string(static_cast<int>(mode));
    cs.push_back({"slice_update mode " + m,
                  [=](const Arrays& a) { return Arrays{square(slice_update(a[0], a[1], {2, 0}, {-1, 2}, mode))}; },
                  {random64({3, 4}), random64({2, 2}, -1, 1, 7)}});
    // Two updates of one place among them.
    cs.push_back({"scatter mode " + m,
                  [=](const Arrays& a) { return Arrays{square(scatter(a[0], {a[1]}, a[2], {1}, mode))}; },
                  {random64({3, 4}), of_ints({0, 2, 0}, {3}), random64({3, 3, 1}, -1, 1, 7)}});
    cs.push_back({"scatter two indices mode " + m,
                  [=](const Arrays& a) { return Arrays{square(scatter(a[0], {a[1], a[2]}, a[3], {2, 0}, mode))}; },
                  {random64({3, 2, 4}), of_ints({0, -1, 1, 0}, {2, 2}), of_ints({2, 1, -2, 2}, {2, 2}),
                   random64({2, 2, 1, 2, 1}, -1, 1, 7)}});
    cs.push_back({"scatter axis mode " + m,
                  [=](const Arrays& a) {
                    const ScatterAxis p{1, static_cast<UpdateMode>(mode)};
                    return Arrays{square(make_node(p, a[0].shape(), a[0].dtype(), {a[0], a[1], a[2]}))};
                  },
                  {random64({2, 4}), of_ints({0, 2, 0, 3, 1, -1}, {2, 3}), random64({2, 3}, -1, 1, 7)}});
  }
  cs.push_back({"gather",
                [](const Arrays& a) { return Arrays{square(gather(a[0], {a[1]}, {1}, {3, 1}))}; },
                {random64({3, 4}), of_ints({0, 2, -1, 0}, {2, 2})}});
  cs.push_back({"gather partial slices",
                [](const Arrays& a) { return Arrays{square(gather(a[0], {a[1], a[2]}, {2, 0}, {1, 1, 1}))}; },
                {random64({3, 2, 4}), of_ints({0, 2, 1}, {3}), of_ints({1, -1, 1}, {3})}});
  cs.push_back({"take",
                [](const Arrays& a) { return Arrays{square(take(a[0], a[1], 0))}; },
                {random64({3, 4}), of_ints({0, 2, 0}, {3})}});
  cs.push_back({"take_along_axis",
                [](const Arrays& a) { return Arrays{square(take_along_axis(a[0], a[1], 0))}; },
                {random64({3, 2}), of_ints({0, 2, 0, 1}, {2, 2})}});
}

void linalg_cases(Cases& cs) {
  auto mm = [](const Arrays& a) { return Arrays{matmul(a[0], a[1])}; };
  cs.push_back({"matmul", mm, {random64({2, 3}), random64({3, 4})}});
  cs.push_back({"matmul batched", mm, {random64({2, 2, 3}), random64({2, 3, 2})}});
  cs.push_back({"matmul broadcast", mm, {random64({2, 2, 3}), random64({3, 2})}});
  cs.push_back({"matmul vectors", mm, {random64({3}), random64({3})}});
  cs.push_back({"norm and layer_norm",
                [](const Arrays& a) { return Arrays{layer_norm(a[0], a[1], {}, 1e-5), norm(a[0])}; },
                {random64({2, 4}), random64({4})}});
}

struct ConvCase {
  const char* name;
  Shape x, w;
  Ints stride, low, high, dilation, in_dilation;
  int64_t groups;
  bool flip;
};

void conv_cases(Cases& cs) {
  const ConvCase list[] = {
      {"conv1d", {2, 5, 2}, {3, 3, 2}, {1}, {1}, {1}, {1}, {1}, 1, false},
      {"conv1d strided", {1, 7, 2}, {2, 3, 1}, {2}, {1}, {0}, {2}, {1}, 2, false},
      {"conv2d", {2, 4, 3, 2}, {2, 3, 2, 2}, {1}, {1}, {1}, {1}, {1}, 1, false},
      {"conv2d groups", {1, 4, 4, 4}, {6, 2, 2, 2}, {2, 1}, {1, 0}, {0, 1}, {1}, {1}, 2, true},
      {"conv2d input dilation", {1, 3, 3, 2}, {2, 2, 3, 2}, {1, 2}, {1, 2}, {1, 1}, {1, 1}, {2, 3}, 1, false},
      {"conv2d crops", {1, 5, 4, 1}, {2, 2, 2, 1}, {1}, {-1, 1}, {1, -1}, {1}, {1}, 1, false},
      {"conv2d depthwise", {1, 3, 3, 3}, {3, 2, 2, 1}, {1}, {1}, {1}, {1}, {1}, 3, false},
      {"conv3d groups", {1, 3, 2, 3, 2}, {2, 2, 2, 2, 1}, {1}, {0, 1, 0}, {1, 0, 0}, {1}, {1}, 2, false},
  };
  for (const ConvCase& c : list)
    cs.push_back({c.name,
                  [c](const Arrays& a) {
                    return Arrays{
                        conv_general(a[0], a[1], c.stride, c.low, c.high, c.dilation, c.in_dilation, c.groups, c.flip)};
                  },
                  {random64(c.x), random64(c.w, -1, 1, 3)}});
  cs.push_back({"conv_transpose2d",
                [](const Arrays& a) { return Arrays{conv_transpose("t", 2, a[0], a[1], {2}, {1}, {1}, {1}, 2)}; },
                {random64({1, 3, 2, 4}), random64({2, 3, 3, 2}, -1, 1, 3)}});
  cs.push_back({"conv2d with bias and activation",
                [](const Arrays& a) {
                  return Arrays{
                      conv2d(a[0], a[1], {1}, Ints{1}, {1}, 1, {.bias = a[2], .activation = "gelu", .precision = {}})};
                },
                {random64({1, 3, 3, 2}), random64({2, 3, 3, 2}), random64({2})}});
  auto g = std::make_shared<ConvGeometry>();
  g->rank = 2;
  g->batch = 2, g->in_channels = 4, g->out_channels = 2, g->groups = 2;
  g->in[1] = 4, g->in[2] = 3, g->kernel[1] = 2, g->kernel[2] = 3, g->out[1] = 2, g->out[2] = 3, g->stride[1] = 2,
  g->pad[2] = 1;
  const Array x = random64({2, 4, 3, 4}), w = random64({2, 2, 3, 2}), y = random64({2, 2, 3, 2});
  cs.push_back({"conv input_grad",
                [g](const Arrays& a) { return Arrays{conv_node(ConvKind::input_grad, g, a[0], a[1])}; },
                {y, w}});
  cs.push_back({"conv weight_grad",
                [g](const Arrays& a) { return Arrays{conv_node(ConvKind::weight_grad, g, a[0], a[1])}; },
                {x, y}});
}

void composite_cases(Cases& cs) {
  cs.push_back({"several outputs, one argument used often",
                [](const Arrays& a) { return Arrays{a[0] * a[1], sum(a[0] * a[0] * a[0]), a[1]}; },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"vjp inside",
                [](const Arrays& a) {
                  auto f = [&](const Arrays& b) { return Arrays{sin(b[0] * a[1]) * b[0]}; };
                  return vjp(f, {a[0]}, {a[1]}).second;
                },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"jvp inside",
                [](const Arrays& a) {
                  auto f = [&](const Arrays& b) { return Arrays{sin(b[0] * a[1]) * b[0]}; };
                  return jvp(f, {a[0]}, {a[1]}).second;
                },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"vmap inside",
                [](const Arrays& a) {
                  auto f = [&](const Arrays& b) { return Arrays{matmul(a[1], b[0]), sum(b[0])}; };
                  return vmap(f, {1}, {0})({a[0]});
                },
                {random64({3, 2}), random64({2, 3})}});
  cs.push_back({"checkpoint",
                [](const Arrays& a) {
                  auto f = [&](const Arrays& b) { return Arrays{sin(b[0]) * exp(b[0] * a[1]), cos(b[0])}; };
                  return checkpoint(f)({a[0] * a[0]});
                },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"checkpoint in checkpoint",
                [](const Arrays& a) {
                  auto inner = checkpoint([](const Arrays& b) { return Arrays{sin(b[0]) * b[1]}; });
                  return checkpoint([&](const Arrays& b) { return inner({exp(inner(b)[0]), b[1]}); })(a);
                },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"custom function with its true gradient",
                [](const Arrays& a) {
                  CustomRules rules;
                  rules.vjp = [](const Arrays& p, const Arrays& o, const Arrays& c) {
                    return Arrays{c[0] * o[0] * p[1] + c[1], c[0] * o[0] * p[0]};
                  };
                  auto f = [](const Arrays& p) { return Arrays{exp(p[0] * p[1]), p[0]}; };
                  return custom_function(f, rules)(a);
                },
                {random64({3}), random64({3}, 1, 2)}});
  cs.push_back({"compiled inside",
                [](const Arrays& a) {
                  auto t =
                      trace_function([](const Arrays& b) { return Arrays{sin(b[0]) * b[1], b[1], Array(2.0f)}; }, a);
                  const Arrays r = replay(*t, a);
                  return Arrays{r[0] * r[1], replay(*t, {r[0], r[1]})[0]};
                },
                {random64({3}), random64({3}, 1, 2)}});
}

}  // namespace

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    Cases cs;
    elementwise_cases(cs);
    reduce_cases(cs);
    shape_cases(cs);
    indexing_cases(cs);
    linalg_cases(cs);
    conv_cases(cs);
    composite_cases(cs);
    return cs;
  }();
  return all;
}

}  // namespace nhwc::testing
