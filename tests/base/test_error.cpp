// tests/base/test_error.cpp -- messages and what is thrown with them
#include "nhwc/error.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace nhwc {
namespace {

TEST_CASE("every kind of part is written") {
  const std::string owned = "owned";
  const char* pointed = "pointed";
  CHECK(message("text ", owned, ' ', pointed, ' ', std::string_view("viewed", 4)) == "text owned pointed view");
  CHECK(message(std::string_view{}, "", std::string{}).empty());
  CHECK(message(-3, ' ', uint8_t{200}, ' ', size_t{7}, ' ', true) == "-3 200 7 1");
  CHECK(message(std::numeric_limits<int64_t>::min(), ' ', std::numeric_limits<uint64_t>::max()) ==
        "-9223372036854775808 18446744073709551615");
  CHECK(message(0.5, ' ', 1e-5, ' ', 2.0f, ' ', 1e20, ' ', -INFINITY) == "0.5 1e-05 2 1e+20 -inf");
}

TEST_CASE("raise throws the type asked for, with the parts joined") {
  CHECK_THROWS_WITH_AS(raise<ValueError>("[op] got ", 3), "[op] got 3", ValueError);
  CHECK_THROWS_WITH_AS(raise<TypeError>("a ", std::string("list")), "a list", TypeError);
  CHECK_THROWS_WITH_AS(raise<IndexError>("axis ", -4), "axis -4", IndexError);
  CHECK_THROWS_WITH_AS(raise<MemoryError>(size_t{1} << 40, " bytes"), "1099511627776 bytes", MemoryError);
}

TEST_CASE("a check that does not hold says what, and where") {
  const auto fails = [] { NHWC_CHECK(1 + 1 == 3, "sums"); };
  CHECK_THROWS_AS(fails(), std::logic_error);
  CHECK_THROWS_WITH(fails(), doctest::Contains("nhwc bug: sums (1 + 1 == 3) at "));
}

}  // namespace
}  // namespace nhwc
