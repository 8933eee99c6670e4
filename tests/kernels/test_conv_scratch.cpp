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

bool multiplies_scratch(const CpuPlan& plan, const std::vector<double>& x, const std::vector<double>& w) {
  const std::shared_ptr<Allocator> memory = make_allocator(filled_memory());
  const HostScope scope{nullptr, memory.get()};
  const InHostScope in(&scope);
  constexpr unsigned kOverflow = 8;  // the flag of MXCSR
  fill_stack();
  _mm_setcsr(_mm_getcsr() & ~kOverflow);
  run_apart(plan, x, w, {}, 0);
  return (_mm_getcsr() & kOverflow) != 0;
}

}  // namespace

TEST_CASE("nothing is multiplied by what scratch held before") {
  Settings settings;
  set_num_threads(1);
  int ran = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(300u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    const ConvKind kind = seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward;
    const ConvProblem q = normalize(g, kind, Dtype::float32);
    const std::vector<double> x = random_values(rng, Dtype::float32, q.batch * product(q.in) * q.groups * q.c);
    std::vector<double> w =
        random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels / g.groups);
    for (double& v : w) v += v < 0 ? -2 : 2;
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      for (int a = 1; a <= static_cast<int>(ConvAlgorithm::blas); ++a) {
        const CpuPlan plan = forced_plan(static_cast<ConvAlgorithm>(a), g, kind);
        if (plan.algorithm != static_cast<ConvAlgorithm>(a)) continue;
        ++ran;
        CHECK_MESSAGE(!multiplies_scratch(plan, x, w), "seed ", seed, " isa ", isa, " ", describe(plan));
      }
    }
  }
  CHECK(ran > enough(1000));
}
#endif
