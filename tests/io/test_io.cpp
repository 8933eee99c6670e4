// tests/io/test_io.cpp -- weight files in memory: what is written is read back, and damaged bytes raise ValueError only
#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "io/bytes.h"
#include "io/deflate.h"
#include "io/json.h"
#include "nhwc/io.h"
#include "nhwc/ops.h"

using namespace nhwc;

namespace {

NamedArrays specimens() {
  return {{"a", reshape(arange(0, 12, 1, Dtype::float32), {3, 4})},
          {"b", zeros({200}, Dtype::int8)},
          {"c", transpose(reshape(arange(0, 6, 1, Dtype::bfloat16), {2, 3}))},
          {"empty", zeros({0, 3}, Dtype::float64)},
          {"truth", Array(true)}};
}

void check_same(const NamedArrays& got, const NamedArrays& expected) {
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, a] : expected) {
    CAPTURE(name);
    const Array& b = got.at(name);
    CHECK(b.dtype() == a.dtype());
    REQUIRE(b.shape() == a.shape());
    CHECK(array_equal(a, b).item() == 1);
  }
}

// One to four bytes changed, cut out, put in, or made a number at the border of what fits.
std::string damage(std::string bytes, std::mt19937& rng) {
  static constexpr uint64_t borders[] = {0, 1, 0x7fffffff, 0xffffffff, uint64_t(1) << 63, ~uint64_t(0)};
  for (unsigned times = 1 + rng() % 4; times--;) {
    const size_t at = bytes.empty() ? 0 : rng() % bytes.size();
    switch (rng() % 4) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(rng());
        break;
      case 1:
        bytes.erase(at, rng() % 40);
        break;
      case 2:
        bytes.insert(at, std::string(rng() % 20, static_cast<char>(rng())));
        break;
      default:
        if (at + 8 <= bytes.size()) std::memcpy(bytes.data() + at, &borders[rng() % 6], 8);
    }
  }
  return bytes;
}

template <class Parse>
void fuzz(const std::string& good, const Parse& parse) {
  std::mt19937 rng(7);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string bad = damage(good, rng);
    // A block of exactly that size: a read past its end shows under the address sanitizer.
    const std::unique_ptr<char[]> exact(new char[bad.size()]);
    std::memcpy(exact.get(), bad.data(), bad.size());
    try {
      parse(std::string_view(exact.get(), bad.size()));
    } catch (const ValueError&) {
      ++refused;
    }
  }
  CHECK(refused > 100);
}

}  // namespace

TEST_CASE("io: every format reads back what it wrote") {
  const NamedArrays arrays = specimens();
  for (const auto& [name, a] : arrays) check_same({{name, parse_npy(npy_bytes(a), "test")}}, {{name, a}});
  for (bool compressed : {false, true}) check_same(parse_npz(npz_bytes(arrays, compressed), "test"), arrays);
  const Metadata metadata = {{"format", "test"}, {"quote", "\"\\\n\x01"}};
  const auto [tensors, meta] = parse_safetensors(safetensors_bytes(arrays, metadata), "test");
  check_same(tensors, arrays);
  CHECK(meta == metadata);
}

TEST_CASE("io: files") {
  const std::string path = "nhwc_test_io.tmp";
  save_safetensors(path, specimens());
  check_same(load_safetensors(path).first, specimens());
  save_npz(path, specimens());  // over the old file
  check_same(load_npz(path), specimens());
  CHECK_THROWS_AS(save_safetensors(path, {{"__metadata__", Array(1)}}), ValueError);
  check_same(load_npz(path), specimens());
  std::remove(path.c_str());
  CHECK_THROWS_AS(load_npy(path), ValueError);
  CHECK_THROWS_AS(save_npy("no/such/folder/a.npy", Array(1)), ValueError);
}

TEST_CASE("io: damaged bytes raise ValueError and nothing else") {
  const NamedArrays arrays = specimens();
  fuzz(npy_bytes(arrays.at("a")), [](std::string_view b) { parse_npy(b, "test"); });
  fuzz(npz_bytes(arrays), [](std::string_view b) { parse_npz(b, "test"); });
  fuzz(npz_bytes(arrays, true), [](std::string_view b) { parse_npz(b, "test"); });
  fuzz(safetensors_bytes(arrays, {{"k", "v"}}), [](std::string_view b) { parse_safetensors(b, "test"); });
}

TEST_CASE("deflate: round trips; a damaged stream never gives more than was expected") {
  std::mt19937 rng(3);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    const unsigned kinds = 1 + rng() % 250;
    for (size_t n = rng() % 5000; n--;) text += static_cast<char>(rng() % kinds);
    if (i % 2) text += text + text;
    const std::string packed = deflate(text);
    CHECK(inflate(packed, text.size(), "test") == text);
    try {
      const std::string out = inflate(damage(packed, rng), text.size(), "test");
      CHECK(out.size() == text.size());
    } catch (const ValueError&) {
    }
  }
}

TEST_CASE("deflate: random streams") {
  std::mt19937 rng(5);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(rng() % 120, '\0');
    for (char& c : bytes) c = static_cast<char>(rng());
    if (!bytes.empty()) bytes[0] = static_cast<char>((bytes[0] & ~7) | 5);  // one block with codes of its own
    try {
      inflate(bytes, rng() % 1000, "test");
    } catch (const ValueError&) {
    }
  }
}

TEST_CASE("crc32: the published check value") { CHECK(crc32("123456789") == 0xcbf43926u); }

TEST_CASE("json: what it takes and what it refuses") {
  for (const char* good :
       {"{}", "[]", "null", "0", "\"\"", " { \"a\" : [ 1 , { } ] } ", "\"\\u00e9\\ud83d\\ude00\\n\""})
    CHECK_NOTHROW(parse_json(good, "test"));
  for (const char* bad : {"", "{", "[1", "\"", "{\"a\"}", "{\"a\":1,\"a\":2}", "1 2", "-1", "1.5", "nul", "true",
                          "\"\\ud800\"", "\"\\q\"", "99999999999999999999", "[1,]", "{,}"})
    CHECK_THROWS_AS(parse_json(bad, "test"), ValueError);
  CHECK_THROWS_AS(parse_json(std::string(1000000, '['), "test"), ValueError);
}
