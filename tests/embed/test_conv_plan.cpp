// tests/embed/test_conv_plan.cpp -- plans over plain memory compute what the graph computes, large ones bit by bit
#include "nhwc/conv_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "embed/embed_testing.h"
#include "ops/ops_testing.h"

using namespace nhwc;
using nhwc::testing::CountingMemory;
using nhwc::testing::CountingPool;
using nhwc::testing::message_of;

namespace {

struct Case {
  const char* name;
  Shape input, weight;
  ConvOptions options = {};
  bool bias = false;
};

std::vector<Case> cases() {
  return {
      {"tiny", {1, 4, 4, 8}, {8, 3, 3, 8}},
      {"tiny, padded", {1, 4, 4, 8}, {8, 3, 3, 8}, {.padding = {1}}, true},
      {"tiny, one tap", {1, 4, 4, 8}, {8, 1, 1, 8}, {.activation = Activation::relu}, true},
      {"tiny, many outputs", {2, 4, 4, 8}, {40, 3, 3, 8}, {.padding = {1}, .activation = Activation::relu6}, true},
      {"tiny, gelu", {1, 4, 4, 8}, {24, 3, 3, 8}, {.padding = {1}, .activation = Activation::gelu}, true},
      {"tiny, depthwise", {1, 4, 4, 8}, {8, 3, 3, 1}, {.padding = {1}, .groups = 8}, true},
      {"tiny, groups", {1, 5, 5, 32}, {64, 3, 3, 16}, {.padding = {1}, .groups = 2}, true},
      {"tiny, one output", {1, 6, 6, 24}, {1, 3, 3, 24}, {.padding = {1}}, true},
      {"tiny, transposed", {1, 3, 3, 8}, {16, 3, 3, 8}, {.stride = {2}, .transposed = true}, true},
      {"tiny, gaps", {1, 3, 3, 8}, {16, 1, 1, 8}, {.stride = {2}, .transposed = true}, true},
      {"1-D, causal", {2, 50, 12}, {20, 5, 12}, {.auto_padding = "causal", .dilation = {2}}, true},
      {"same", {1, 33, 30, 3}, {16, 7, 7, 3}, {.stride = {2}, .auto_padding = "same"}},
      {"3-D", {1, 5, 9, 8, 6}, {10, 3, 2, 3, 3}, {.stride = {1, 2, 1}, .padding = {1, 0, 2}, .groups = 2}, true},
      {"uneven padding", {1, 9, 9, 5}, {7, 3, 3, 5}, {.padding = {0, 1}, .padding_high = {2}}, true},
      {"cropped", {2, 12, 13, 16}, {16, 3, 3, 16}, {.padding = {-2, -1}, .padding_high = {-1, 3}}, true},
      {"general",
       {1, 7, 7, 6},
       {8, 3, 3, 6},
       {.padding = {2}, .padding_high = {1}, .dilation = {2}, .input_dilation = {2, 3}, .flip = true},
       true},
      {"transposed", {1, 6, 7, 12}, {5, 4, 4, 12}, {.stride = {2}, .padding = {1}, .transposed = true}, true},
      {"transposed, folded", {1, 6, 7, 12}, {5, 2, 2, 12}, {.stride = {2}, .transposed = true}, true},
      {"transposed, grouped",
       {1, 6, 7, 12},
       {6, 3, 3, 4},
       {.stride = {3}, .output_padding = {1}, .groups = 3, .transposed = true}},
      {"winograd", {1, 28, 28, 64}, {64, 3, 3, 64}, {.padding = {1}, .activation = Activation::relu}, true},
      {"fft", {1, 64, 64, 16}, {16, 31, 31, 16}, {.padding = {15}}, true},
      {"large kernel, depthwise", {1, 40, 40, 32}, {32, 15, 15, 1}, {.padding = {7}, .groups = 32}, true},
      {"float64", {1, 9, 9, 4}, {6, 3, 3, 4}, {.padding = {1}, .dtype = Dtype::float64}, true},
      {"float16", {1, 20, 20, 32}, {32, 3, 3, 32}, {.padding = {1}, .dtype = Dtype::float16}, true},
      {"bfloat16", {1, 20, 20, 33}, {40, 3, 3, 33}, {.padding = {1}, .dtype = Dtype::bfloat16}, true},
      {"bfloat16, fft", {1, 64, 64, 8}, {8, 31, 31, 8}, {.padding = {15}, .dtype = Dtype::bfloat16}, true},
      {"precise", {1, 28, 28, 64}, {64, 3, 3, 64}, {.padding = {1}, .highest_precision = true}},
      {"no image", {0, 8, 8, 3}, {4, 3, 3, 3}, {}, true},
      {"no channel", {1, 8, 8, 0}, {4, 3, 3, 0}, {.activation = Activation::relu}, true},
  };
}

/// Row-major values of a dtype that differ from seed to seed.
Array values_of(const Shape& shape, Dtype t, int seed) {
  std::vector<float> v(static_cast<size_t>(size_of(shape)));
  for (size_t i = 0; i < v.size(); ++i) v[i] = std::sin(static_cast<float>(i) * 0.37f + static_cast<float>(seed));
  Array a = contiguous(astype(Array::copy_of(v.data(), shape, Dtype::float32), t));
  eval({a});
  return a;
}

ConvExtras extras_of(const ConvOptions& o, const std::optional<Array>& bias) {
  const char* const names[] = {"", "relu", "relu6", "leaky_relu", "silu", "gelu", "tanh", "sigmoid"};
  ConvExtras e;
  e.bias = bias;
  if (o.activation != Activation::none) e.activation = names[static_cast<int>(o.activation)];
  if (o.highest_precision) e.precision = "highest";
  return e;
}

/// By the functions of ops.h.
Array expected(const Case& c, const Array& x, const Array& w, const std::optional<Array>& bias) {
  const ConvOptions& o = c.options;
  const ConvExtras e = extras_of(o, bias);
  const int spatial = static_cast<int>(c.input.size()) - 2;
  Array y;
  if (o.transposed)
    y = conv_transpose("conv_transpose", spatial, x, w, o.stride, o.padding, o.dilation, o.output_padding, o.groups, e);
  else if (!o.auto_padding.empty())
    y = conv("conv", spatial, x, w, o.stride, o.auto_padding, o.dilation, o.groups, e);
  else
    y = conv_general(x, w, o.stride, o.padding, o.padding_high.empty() ? o.padding : o.padding_high, o.dilation,
                     o.input_dilation, o.groups, o.flip, e);
  y = contiguous(y);
  eval({y});
  return y;
}

std::vector<char> run(const ConvPlan& plan, const Array& x) {
  std::vector<char> y(plan.output_bytes() + 64, 0x55);
  char* aligned = y.data() + 64 - reinterpret_cast<uintptr_t>(y.data()) % 64;
  plan.run(x.data(), x.nbytes(), aligned, plan.output_bytes());
  return {aligned, aligned + plan.output_bytes()};
}

bool same_bits(const std::vector<char>& got, const Array& y) {
  return got.size() == y.nbytes() && (got.empty() || std::memcmp(got.data(), y.data(), got.size()) == 0);
}

/// Small convolutions in float32 are planned for a loop, so their sums may go in another order than the graph's.
bool right(const std::vector<char>& got, const Array& y, const Case& c) {
  const double products = 1.0 * static_cast<double>(y.size()) * static_cast<double>(size_of(c.weight)) /
                          static_cast<double>(std::max<int64_t>(1, c.weight[0]));
  if (y.dtype() != Dtype::float32 || products > 2e5) return same_bits(got, y);
  if (got.size() != y.nbytes()) return false;
  std::vector<float> values(static_cast<size_t>(y.size()));
  if (!got.empty()) std::memcpy(values.data(), got.data(), got.size());
  const auto* want = static_cast<const float*>(y.data());
  double scale = 1;
  for (size_t i = 0; i < values.size(); ++i) scale = std::max<double>(scale, std::fabs(want[i]));
  for (size_t i = 0; i < values.size(); ++i)
    if (!(std::fabs(values[i] - want[i]) <= 2e-6 * scale)) return false;
  return true;
}

}  // namespace

