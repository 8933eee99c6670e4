// tests/backend/test_random.cpp -- Threefry bits against MLX 0.32's, and Arange
#include "backend_testing.h"
#include "nhwc/memory.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

Values bits(const Values& keys, const Shape& key_shape, const Shape& out, int width) {
  const Dtype t = width == 1 ? Dtype::uint8 : width == 2 ? Dtype::uint16 : Dtype::uint32;
  return values(testing::run(RandomBits{width}, out, t, {of(key_shape, Dtype::uint32, keys)}));
}

}  // namespace

TEST_CASE("bits equal MLX's: mx.random.split(mx.random.key(7), n)") {
  const auto row = [](int64_t words) { return bits({0, 7}, {2}, {words}, 4); };
  CHECK(row(2) == Values{0x0ba028bf, 0xf22056bf});
  CHECK(row(4) == Values{0x399897a9, 0x3af75d5d, 0x741fbe03, 0x3f1826cb});
  CHECK(row(6) == Values{0x107b9334, 0x33609431, 0x71979c42, 0x61dcd604, 0xace8297e, 0x539bb5ac});
  // The middle word of odd counts, from mx.random.uniform, which keeps 24 bits of it.
  CHECK(std::fabs(row(1)[0] - 0xd8176500) <= 0x80);
  CHECK(std::fabs(row(3)[1] - 0x6d18d980) <= 0x40);
  CHECK(std::fabs(row(5)[2] - 0xa6847f00) <= 0x80);
  CHECK(std::fabs(row(7)[3] - 0x9bd2f900) <= 0x80);
}

TEST_CASE("narrow widths are the same stream cut into bytes; several keys are rows") {
  const Values words = bits({0, 7}, {2}, {3}, 4);
  const Values bytes = bits({0, 7}, {2}, {11}, 1), halves = bits({0, 7}, {2}, {5}, 2);
  for (size_t i = 0; i < 11; ++i) CHECK(bytes[i] == ((static_cast<uint32_t>(words[i / 4]) >> (8 * (i % 4))) & 0xff));
  for (size_t i = 0; i < 5; ++i) CHECK(halves[i] == ((static_cast<uint32_t>(words[i / 2]) >> (16 * (i % 2))) & 0xffff));
  const Values two = bits({0, 7, 3, 9}, {2, 2}, {2, 5}, 4), first = bits({0, 7}, {2}, {5}, 4),
               second = bits({3, 9}, {2}, {5}, 4);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(two[i] == first[i]);
    CHECK(two[5 + i] == second[i]);
  }
  CHECK(bits({0, 7}, {2}, {0}, 4).empty());
}

TEST_CASE("bits do not depend on the number of threads") {
  const int threads = num_threads();
  set_num_threads(1);
  const Values one = bits({1, 2}, {2}, {50001}, 4);
  set_num_threads(3);
  CHECK(bits({1, 2}, {2}, {50001}, 4) == one);
  set_num_threads(threads);
}

TEST_CASE("arange in every dtype") {
  for (Dtype t : kAllDtypes) {
    if (t == Dtype::bool_) continue;
    CHECK(values(testing::run(Arange{2, 3, 2, 3}, {4}, t, {})) == Values{2, 5, 8, 11});
  }
  CHECK(values(testing::run(Arange{0.5, 0.25, 0, 0}, {3}, Dtype::float32, {})) == Values{0.5, 0.75, 1});
}
