// tests/ops/test_conv.cpp -- what convolutions accept, the shapes and dtypes they give, and what they say to mistakes
#include <cstdint>

#include "graph/node.h"
#include "ops/conv.h"
#include "ops/ops_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

const Shape kImage{2, 9, 8, 4};
const Array image() { return zeros(kImage); }
const Array kernel(const Shape& s = {6, 3, 3, 4}) { return zeros(s); }
using Pairs = std::vector<std::pair<int64_t, int64_t>>;

const ConvGeometry& geometry(const Array& y) { return *std::get<Conv>(y.node()->prim).geometry; }

std::string mistake(const std::function<Array()>& f) { return message_of<ValueError>(f); }

}  // namespace

TEST_CASE("conv: shapes by the formula") {
  CHECK(conv2d(image(), kernel()).shape() == Shape{2, 7, 6, 6});
  CHECK(conv2d(image(), kernel(), {2}, Ints{1}).shape() == Shape{2, 5, 4, 6});
  CHECK(conv2d(image(), kernel(), {2, 1}, Ints{1, 0}, {1, 2}).shape() == Shape{2, 5, 4, 6});
  CHECK(conv2d(image(), kernel({6, 3, 3, 2}), {1}, Ints{1}, {1}, 2).shape() == Shape{2, 9, 8, 6});
  CHECK(conv2d(image(), kernel(), {1}, Pairs{{1, 0}, {0, 2}}).shape() == Shape{2, 8, 8, 6});
  CHECK(conv2d(image(), kernel(), {1}, "valid").shape() == Shape{2, 7, 6, 6});
  for (int64_t stride : {1, 2, 3, 5}) {
    const Shape s = conv2d(image(), kernel({6, 4, 3, 4}), {stride}, "same").shape();
    CHECK(s == Shape{2, (9 + stride - 1) / stride, (8 + stride - 1) / stride, 6});
  }
  CHECK(conv1d(zeros({1, 10, 2}), zeros({3, 4, 2}), {1}, "causal", {2}).shape() == Shape{1, 10, 3});
  CHECK(conv3d(zeros({1, 5, 6, 7, 4}), zeros({8, 3, 3, 3, 2}), {1}, Ints{0}, {1}, 2).shape() == Shape{1, 3, 4, 5, 8});
  CHECK(conv_general(zeros({1, 5, 1}), zeros({1, 3, 1}), {1}, {2}, {1}, {1}, {3}).shape() == Shape{1, 14, 1});
}

TEST_CASE("conv: the extra pixel of \"same\" comes after, \"causal\" pads before") {
  const Array y = conv1d(zeros({1, 5, 1}), zeros({1, 4, 1}), {1}, "same");
  CHECK(geometry(y).pad[2] == 1);
  CHECK(geometry(conv1d(zeros({1, 5, 1}), zeros({1, 4, 1}), {1}, "causal", {2})).pad[2] == 6);
}

TEST_CASE("conv: nothing to sum, nothing to give") {
  CHECK(conv2d(zeros({0, 9, 8, 4}), kernel()).shape() == Shape{0, 7, 6, 6});
  CHECK(conv2d(image(), zeros({0, 3, 3, 4})).shape() == Shape{2, 7, 6, 0});
  CHECK(conv2d(zeros({2, 9, 8, 0}), zeros({6, 3, 3, 0})).shape() == Shape{2, 7, 6, 6});
  CHECK(conv2d(zeros({2, 0, 8, 4}), kernel(), {1}, Ints{2, 0}).shape() == Shape{2, 2, 6, 6});
  CHECK(values(conv1d(zeros({1, 3, 0}), zeros({1, 1, 0}))) == V{0, 0, 0});
}

TEST_CASE("conv: negative padding crops before the input is spread") {
  const Array x = floats({1, 2, 3, 4, 5}, {1, 5, 1}), w = floats({1, 10}, {1, 2, 1});
  CHECK(values(conv1d(x, w, {1}, Pairs{{-1, 0}})) == V{32, 43, 54});
  CHECK(values(conv1d(x, w, {1}, Pairs{{-2, 1}})) == V{43, 54, 5});
  // [2, 3, 4] spread by 2 is [2, 0, 3, 0, 4].
  CHECK(values(conv_general(x, w, {1}, {-1}, {-1}, {1}, {2})) == V{2, 30, 3, 40});
  CHECK(contains(mistake([&] { return conv1d(x, w, {1}, Pairs{{-3, -3}}); }),
                 "crops more than the input has along W: size 5"));
  CHECK(contains(mistake([&] { return conv1d(x, w, {1}, Pairs{{INT64_MIN, INT64_MIN}}); }), "crops more"));
}