TEST_CASE("a plan computes what the graph computes, with any x and y and with other weights") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Dtype t = c.options.dtype;
    const Array w = values_of(c.weight, t, 1), w2 = values_of(c.weight, t, 5);
    std::optional<Array> bias, bias2;
    if (c.bias) bias = values_of({c.weight[0]}, t, 2), bias2 = values_of({c.weight[0]}, t, 6);
    ConvPlan plan(c.input, c.weight, w.data(), bias ? bias->data() : nullptr, c.options);
    for (int seed = 10; seed < 13; ++seed) {
      const Array x = values_of(c.input, t, seed), y = expected(c, x, w, bias);
      CHECK(plan.output_shape() == y.shape());
      const std::vector<char> once = run(plan, x);
      CHECK(right(once, y, c));
      CHECK(run(plan, x) == once);
    }
    plan.set_weights(w2.data(), bias ? bias2->data() : nullptr);
    const Array x = values_of(c.input, t, 20);
    const std::vector<char> other = run(plan, x);
    CHECK(right(other, expected(c, x, w2, bias2), c));
    ConvPlan moved = std::move(plan);
    CHECK(run(moved, x) == other);
  }
}

TEST_CASE("a plan reads an input by its strides") {
  const Array wide = values_of({1, 6, 20, 10}, Dtype::float32, 3), w = values_of({4, 3, 3, 8}, Dtype::float32, 1);
  const Array x = slice(wide, {0, 0, 0, 0}, {1, 6, 7, 8}, {1, 1, 2, 1});
  for (int64_t pad : {1, -1}) {
    const ConvPlan plan({1, 6, 7, 8}, {4, 3, 3, 8}, w.data(), nullptr,
                        {.padding = {pad}, .input_strides = {1200, 200, 20, 1}});
    CHECK(plan.input_bytes() == (5 * 200 + 6 * 20 + 8) * sizeof(float));
    const Array y = contiguous(conv2d(x, w, {1}, Ints{pad}));
    eval({y});
    std::vector<float> got(static_cast<size_t>(y.size()));
    plan.run(wide.data(), plan.input_bytes(), got.data(), plan.output_bytes());
    const auto* values = reinterpret_cast<const char*>(got.data());
    CHECK(right({values, values + y.nbytes()}, y, {"strided", {1, 6, 7, 8}, {4, 3, 3, 8}}));
  }
}

