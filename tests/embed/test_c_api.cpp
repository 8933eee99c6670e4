// tests/embed/test_c_api.cpp -- the C interface: what it computes, and a status and a text for everything that is wrong
#include "nhwc/c_api.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "embed/embed_testing.h"
#include "nhwc/conv_plan.h"

namespace {

nhwc_conv_options tiny() {
  nhwc_conv_options o;
  REQUIRE(nhwc_conv_options_init(&o, sizeof o) == NHWC_OK);
  o.batch = 1;
  o.in_channels = o.out_channels = 8;
  for (int i = 0; i < 2; ++i) o.input[i] = 4, o.kernel[i] = 3, o.padding_low[i] = o.padding_high[i] = 1;
  return o;
}

const std::vector<float> kWeights(8 * 9 * 8, 0.25f);
constexpr size_t kBytes = 8 * 9 * 8 * sizeof(float), kPixels = 128 * sizeof(float);

nhwc_status create(const nhwc_conv_options& o, nhwc_conv_plan** plan) {
  return nhwc_conv_plan_create(&o, kWeights.data(), kBytes, nullptr, 0, plan);
}

}  // namespace

/// The call fails with the status, and the text has the part.
#define CHECK_FAILS(status, part, ...)           \
  do {                                           \
    CHECK((__VA_ARGS__) == status);              \
    const std::string text = nhwc_error();       \
    CAPTURE(text);                               \
    CHECK(text.find(part) != std::string::npos); \
  } while (0)