TEST_CASE("conv_general: flip reverses the kernel") {
  const Array x = floats({1, 2, 3, 4}, {1, 4, 1}), w = floats({1, 10}, {1, 2, 1});
  CHECK(values(conv_general(x, w)) == V{21, 32, 43});
  CHECK(values(conv_general(x, w, {1}, {0}, {0}, {1}, {1}, 1, true)) == V{12, 23, 34});
}

TEST_CASE("conv_transpose: shapes and values by the formula") {
  auto size = [](int64_t in, int64_t k, int64_t s, int64_t p, int64_t d, int64_t op) {
    return conv_transpose("conv_transpose1d", 1, zeros({1, in, 2}), zeros({3, k, 2}), {s}, {p}, {d}, {op}).shape();
  };
  for (int64_t in : {1, 4, 7})
    for (int64_t s : {1, 2, 3})
      for (int64_t p : {0, 1, 4})
        for (int64_t d : {1, 2})
          for (int64_t op = 0; op < std::max(s, d); ++op) {
            const int64_t out = (in - 1) * s - 2 * p + d * 2 + 1 + op;
            if (out > 0) CHECK(size(in, 3, s, p, d, op) == Shape{1, out, 3});
          }
  CHECK(size(0, 3, 2, 0, 1, 0) == Shape{1, 1, 3});
  CHECK(size(2, 1, 1, 1, 1, 0) == Shape{1, 0, 3});
  const Array x = floats({1, 2, 3}, {1, 3, 1}), w = floats({1, 10, 100}, {1, 3, 1});
  CHECK(values(conv_transpose("t", 1, x, w, {2})) == V{1, 10, 102, 20, 203, 30, 300});
  // Padding beyond the kernel's reach crops what is not there to be spread.
  CHECK(values(conv_transpose("t", 1, x, w, {2}, {3})) == V{20});
  CHECK(conv_transpose("t", 3, zeros({1, 2, 2, 2, 4}), zeros({6, 2, 2, 2, 2}), {2}, {0}, {1}, {0}, 2).shape() ==
        Shape{1, 4, 4, 4, 6});
}

TEST_CASE("conv: dtypes are promoted, bias included; half types stay") {
  auto result = [](Dtype x, Dtype w) { return conv1d(zeros({1, 3, 1}, x), zeros({1, 1, 1}, w)).dtype(); };
  CHECK(result(Dtype::float16, Dtype::float16) == Dtype::float16);
  CHECK(result(Dtype::float16, Dtype::bfloat16) == Dtype::float32);
  CHECK(result(Dtype::float16, Dtype::int32) == Dtype::float16);
  CHECK(result(Dtype::float32, Dtype::float64) == Dtype::float64);
  ConvExtras extras;
  extras.bias = zeros({1}, Dtype::float32);
  CHECK(conv1d(zeros({1, 3, 1}, Dtype::float16), zeros({1, 1, 1}, Dtype::float16), {1}, Ints{0}, {1}, 1, extras)
            .dtype() == Dtype::float32);
  for (Dtype t : {Dtype::bool_, Dtype::int8, Dtype::uint64}) {
    const std::string said = mistake([&] { return conv1d(zeros({1, 3, 1}, t), zeros({1, 1, 1})); });
    CHECK(contains(said, std::string(name(t))));
  }
}

