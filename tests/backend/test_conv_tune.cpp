// tests/backend/test_conv_tune.cpp -- measuring convolutions: what it remembers, and that results do not change by it
#include <doctest/doctest.h>

#include <random>

#include "backend/cpu/conv_tune.h"
#include "nhwc/ops.h"
#include "nhwc/transforms.h"

using namespace nhwc;

namespace {

Array random_array(std::mt19937_64& rng, const Shape& shape) {
  std::normal_distribution<float> d;
  std::vector<float> v(static_cast<size_t>(size_of(shape)));
  for (float& f : v) f = d(rng);
  return Array::copy_of(v.data(), shape, Dtype::float32);
}

bool close(const Array& a, const Array& b) { return *allclose(a, b, 1e-4, 1e-4).data<bool>(); }

}  // namespace

TEST_CASE("a convolution is measured once, in the scope alone, and gives the same values") {
  std::mt19937_64 rng(31);
  const Array x = random_array(rng, {1, 17, 19, 24}), w = random_array(rng, {24, 3, 3, 24});
  const Array before = conv2d(x, w);
  eval({before});
  const uint64_t version = cpu::tuning_version();
  const size_t begun = cpu::begin_tuning({2, false}, false);
  CHECK(cpu::tuning());
  const Array during = conv2d(x, w), twice = maximum(conv2d(x, w), Array(0.0f));
  eval({during, twice});
  const std::vector<TuningEntry> found = cpu::end_tuning(begun);
  CHECK_FALSE(cpu::tuning());
  REQUIRE(found.size() == 1);
  CHECK(found[0].key.c == 24);
  CHECK(found[0].tuned.us > 0);
  CHECK(found[0].tuned.us <= found[0].preferred_us);
  CHECK(cpu::tuning_version() > version);
  const Array after = conv2d(x, w);
  CHECK(explain(after).find("tuned: measured") != std::string::npos);
  CHECK(close(during, before));
  CHECK(close(after, before));
  CHECK(cpu::tuning_text().find(" 17 19 ") != std::string::npos);
}

TEST_CASE("a file that is not there is good and empty; a folder is not readable") {
  CHECK(cpu::load_tuning("/nowhere/at/all").status == ParsedTuning::Status::good);
  CHECK(cpu::load_tuning("/nowhere/at/all").problem.empty());
  CHECK(cpu::load_tuning("/").status == ParsedTuning::Status::damaged);
}