TEST_CASE("C: a plan computes what the C++ one does") {
  nhwc_conv_options o = tiny();
  o.activation = NHWC_RELU;
  std::vector<float> x(128), y(128), expected(128), bias(8, -3.0f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 2;
  nhwc_conv_plan* plan;
  REQUIRE(nhwc_conv_plan_create(&o, kWeights.data(), kBytes, bias.data(), 32, &plan) == NHWC_OK);
  CHECK(nhwc_conv_plan_run(plan, x.data(), kPixels, y.data(), kPixels) == NHWC_OK);
  CHECK(std::string(nhwc_error()).empty());
  nhwc::conv2d(x.data(), {1, 4, 4, 8}, kWeights.data(), {8, 3, 3, 8}, expected.data(), {1, 4, 4, 8},
               {.padding = {1}, .activation = nhwc::Activation::relu}, bias.data());
  CHECK(y == expected);
  int64_t shape[5] = {};
  size_t bytes = 0;
  CHECK(nhwc_conv_plan_output(plan, shape, &bytes) == NHWC_OK);
  CHECK(bytes == kPixels);
  CHECK((shape[0] == 1 && shape[1] == 4 && shape[2] == 4 && shape[3] == 8));
  CHECK(nhwc_conv_plan_output(plan, nullptr, nullptr) == NHWC_OK);
  const std::vector<float> zeros(8 * 9 * 8), up(8, 2.0f);
  CHECK(nhwc_conv_plan_set_weights(plan, zeros.data(), kBytes, up.data(), 32) == NHWC_OK);
  CHECK(nhwc_conv_plan_run(plan, x.data(), kPixels, y.data(), kPixels) == NHWC_OK);
  CHECK(y == std::vector<float>(128, 2.0f));
  nhwc_conv_plan_destroy(plan);
  nhwc_conv_plan_destroy(nullptr);
}

TEST_CASE("C: one and three dimensions, transposed, by the options") {
  nhwc_conv_options o = tiny();
  o.spatial = 1;
  nhwc_conv_plan* plan;
  REQUIRE(nhwc_conv_plan_create(&o, kWeights.data(), 8 * 3 * 8 * 4, nullptr, 0, &plan) == NHWC_OK);
  int64_t shape[5];
  CHECK(nhwc_conv_plan_output(plan, shape, nullptr) == NHWC_OK);
  CHECK((shape[0] == 1 && shape[1] == 4 && shape[2] == 8));
  nhwc_conv_plan_destroy(plan);
  o = tiny();
  o.transposed = 1;
  o.stride[0] = o.stride[1] = 2;
  o.output_padding[1] = 1;
  REQUIRE(create(o, &plan) == NHWC_OK);
  CHECK(nhwc_conv_plan_output(plan, shape, nullptr) == NHWC_OK);
  CHECK((shape[1] == 7 && shape[2] == 8));
  nhwc_conv_plan_destroy(plan);
}

TEST_CASE("C: misuse is an error with a text") {
  const nhwc_conv_options o = tiny();
  nhwc_conv_plan* plan = nullptr;
  REQUIRE(create(o, &plan) == NHWC_OK);
  std::vector<float> x(129), y(129);
  CHECK_FAILS(NHWC_INVALID_VALUE, "x has 508 bytes", nhwc_conv_plan_run(plan, x.data(), 508, y.data(), kPixels));
  CHECK_FAILS(NHWC_INVALID_VALUE, "y has 516 bytes", nhwc_conv_plan_run(plan, x.data(), kPixels, y.data(), 516));
  CHECK_FAILS(NHWC_INVALID_VALUE, "x is a null", nhwc_conv_plan_run(plan, nullptr, kPixels, y.data(), kPixels));
  CHECK_FAILS(NHWC_INVALID_VALUE, "y is a null", nhwc_conv_plan_run(plan, x.data(), kPixels, nullptr, kPixels));
  CHECK_FAILS(NHWC_INVALID_VALUE, "not aligned",
              nhwc_conv_plan_run(plan, reinterpret_cast<char*>(x.data()) + 1, kPixels, y.data(), kPixels));
  CHECK_FAILS(NHWC_INVALID_VALUE, "overlap", nhwc_conv_plan_run(plan, x.data(), kPixels, x.data(), kPixels));
  CHECK_FAILS(NHWC_INVALID_VALUE, "plan is a null", nhwc_conv_plan_run(nullptr, x.data(), 1, y.data(), 1));
  CHECK_FAILS(NHWC_INVALID_VALUE, "plan is a null", nhwc_conv_plan_output(nullptr, nullptr, nullptr));
  CHECK_FAILS(NHWC_INVALID_VALUE, "plan is a null", nhwc_conv_plan_set_weights(nullptr, x.data(), 1, nullptr, 0));
  CHECK_FAILS(NHWC_INVALID_VALUE, "the weight has 8 bytes; expected 2304",
              nhwc_conv_plan_set_weights(plan, x.data(), 8, nullptr, 0));
  CHECK_FAILS(NHWC_INVALID_VALUE, "the bias has 32 bytes; expected 0",
              nhwc_conv_plan_set_weights(plan, kWeights.data(), kBytes, x.data(), 32));
  nhwc_conv_plan_destroy(plan);
}

TEST_CASE("C: options that do not fit make no plan") {
  nhwc_conv_options o = tiny();
  nhwc_conv_plan* plan;
  CHECK_FAILS(NHWC_INVALID_VALUE, "options of 8 bytes", nhwc_conv_options_init(&o, 8));
  CHECK_FAILS(NHWC_INVALID_VALUE, "null pointer", nhwc_conv_options_init(nullptr, sizeof o));
  CHECK_FAILS(NHWC_INVALID_VALUE, "place for the plan",
              nhwc_conv_plan_create(&o, kWeights.data(), kBytes, nullptr, 0, nullptr));
  CHECK_FAILS(NHWC_INVALID_VALUE, "options is a null",
              nhwc_conv_plan_create(nullptr, kWeights.data(), kBytes, nullptr, 0, &plan));
  CHECK_FAILS(NHWC_INVALID_VALUE, "the weight has 8 bytes",
              nhwc_conv_plan_create(&o, kWeights.data(), 8, nullptr, 0, &plan));
  CHECK(plan == nullptr);
  CHECK_FAILS(NHWC_INVALID_VALUE, "the weight is a null",
              nhwc_conv_plan_create(&o, nullptr, kBytes, nullptr, 0, &plan));
  CHECK_FAILS(NHWC_INVALID_VALUE, "the bias has 4 bytes; expected 32",
              nhwc_conv_plan_create(&o, kWeights.data(), kBytes, kWeights.data(), 4, &plan));
  CHECK_FAILS(NHWC_INVALID_VALUE, "the bias has 32 bytes; expected 0",
              nhwc_conv_plan_create(&o, kWeights.data(), kBytes, nullptr, 32, &plan));
  const auto fails = [&](auto change, const char* part) {
    nhwc_conv_options bad = o;
    change(bad);
    CHECK_FAILS(NHWC_INVALID_VALUE, part, create(bad, &plan));
    CHECK(plan == nullptr);
  };
  fails([](auto& b) { b.struct_size = 4; }, "struct_size 4");
  fails([](auto& b) { b.spatial = 4; }, "got spatial 4");
  fails([](auto& b) { b.dtype = 9; }, "got dtype 9");
  fails([](auto& b) { b.activation = -1; }, "got activation -1");
  fails([](auto& b) { b.groups = 0; }, "got groups 0");
  fails([](auto& b) { b.groups = 3; }, "groups 3 must divide");
  fails([](auto& b) { b.batch = -1; }, "a size of -1");
  fails([](auto& b) { b.stride[1] = 0; }, "stride must be at least 1");
  fails([](auto& b) { b.kernel[0] = 0; }, "the weight has");
  fails([](auto& b) { b.in_channels = b.out_channels = INT64_MAX / 2; }, "");
  fails([](auto& b) { b.input[0] = 1, b.padding_low[0] = 0, b.padding_high[0] = 0; }, "the kernel reaches over 3");
}

TEST_CASE("C: threads and memory of the caller's") {
  CHECK_FAILS(NHWC_INVALID_VALUE, "expected at least 1", nhwc_set_num_threads(0));
  CHECK_FAILS(NHWC_INVALID_VALUE, "at least one thread",
              nhwc_set_pool(nullptr, 0, [](void*, int, void (*)(void*, int), void*) {}));
  nhwc::testing::CountingPool pool;
  const nhwc::HostPool host = pool.host(3);
  CHECK(nhwc_set_pool(host.ctx, host.threads, host.run) == NHWC_OK);
  nhwc_conv_options o = tiny();
  o.input[0] = o.input[1] = 200;
  nhwc_conv_plan* plan;
  REQUIRE(create(o, &plan) == NHWC_OK);
  std::vector<float> x(200 * 200 * 8, 1.0f), y(x.size());
  CHECK(nhwc_conv_plan_run(plan, x.data(), x.size() * 4, y.data(), y.size() * 4) == NHWC_OK);
  nhwc_conv_plan_destroy(plan);
  CHECK(nhwc_set_pool(nullptr, 0, nullptr) == NHWC_OK);
  CHECK(pool.runs > 0);
  CHECK(y[200 * 8 + 8] == 18.0f);
  CHECK_FAILS(NHWC_INVALID_VALUE, "only one of allocate and release",
              nhwc_set_allocator(nullptr, nullptr, [](void*, void*, size_t) {}));
  CHECK(std::strcmp(nhwc_version(), NHWC_VERSION_TEXT) == 0);
}
