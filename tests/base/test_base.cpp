// tests/base/test_base.cpp -- element types, half conversions, shapes, small vectors
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/half.h"
#include "base/visit_dtype.h"
#include "nhwc/error.h"
#include "nhwc/shape.h"

using namespace nhwc;

TEST_CASE("float16: every bit pattern survives a trip through float32") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float f = Float16::to_float(static_cast<uint16_t>(bits));
    const uint16_t back = Float16::from_float(f);
    if (std::isnan(f))
      CHECK(std::isnan(Float16::to_float(back)));
    else
      CHECK(back == bits);
  }
}

TEST_CASE("float16: rounds to nearest even, as the compiler's own half type does") {
#if defined(__FLT16_MAX__)
  std::mt19937 rng(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const float f = std::bit_cast<float>(static_cast<uint32_t>(rng()));
    if (std::isnan(f)) continue;
    const _Float16 h = static_cast<_Float16>(f);
    uint16_t expected;
    std::memcpy(&expected, &h, 2);
    REQUIRE_MESSAGE(Float16::from_float(f) == expected, "value ", f);
  }
#endif
}

TEST_CASE("bfloat16: rounds to nearest even, keeps NaN and infinities") {
  CHECK(BFloat16::from_float(1.0f) == 0x3f80);
  CHECK(BFloat16::from_float(1.00390625f) == 0x3f80);  // half way between 0x3f80 and 0x3f81: to even
  CHECK(BFloat16::from_float(1.01171875f) == 0x3f82);  // half way between 0x3f81 and 0x3f82: to even
  CHECK(std::isnan(BFloat16::to_float(BFloat16::from_float(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(BFloat16::to_float(BFloat16::from_float(-INFINITY)) == -INFINITY);
  CHECK(BFloat16::to_float(BFloat16::from_float(3.4e38f)) == INFINITY);
}

TEST_CASE("convert: floats outside an integer's range give a value, not undefined behaviour") {
  CHECK(convert<int32_t>(1.9) == 1);
  CHECK(convert<int32_t>(-1.9) == -1);
  (void)convert<int8_t>(1e30);
  (void)convert<int64_t>(std::numeric_limits<double>::quiet_NaN());
  CHECK(convert<uint64_t>(0x1p63) == uint64_t(1) << 63);
  CHECK(convert<bool>(0.5f));
}

TEST_CASE("promotion is symmetric and idempotent, and follows MLX in the odd places") {
  for (int a = 0; a < kDtypeCount; ++a)
    for (int b = 0; b < kDtypeCount; ++b) {
      const auto x = static_cast<Dtype>(a), y = static_cast<Dtype>(b);
      CHECK(promote_types(x, y) == promote_types(y, x));
    }
  CHECK(promote_types(Dtype::float16, Dtype::bfloat16) == Dtype::float32);
  CHECK(promote_types(Dtype::float16, Dtype::int32) == Dtype::float16);
  CHECK(promote_types(Dtype::int64, Dtype::uint64) == Dtype::float32);
  CHECK(promote_types(Dtype::uint8, Dtype::int8) == Dtype::int16);
  CHECK(promote_types(Dtype::bool_, Dtype::uint8) == Dtype::uint8);
}

TEST_CASE("shapes: sizes, strides, broadcasting") {
  CHECK(size_of(Shape{2, 3, 4}) == 24);
  CHECK(size_of(Shape{}) == 1);
  CHECK(size_of(Shape{int64_t(1) << 40, 0, int64_t(1) << 40}) == 0);
  CHECK_THROWS_AS(size_of(Shape{int64_t(1) << 40, int64_t(1) << 40}), ValueError);
  CHECK(contiguous_strides(Shape{2, 3, 4}) == Strides{12, 4, 1});
  CHECK(broadcast_shapes(Shape{3, 1}, Shape{2, 1, 4}) == Shape{2, 3, 4});
  CHECK(broadcast_shapes(Shape{0}, Shape{1}) == Shape{0});
  CHECK_THROWS_AS(broadcast_shapes(Shape{3}, Shape{2}), ValueError);
  CHECK(to_string(Shape{5}) == "(5,)");
  CHECK(to_string(Shape{}) == "()");
  CHECK(normalize_axis(-1, 3, "test") == 2);
  CHECK_THROWS_AS(normalize_axis(3, 3, "test"), IndexError);
}

TEST_CASE("InlineVec: grows past its inline room, copies and moves") {
  InlineVec<std::string, 2> v;
  for (int i = 0; i < 9; ++i) v.push_back(std::string(40, static_cast<char>('a' + i)));
  InlineVec<std::string, 2> copy = v, moved = std::move(v);
  CHECK(copy == moved);
  CHECK(v.empty());
  copy.erase(0);
  copy.insert(1, "x");
  CHECK(copy[0][0] == 'b');
  CHECK(copy[1] == "x");
  CHECK(copy.size() == 9);
  InlineVec<std::string, 2> small{"p", "q"};
  moved = std::move(small);
  CHECK(moved.size() == 2);
  CHECK(moved[1] == "q");
  InlineVec<std::string, 2> shrunk = copy;  // few elements in room for many
  shrunk.resize(1);
  small = shrunk;
  shrunk = copy;
  CHECK(small == InlineVec<std::string, 2>{copy[0]});
  CHECK(shrunk == copy);
}
