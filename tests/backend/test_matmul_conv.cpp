// tests/backend/test_matmul_conv.cpp -- Matmul and Conv nodes on operands of any strides, weights kept packed
#include "backend_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

Values plain_matmul(const Values& a, const Values& b, size_t batch, size_t m, size_t n, size_t k) {
  Values c(batch * m * n, 0);
  for (size_t t = 0; t < batch; ++t)
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < n; ++j)
        for (size_t l = 0; l < k; ++l) c[(t * m + i) * n + j] += a[(t * m + i) * k + l] * b[(t * k + l) * n + j];
  return c;
}

/// 2-D, one group, no dilation: enough to see that strides, weights and the epilogue arrive.
Values plain_conv(const Values& x, const Values& w, int64_t n, int64_t h, int64_t c, int64_t o, int64_t kernel,
                  int64_t pad) {
  const int64_t out = h + 2 * pad - kernel + 1;
  Values y;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t p = 0; p < out; ++p)
      for (int64_t q = 0; q < out; ++q)
        for (int64_t f = 0; f < o; ++f) {
          double sum = 0;
          for (int64_t i = 0; i < kernel; ++i)
            for (int64_t j = 0; j < kernel; ++j)
              for (int64_t ch = 0; ch < c; ++ch) {
                const int64_t r = p + i - pad, s = q + j - pad;
                if (r < 0 || r >= h || s < 0 || s >= h) continue;
                sum += x[static_cast<size_t>(((b * h + r) * h + s) * c + ch)] *
                       w[static_cast<size_t>(((f * kernel + i) * kernel + j) * c + ch)];
              }
          y.push_back(sum);
        }
  return y;
}

std::shared_ptr<const ConvGeometry> geometry(int64_t n, int64_t h, int64_t c, int64_t o, int64_t kernel, int64_t pad) {
  auto g = std::make_shared<ConvGeometry>();
  g->highest_precision = true;  // sums of small integers are exact, but not transformed
  g->rank = 2;
  g->batch = n;
  g->in_channels = c;
  g->out_channels = o;
  for (int a = 1; a < 3; ++a) {
    g->in[a] = h;
    g->kernel[a] = kernel;
    g->pad[a] = pad;
    g->out[a] = h + 2 * pad - kernel + 1;
  }
  return g;
}

}  // namespace

TEST_CASE("matmul: any strides, batches, broadcast operands, empty sums") {
  std::mt19937 rng(41);
  for (Dtype t : {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64})
    for (const Dims& s : {Dims{1, 1, 1, 1}, Dims{1, 5, 7, 3}, Dims{3, 4, 9, 6}, Dims{2, 33, 20, 40}, Dims{2, 3, 4, 0}})
      for (int l = 0; l < kLayouts; ++l) {
        Array a = random_leaf(rng, {s[0], s[1], s[3]}, t, random_layout(rng), -2, 2);
        Array b = random_leaf(rng, {s[0], s[3], s[2]}, t, static_cast<Layout>(l), -2, 2);
        const Values got = values(testing::run(Matmul{}, {s[0], s[1], s[2]}, t, {a, b}));
        CHECK(got == plain_matmul(values(a), values(b), static_cast<size_t>(s[0]), static_cast<size_t>(s[1]),
                                  static_cast<size_t>(s[2]), static_cast<size_t>(s[3])));
      }
}

TEST_CASE("conv: input and weight of any strides, every kind") {
  std::mt19937 rng(42);
  const auto g = geometry(2, 6, 3, 5, 3, 1);
  for (Dtype t : {Dtype::float16, Dtype::float32, Dtype::float64})
    for (int l = 0; l < kLayouts; ++l) {
      Array x = random_leaf(rng, {2, 6, 6, 3}, t, static_cast<Layout>(l), -2, 2),
            w = random_leaf(rng, {5, 3, 3, 3}, t, random_layout(rng), -2, 2);
      CHECK(values(testing::run(Conv{ConvKind::forward, g}, {2, 6, 6, 5}, t, {x, w})) ==
            plain_conv(values(x), values(w), 2, 6, 3, 5, 3, 1));
      // <conv(x, w), gy> = <x, input_grad(gy, w)> = <w, weight_grad(x, gy)>
      Array gy = random_leaf(rng, {2, 6, 6, 5}, t, random_layout(rng), -1, 1);
      const auto dot = [](const Values& a, const Values& b) {
        return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
      };
      const double want = dot(plain_conv(values(x), values(w), 2, 6, 3, 5, 3, 1), values(gy));
      CHECK(dot(values(x), values(testing::run(Conv{ConvKind::input_grad, g}, {2, 6, 6, 3}, t, {gy, w}))) == want);
      CHECK(dot(values(w), values(testing::run(Conv{ConvKind::weight_grad, g}, {5, 3, 3, 3}, t, {x, gy}))) == want);
    }
}

TEST_CASE("conv: packed weights are kept with their storage, apart for views of one block") {
  std::mt19937 rng(43);
  const auto g = geometry(1, 8, 16, 16, 3, 1);
  Array x = random_leaf(rng, {1, 8, 8, 16}, Dtype::float32, Layout::row_major),
        both = random_leaf(rng, {2, 16, 3, 3, 16}, Dtype::float32, Layout::row_major, -2, 2);
  for (int round = 0; round < 2; ++round)
    for (int64_t half = 0; half < 2; ++half) {
      Array part = testing::run(Slice{{half, 0, 0, 0, 0}, {1, 1, 1, 1, 1}}, {1, 16, 3, 3, 16}, Dtype::float32, {both});
      Array w = testing::run(Reshape{}, {16, 3, 3, 16}, Dtype::float32, {part});
      CHECK(values(testing::run(Conv{ConvKind::forward, g}, {1, 8, 8, 16}, Dtype::float32, {x, w})) ==
            plain_conv(values(x), values(w), 1, 8, 16, 16, 3, 1));
      CHECK(both.node()->buffer->derived != nullptr);
    }
}

TEST_CASE("conv: bias and activation in the same pass") {
  std::mt19937 rng(44);
  const auto g = geometry(1, 5, 4, 6, 3, 0);
  Array x = random_leaf(rng, {1, 5, 5, 4}, Dtype::float32, Layout::row_major),
        w = random_leaf(rng, {6, 3, 3, 4}, Dtype::float32, Layout::row_major, -2, 2),
        bias = random_leaf(rng, {6}, Dtype::float32, Layout::stepped);
  const Conv p{ConvKind::forward, g};
  Array conv = make_node(p, {1, 3, 3, 6}, Dtype::float32, {x, w}, 0),
        y = make_node(p, {1, 3, 3, 6}, Dtype::float32, {}, 0);
  cpu::run_conv_fused(p, *conv.node(), bias.node(), nullptr, Activation::relu, *y.node());
  y.node()->ready = true;
  Values want = plain_conv(values(x), values(w), 1, 5, 4, 6, 3, 0);
  for (size_t i = 0; i < want.size(); ++i) want[i] = std::max(want[i] + values(bias)[i % 6], 0.0);
  CHECK(values(y) == want);
  CHECK(cpu::explain(p, *conv.node()).find("direct") != std::string::npos);
}
