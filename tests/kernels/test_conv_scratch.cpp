// tests/kernels/test_conv_scratch.cpp -- what scratch happens to hold is multiplied by nothing: subnormal numbers, each
// product of which takes a hundred cycles on many processors, would make a convolution several times slower
#if defined(__x86_64__)  // whose multiplications tell
#include <doctest/doctest.h>
#include <immintrin.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "base/host_scope.h"
#include "kernels/conv_each_isa.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();  // overflows when it is multiplied, not when copied

HostAllocator filled_memory() {
  HostAllocator host;
  host.allocate = [](void*, size_t bytes, size_t alignment) {
    void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (p) std::fill_n(static_cast<float*>(p), bytes / sizeof(float), kLargest);
    return p;
  };
  host.release = [](void*, void* p, size_t) { std::free(p); };
  return host;
}

/// Leaves it on the stack, where small scratch lies.
__attribute__((noinline)) void fill_stack() {
  volatile float values[32 << 10];
  for (auto& value : values) value = kLargest;
}

template <class Run>
bool multiplies_scratch(Run run) {
  const std::shared_ptr<Allocator> memory = make_allocator(filled_memory());
  const HostScope scope{nullptr, memory.get()};
  const InHostScope in(&scope);
  constexpr unsigned kOverflow = 8;  // the flag of MXCSR
  fill_stack();
  _mm_setcsr(_mm_getcsr() & ~kOverflow);
  run();
  return (_mm_getcsr() & kOverflow) != 0;
}

/// Values that overflow when they are multiplied by the largest.
std::vector<double> large_values(std::mt19937_64& rng, int64_t n) {
  std::vector<double> values = random_values(rng, Dtype::float32, n);
  for (double& v : values) v += v < 0 ? -2 : 2;
  return values;
}

void run_weight_grad(const CpuPlan& plan, const std::vector<double>& x, const std::vector<double>& gy) {
  const ConvProblem& q = plan.problem;
  const Stored xs(Dtype::float32, x), gys(Dtype::float32, gy);
  Stored dw(Dtype::float32, static_cast<size_t>(q.groups * q.o * product(q.kernel) * q.c));
  ConvWeightGradOperands a;
  set_strides(a.x_stride, q.in, q.groups * q.c);
  set_strides(a.gy_stride, q.out, q.groups * q.o);
  a.x = xs.data();
  a.gy = gys.data();
  a.dw = dw.data();
  run_conv_weight_grad(plan, a);
}

/// Runs a case by each algorithm from `first` to `last` that takes it, on every instruction set; how many did.
template <class Run>
int check_each(uint64_t seed, const ConvGeometry& g, ConvKind kind, ConvAlgorithm first, ConvAlgorithm last, Run run) {
  int ran = 0;
  for (const std::string& isa : isa_choices()) {
    set_isa(isa);
    for (int a = static_cast<int>(first); a <= static_cast<int>(last); ++a) {
      const CpuPlan plan = forced_plan(static_cast<ConvAlgorithm>(a), g, kind);
      if (plan.algorithm != static_cast<ConvAlgorithm>(a)) continue;
      ++ran;
      CHECK_MESSAGE(!multiplies_scratch([&] { run(plan); }), "seed ", seed, " isa ", isa, " ", describe(plan));
    }
  }
  return ran;
}

}  // namespace

TEST_CASE("nothing is multiplied by what scratch held before") {
  Settings settings;
  set_num_threads(1);
  int ran = 0, gradients = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(300u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    const ConvKind kind = seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward;
    const ConvProblem q = normalize(g, kind, Dtype::float32);
    const std::vector<double> x = random_values(rng, Dtype::float32, q.batch * product(q.in) * q.groups * q.c);
    const std::vector<double> w = large_values(rng, g.out_channels * product(g.kernel) * g.in_channels / g.groups);
    ran += check_each(seed, g, kind, ConvAlgorithm::direct, ConvAlgorithm::blas,
                      [&](const CpuPlan& plan) { run_apart(plan, x, w, {}, 0); });
    const std::vector<double> in = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
    const std::vector<double> gy = large_values(rng, g.batch * product(g.out) * g.out_channels);
    gradients +=
        check_each(seed, g, ConvKind::weight_grad, ConvAlgorithm::weight_grad, ConvAlgorithm::winograd_weight_grad,
                   [&](const CpuPlan& plan) { run_weight_grad(plan, in, gy); });
  }
  CHECK(ran > enough(1000));
  CHECK(gradients > enough(500));
}
#endif
