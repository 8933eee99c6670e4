// tests/eval/test_recompute.cpp -- elementwise nodes that each reader computes again: which, and that values stay
#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "eval/eval_lock.h"
#include "eval/fuse.h"
#include "eval/scheduler.h"
#include "graph/node.h"
#include "nhwc/nhwc.h"

using namespace nhwc;

namespace {

const Shape kShape = {64, 1040};  // large enough to be asked about, and no whole number of blocks

Array values(int seed, const Shape& shape = kShape) {
  Array x = sin(reshape(arange(seed, seed + static_cast<double>(size_of(shape)), 1, Dtype::float32), shape));
  eval({x});
  return x;
}

size_t steps_of(const Arrays& arrays) {
  EvalLock lock;
  return schedule(arrays).steps.size();
}

bool same_bits(const Array& a, const Array& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.data(), b.data(), a.nbytes()) == 0;
}

/// Whether what `make` gives has the same bits as when every node has a pass of its own.
template <class F>
bool same_one_by_one(const F& make) {
  const Arrays together = make(), single = make();
  eval(together);
  set_fusion_enabled(false);
  eval(single);
  set_fusion_enabled(true);
  for (size_t i = 0; i < single.size(); ++i)
    if (!same_bits(together[i], single[i])) return false;
  return true;
}

}  // namespace

TEST_CASE("what comes cheaply from one array is computed by each of its readers") {
  const Array x = values(1), mean = values(2, {1040});
  const auto two_readers = [&] {
    Array centred = x - mean;
    return Arrays{exp(centred), sum(square(centred), {}, false)};
  };
  CHECK(steps_of(two_readers()) == 2);
  CHECK(same_one_by_one(two_readers));
  const auto directly_reduced = [&] {
    Array centred = x - mean;
    return Arrays{exp(centred), sum(centred, {}, false)};
  };
  CHECK(steps_of(directly_reduced()) == 2);
  CHECK(same_one_by_one(directly_reduced));
}

TEST_CASE("what costs more, what others hold or read otherwise, and what is small is kept") {
  const Array x = values(1), y = values(2), z = values(3), w = values(4, {1040, 2});
  const auto steps = [](const auto& make) {
    const auto readers = [&] {
      const Array kept = make();
      return Arrays{exp(kept), sum(square(kept), {}, false)};
    };
    return steps_of(readers());
  };
  CHECK(steps([&] { return x * y; }) == 2);
  CHECK(steps([&] { return x * y + z; }) == 3);
  CHECK(steps([&] { return exp(x); }) == 3);
  const Array small = values(5, {60, 100});
  CHECK(steps([&] { return small * small; }) == 3);
  const Array held = x * x;
  CHECK(steps([&] { return held; }) == 3);
  const auto by_matmul = [&] {
    Array a = x * x;
    return Arrays{exp(a), matmul(a, w)};
  };
  CHECK(steps_of(by_matmul()) == 3);
  eval({exp(held), sum(square(held), {}, false)});
  CHECK(held.is_ready());
}

TEST_CASE("an array from which others are still to be computed again is not overwritten") {
  const auto make = [] {
    Array x = values(7);
    Array doubled = x + x;
    x = Array();
    return Arrays{doubled * Array(3.0f), sum(square(doubled), Axes(std::vector<int>{1}), false), negative(doubled)};
  };
  CHECK(steps_of(make()) == 3);
  CHECK(same_one_by_one(make));
}

TEST_CASE("a node that one chain computes again and another, being full, reads from memory") {
  const auto make = [] {
    const Array x = values(8);
    Array again = x * x, last = again;
    Array far = again;
    for (int i = 0; i < 3 * kChainOps; ++i) far = i % 2 ? far + Array(0.1f) : far * again;
    Arrays r = {exp(again), far, sum(last + far, {}, false)};
    return r;
  };
  CHECK(same_one_by_one(make));
}

TEST_CASE("random graphs whose nodes have several readers") {
  for (unsigned seed = 4900; seed < 5000; ++seed) {
    const auto make = [seed] {
      std::mt19937 rng(seed);
      const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(rng); };
      Arrays pool = {values(1), values(2), values(3, {1040}), Array(0.5f)};
      Arrays results;
      for (int i = 0; i < 40; ++i) {
        const Array a = pool[below(pool.size())], b = pool[below(pool.size())];
        Array n;
        switch (below(8)) {
          case 0:
            n = a * b;
            break;
          case 1:
            n = sin(a);
            break;
          case 2:
            n = where(greater(a, b), a, negative(b));
            break;
          case 3:
            n = astype(astype(a, Dtype::float16), Dtype::float32) - b;
            break;
          default:
            n = a + b * Array(0.25f);
        }
        if (below(5) == 0) n = clip(n, Array(-4.0f), Array(4.0f));
        if (below(8) == 0 && n.ndim() > 0) results.push_back(sum(n, Axes(std::vector<int>{0}), true));
        pool.push_back(n);
        if (pool.size() > 12) pool.erase(pool.begin() + static_cast<long>(below(pool.size())));
      }
      results.push_back(pool.back());
      results.push_back(pool[below(pool.size())]);
      return results;
    };
    CHECK_MESSAGE(same_one_by_one(make), "seed ", seed);
  }
}
