// tests/embed/programs/no_allocation.cpp -- after its first run a plan takes no memory from the system
// glibc's functions are replaced by ones that count, so nothing escapes: operator new ends there too.
#include <nhwc/conv_plan.h>
#include <nhwc/memory.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

std::atomic<long> allocations{0};

struct Case {
  nhwc::Shape input, weight;
  nhwc::ConvOptions options;
};

std::vector<Case> cases(unsigned seed) {
  std::vector<Case> all = {
      {{1, 4, 4, 8}, {8, 3, 3, 8}, {}},
      {{1, 4, 4, 8}, {8, 3, 3, 8}, {.padding = {1}}},
      {{1, 33, 33, 32}, {32, 3, 3, 32}, {.padding = {12}, .dilation = {12}}},  // many boxes
      {{1, 9, 9, 9, 4}, {8, 5, 5, 5, 4}, {.padding = {2}}},
      {{1, 7, 7, 8}, {8, 5, 5, 8}, {.stride = {4}, .transposed = true}},  // many phases
      {{1, 28, 28, 64}, {64, 3, 3, 64}, {.padding = {1}}},
      {{1, 64, 64, 16}, {16, 31, 31, 16}, {.padding = {15}}},
      {{1, 56, 56, 32}, {32, 3, 3, 1}, {.padding = {1}, .groups = 32}},
      {{1, 56, 56, 3}, {32, 7, 7, 3}, {.stride = {2}, .padding = {3}}},
      {{1, 20, 20, 32}, {32, 3, 3, 32}, {.padding = {1}, .dtype = nhwc::Dtype::float16}},
      {{1, 20, 20, 32}, {32, 3, 3, 32}, {.padding = {1}, .dtype = nhwc::Dtype::bfloat16}},
      {{1, 9, 9, 4}, {6, 3, 3, 4}, {.padding = {1}, .dtype = nhwc::Dtype::float64}},
  };
  std::mt19937 random(seed);
  const auto upto = [&](int64_t n) { return 1 + static_cast<int64_t>(random() % static_cast<unsigned>(n)); };
  for (int i = 0; i < 60; ++i) {
    const int64_t groups = i % 3 == 0 ? upto(6) : 1, c = groups * upto(20), o = groups * upto(20), k = upto(7);
    Case one{{upto(2), k + upto(40), k + upto(40), c}, {o, k, k, c / groups}, {}};
    one.options = {.stride = {upto(3)}, .padding = {upto(4) - 1}, .groups = groups, .transposed = i % 4 == 0};
    if (one.options.transposed) one.options.padding = {0};
    all.push_back(one);
  }
  return all;
}

}  // namespace

extern "C" {
void* malloc(size_t n) { return ++allocations, __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return ++allocations, __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return ++allocations, __libc_realloc(p, n); }
void* memalign(size_t alignment, size_t n) { return ++allocations, __libc_memalign(alignment, n); }
void* aligned_alloc(size_t alignment, size_t n) { return ++allocations, __libc_memalign(alignment, n); }
int posix_memalign(void** p, size_t alignment, size_t n) {
  ++allocations;
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : 12;
}
}

int main(int argc, char** argv) {
  const unsigned seed = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : std::random_device{}();
  nhwc::set_num_threads(1);  // with several, which of them needs scratch first is chance
  std::printf("seed %u\n", seed);
  int bad = 0;
  for (const Case& c : cases(seed)) {
    const auto bytes = [&](const nhwc::Shape& s) {
      return static_cast<size_t>(nhwc::size_of(s)) * nhwc::size_of(c.options.dtype);
    };
    const std::vector<char> w(bytes(c.weight) + 8), x(bytes(c.input) + 8);
    const nhwc::ConvPlan plan(c.input, c.weight, w.data(), nullptr, c.options);
    std::vector<char> y(plan.output_bytes() + 8);
    const auto run = [&] { plan.run(x.data(), plan.input_bytes(), y.data(), plan.output_bytes()); };
    run();
    const long before = allocations;
    for (int i = 0; i < 3; ++i) run();
    if (allocations == before) continue;
    ++bad;
    std::printf("%ld allocations in three runs of\n%s", allocations - before, plan.explain().c_str());
  }
  std::printf("%d plans allocate, %ld allocations were seen elsewhere\n", bad, allocations.load());
  return bad > 0 || allocations == 0;
}