TEST_CASE("conv: bias and activation are nodes of their own") {
  ConvExtras extras;
  extras.bias = floats({-25});
  extras.activation = "relu";
  const Array x = floats({1, 2, 3, 4}, {1, 4, 1}), w = floats({1, 10}, {1, 2, 1});
  CHECK(values(conv1d(x, w, {1}, Ints{0}, {1}, 1, extras)) == V{0, 7, 18});
  const Array y = conv1d(x, w, {1}, Ints{0}, {1}, 1, extras);
  CHECK(name(y.node()->prim) == "relu");
  CHECK(name(y.node()->inputs[0].node()->prim) == "add");
  extras.bias = zeros({2});
  CHECK(contains(mistake([&] { return conv1d(x, w, {1}, Ints{0}, {1}, 1, extras); }),
                 "bias has shape (2,); expected (1,)"));
  extras.bias.reset();
  extras.activation = "swish";
  CHECK(contains(mistake([&] { return conv1d(x, w, {1}, Ints{0}, {1}, 1, extras); }), "\"leaky_relu\""));
  extras.activation.reset();
  extras.precision = "high";
  CHECK(contains(mistake([&] { return conv1d(x, w, {1}, Ints{0}, {1}, 1, extras); }), "\"highest\""));
  extras.precision = "highest";
  CHECK(geometry(conv1d(x, w, {1}, Ints{0}, {1}, 1, extras)).highest_precision);
}

TEST_CASE("conv: mistakes are named with what was got, what was expected and the mend") {
  CHECK(mistake([] { return conv2d(zeros({1, 8, 8, 3}), zeros({8, 3, 3, 4})); }) ==
        "[conv2d] input has 3 channels but weight (8, 3, 3, 4) with groups=1 expects 4; inputs are (N, H, W, C), "
        "weights (O, H, "
        "W, C / groups)");
  auto says = [](const char* part, const Shape& x, const Shape& w, const Ints& stride = {1},
                 const Padding& padding = Ints{0}, const Ints& dilation = {1}, int64_t groups = 1) {
    const std::string said = mistake([&] { return conv2d(zeros(x), zeros(w), stride, padding, dilation, groups); });
    CHECK_MESSAGE(contains(said, part), said);
  };
  const Shape w{6, 3, 3, 4};
  says("input has 3 dimensions, shape (9, 8, 4); expected 4: (N, H, W, C)", {9, 8, 4}, w);
  says("(C_out, ..., C_in / groups)", kImage, {6, 3, 4});
  says("groups must be at least 1, got 0", kImage, w, {1}, Ints{0}, {1}, 0);
  says("groups must be at least 1, got -1", kImage, w, {1}, Ints{0}, {1}, -1);
  says("groups=3 must divide the input's 4 channels", kImage, w, {1}, Ints{0}, {1}, 3);
  says("and the weight's 6 output channels", kImage, {6, 3, 3, 1}, {1}, Ints{0}, {1}, 4);
  says("expects 8", kImage, w, {1}, Ints{0}, {1}, 2);
  says("stride must be at least 1, got 0", kImage, w, {1, 0});
  says("dilation must be at least 1, got -2", kImage, w, {1}, Ints{0}, {-2});
  says("got 3 values for stride; expected 1, or 2", kImage, w, {1, 1, 1});
  says("got 0 values for padding", kImage, w, {1}, Ints{});
  says("got 1 (low, high) pairs", kImage, w, {1}, Pairs{{1, 1}});
  says("expected \"valid\", \"same\"", kImage, w, {1}, "full");
  says("\"causal\" is for conv1d", kImage, w, {1}, "causal");
  says("the kernel has size 0 along W", kImage, {6, 3, 0, 4});
  says("the kernel reaches over 11 elements along H (size 3, dilation 5) but the padded input has only 9", kImage, w,
       {1}, Ints{0}, {5, 1});
  CHECK(contains(mistake([] { return conv1d(zeros({1, 2, 3, 4}), zeros({1, 2, 3, 4})); }), "expected 3: (N, W, C)"));
  CHECK(contains(mistake([] { return conv_general(zeros({1, 2}), zeros({1, 2})); }),
                 "expected 3 (N, W, C), 4 (N, H, W, C) or 5"));
  CHECK(contains(mistake([] { return conv_general(zeros({1, 2, 1}), zeros({1, 1, 1}), {1}, {0}, {0}, {1}, {0}); }),
                 "input_dilation must be at least 1"));
}