TEST_CASE("conv2d in one call") {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w = {1, 1, 1, 1};
  std::vector<float> y(4);
  const float bias = 0.5f;
  conv2d(x.data(), {1, 3, 3, 1}, w.data(), {1, 2, 2, 1}, y.data(), {1, 2, 2, 1});
  CHECK(y == std::vector<float>{12, 16, 24, 28});
  conv2d(x.data(), {1, 3, 3, 1}, w.data(), {1, 2, 2, 1}, y.data(), {1, 1, 1, 1}, {.stride = {2}}, &bias);
  CHECK(y[0] == 12.5f);
  CHECK(message_of<ValueError>([&] {
          conv2d(x.data(), {1, 3, 3, 1}, w.data(), {1, 2, 2, 1}, y.data(), {1, 3, 3, 1});
        }) == "[conv2d] y has shape (1, 3, 3, 1); expected (1, 2, 2, 1)");
}

TEST_CASE("what does not fit a plan says so") {
  const std::vector<float> w(8 * 9 * 8 + 1);
  std::vector<float> x(129), y(129);
  const Shape input{1, 4, 4, 8}, weight{8, 3, 3, 8};
  const ConvPlan plan(input, weight, w.data(), nullptr, {.padding = {1}});
  const auto says = [](auto f, const char* part) {
    const std::string text = message_of<ValueError>(f);
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const auto making = [&](const Shape& in, const Shape& wt, const ConvOptions& o, const char* part) {
    says([&] { ConvPlan(in, wt, w.data(), nullptr, o); }, part);
  };
  const size_t n = 128 * sizeof(float);
  says([&] { plan.run(x.data(), n + 4, y.data(), n); },
       "x has 516 bytes; the plan is for 512: (1, 4, 4, 8) of float32");
  says([&] { plan.run(x.data(), n, y.data(), n - 4); }, "y has 508 bytes");
  says([&] { plan.run(nullptr, n, y.data(), n); }, "x is a null pointer");
  says([&] { plan.run(x.data(), n, nullptr, n); }, "y is a null pointer");
  says([&] { plan.run(reinterpret_cast<char*>(x.data()) + 1, n, y.data(), n); }, "x is not aligned to the 4 bytes");
  says([&] { plan.run(x.data(), n, reinterpret_cast<char*>(y.data()) + 2, n); }, "y is not aligned");
  says([&] { plan.run(x.data(), n, x.data() + 1, n); }, "x and y overlap");
  says([&] { plan.run(x.data() + 1, n, x.data(), n); }, "x and y overlap");
  says([&] { plan.run(std::span<const double>(), std::span<double>()); }, "got float64 values");
  says([&] { ConvPlan(input, weight, nullptr); }, "the weight is a null pointer");
  says([&] { ConvPlan(input, weight, reinterpret_cast<const char*>(w.data()) + 1); }, "the weight is not aligned");
  says([&] { ConvPlan(input, weight, w.data()).set_weights(w.data(), w.data()); }, "made without a bias");
  making({4, 8}, weight, {}, "the input has 2 dimensions");
  making({1, 4, 4, 7}, weight, {}, "input has 7 channels but weight (8, 3, 3, 8)");
  making({-1, 4, 4, 8}, weight, {}, "sizes are at least 0");
  making(input, {8, 3, 3, -8}, {}, "sizes are at least 0");
  making(input, {8, 5, 5, 8}, {}, "the kernel reaches over 5 elements along H");
  making(input, weight, {.stride = {0}}, "stride must be at least 1");
  making(input, weight, {.stride = {1, 1, 1}}, "got 3 values for stride");
  making(input, weight, {.padding = {1, 2, 3}, .padding_high = {1}}, "got 3 values for padding");
  making(input, weight, {.padding = {1}, .auto_padding = "same"}, "both padding and auto_padding");
  making(input, weight, {.auto_padding = "sane"}, "got padding=\"sane\"");
  making(input, weight, {.output_padding = {1}}, "output_padding is for transposed");
  making(input, weight, {.transposed = true, .flip = true}, "both transposed and flip");
  making(input, weight, {.dtype = Dtype::int32}, "input has dtype int32");
  making(input, weight, {.input_strides = {128, 32, 8, 2}}, "got input_strides (128, 32, 8, 2)");
  making(input, weight, {.input_strides = {128, 32, 1}}, "got input_strides (128, 32, 1)");
  making({4, 4, 4, 8}, weight, {.input_strides = {INT64_MAX / 2, 32, 8, 1}}, "reach beyond 64 bits");
  making(input, weight, {.allocator = {nullptr, [](void*, size_t, size_t) -> void* { return nullptr; }}},
         "only one of allocate and release");
}

TEST_CASE("a plan's own threads: they are used, and the bits are the same") {
  const Shape input{1, 56, 56, 64}, weight{64, 3, 3, 64};
  const Array x = values_of(input, Dtype::float32, 1), w = values_of(weight, Dtype::float32, 2);
  const ConvPlan ours(input, weight, w.data(), nullptr, {.padding = {1}});
  for (int threads : {1, 2, 5}) {
    CountingPool pool;
    const ConvPlan plan(input, weight, w.data(), nullptr, {.padding = {1}, .pool = pool.host(threads)});
    CHECK(run(plan, x) == run(ours, x));
    CHECK((pool.runs > 0) == (threads > 1));
  }
}

TEST_CASE("a plan's own memory: all of it comes from there, once, and goes back") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Dtype t = c.options.dtype;
    const Array w = values_of(c.weight, t, 1), x = values_of(c.input, t, 2), bias = values_of({c.weight[0]}, t, 3);
    const auto before = run(ConvPlan(c.input, c.weight, w.data(), bias.data(), c.options), x);
    CountingMemory memory;
    ConvOptions options = c.options;
    options.allocator = memory.host();
    {
      reset_peak_memory();
      const size_t active = get_active_memory();
      const ConvPlan plan(c.input, c.weight, w.data(), bias.data(), options);
      CHECK(run(plan, x) == before);
      CHECK(get_peak_memory() == active);  // nothing from the process's
      const int once = memory.allocated;
      for (int i = 0; i < 3; ++i) CHECK(run(plan, x) == before);
      CHECK((memory.allocated == once || num_threads() > 1));  // threads may meet in another order
    }
    CHECK(memory.allocated == memory.released);
    CHECK(memory.bytes == 0);
  }
}