TEST_CASE("conv_transpose: mistakes") {
  auto says = [](const char* part, const Ints& stride, const Ints& padding, const Ints& dilation, const Ints& extra) {
    const std::string said = mistake([&] {
      return conv_transpose("conv_transpose1d", 1, zeros({1, 3, 2}), zeros({3, 3, 2}), stride, padding, dilation,
                            extra);
    });
    CHECK_MESSAGE(contains(said, part), said);
  };
  says("output_padding 2 along W must be at least 0 and less than 2", {2}, {0}, {1}, {2});
  says("output_padding -1", {2}, {0}, {1}, {-1});
  says("the output would have size -1 along W", {1}, {3}, {1}, {0});
  says("stride must be at least 1, got 0", {0}, {0}, {1}, {0});
  says("got 2 values for output_padding", {1}, {0}, {1}, {0, 0});
}

TEST_CASE("conv: sizes beyond 64 bits are refused, large ones that fit are not") {
  const Array x = zeros({1, 5, 1}), w = zeros({1, 3, 1});
  for (int64_t huge : {INT64_MAX, INT64_MAX / 2, int64_t(1) << 62}) {
    CHECK(conv1d(x, w, {huge}).shape() == Shape{1, 1, 1});
    CHECK(mistake([&] { return conv1d(x, w, {1}, Ints{0}, {huge}); }) != "");
    CHECK(mistake([&] { return conv_general(x, w, {1}, {huge}, {huge}, {1}, {huge}); }) != "");
    CHECK(mistake([&] { return conv_transpose("t", 1, x, w, {huge}); }) != "");
    CHECK(mistake([&] { return conv_transpose("t", 1, x, w, {1}, {huge}); }) != "");
    CHECK(mistake([&] { return conv_transpose("t", 1, x, w, {1}, {-huge}); }) != "");
    CHECK(mistake([&] { return conv_transpose("t", 1, x, w, {1}, {0}, {huge}); }) != "");
  }
  CHECK(mistake([&] { return conv_transpose("t", 1, x, w, {1}, {INT64_MIN}); }) != "");
  CHECK(mistake([&] { return conv2d(zeros({1, 5, 5, 1}), zeros({8, 1, 1, 1}), {1}, Ints{int64_t(1) << 31}); }) != "");
  // A step between one thing and nothing is written as 1.
  CHECK(geometry(conv1d(x, w, {INT64_MAX})).stride[2] == 1);
  CHECK(geometry(conv1d(x, zeros({1, 1, 1}), {1}, Ints{0}, {INT64_MAX})).dilation[2] == 1);
}

TEST_CASE("conv_node: the shapes of all three kinds") {
  const Array x = zeros({2, 9, 8, 4}), w = zeros({6, 3, 2, 2});
  const Array y = conv2d(x, w, {2, 1}, Ints{1}, {1}, 2);
  const auto g = std::get<Conv>(y.node()->prim).geometry;
  CHECK(g->rank == 2);
  CHECK(g->in[0] == 1);
  CHECK(g->in[1] == 9);
  CHECK(conv_node(ConvKind::forward, g, x, w).shape() == y.shape());
  CHECK(conv_node(ConvKind::input_grad, g, y, w).shape() == x.shape());
  CHECK(conv_node(ConvKind::weight_grad, g, x, y).shape() == w.shape());
}

TEST_CASE("convolve: as np.convolve") {
  const Array a = floats({1, 2, 3}), v = floats({0, 1, 0.5, 2});
  CHECK(values(convolve(a, v)) == V{0, 1, 2.5, 6, 5.5, 6});
  CHECK(values(convolve(a, v, "same")) == V{1, 2.5, 6, 5.5});
  CHECK(values(convolve(v, a, "same")) == V{1, 2.5, 6, 5.5});
  CHECK(values(convolve(a, v, "valid")) == V{2.5, 6});
  CHECK(values(convolve(a, floats({1, 1}), "same")) == V{1, 3, 5});
  CHECK(convolve(ints({1, 2}), ints({1})).dtype() == Dtype::float32);
  CHECK(contains(mistake([&] { return convolve(a, zeros({0})); }), "empty"));
  CHECK(contains(mistake([&] { return convolve(a, zeros({2, 2})); }), "1 dimension"));
  CHECK(contains(mistake([&] { return convolve(a, v, "half"); }), "\"full\", \"same\" or \"valid\""));
}