TEST_CASE("memory that a host does not have is a MemoryError, and nothing is lost") {
  const Shape input{1, 28, 28, 64}, weight{64, 3, 3, 64};
  const Array x = values_of(input, Dtype::float32, 1), w = values_of(weight, Dtype::float32, 2);
  std::vector<float> y(28 * 28 * 64);
  for (int left = 0;; ++left) {
    CountingMemory memory;
    memory.left = left;
    bool done = false;
    try {
      const ConvPlan plan(input, weight, w.data(), nullptr, {.padding = {1}, .allocator = memory.host()});
      plan.run(x.data(), x.nbytes(), y.data(), plan.output_bytes());
      done = true;
    } catch (const MemoryError&) {
    }
    CHECK(memory.allocated == memory.released);
    if (done) break;
    REQUIRE(left < 100);
  }
}

TEST_CASE("several threads run one plan") {
  for (const Case& c : cases()) {
    if (size_of(c.input) > 5000) continue;
    CAPTURE(c.name);
    const Dtype t = c.options.dtype;
    const Array w = values_of(c.weight, t, 1), bias = values_of({c.weight[0]}, t, 2);
    const ConvPlan plan(c.input, c.weight, w.data(), bias.data(), c.options);
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&, x = values_of(c.input, t, i)] {
        const auto first = run(plan, x);
        for (int j = 0; j < 200; ++j) wrong += run(plan, x) != first;
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

TEST_CASE("the process's memory may be a host's, before there are arrays") {
  CountingMemory memory;
  {
    const Array held = values_of({4}, Dtype::float32, 1);
    CHECK_THROWS_AS(set_host_allocator(memory.host()), ValueError);
  }
  clear_cache();
  if (get_active_memory() + get_cache_memory() > 0) return;  // other tests keep arrays of their own
  set_host_allocator(memory.host());
  {
    const Array x = values_of({1, 8, 8, 4}, Dtype::float32, 1), w = values_of({4, 3, 3, 4}, Dtype::float32, 2);
    eval({conv2d(x, w)});
    CHECK(memory.allocated > 2);
  }
  set_host_allocator({});
  CHECK(memory.allocated == memory.released);
  CHECK(memory.bytes == 0);
}
