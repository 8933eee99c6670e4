// bench/peak.cpp -- what the machine can do at most: multiply-adds on registers alone, and reading memory
// Usage: peak THREADS... For each number of threads a line: threads, bits of a vector, GFLOP/s, GB/s. Built and run by
// peak.py, for this machine.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kChains = 24;
#elif defined(__AVX__)
constexpr int kLanes = 8, kChains = 12;
#else
constexpr int kLanes = 4, kChains = 12;
#endif
typedef float Vector __attribute__((vector_size(kLanes * 4)));
constexpr int kSteps = 2000000;
constexpr size_t kFloats = size_t{1} << 25;  // 128 MiB per thread: beyond any cache

void multiply_add() {
  Vector acc[kChains], a, b;
  for (int j = 0; j < kLanes; ++j) {
    a[j] = 0.999999f;
    b[j] = 1e-6f;
  }
#pragma GCC unroll 24  // all loops over acc, or it is kept in memory
  for (int i = 0; i < kChains; ++i) acc[i] = a + float(i);
  for (int s = 0; s < kSteps; ++s) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) acc[i] = acc[i] * a + b;
#pragma GCC unroll 24
#if defined(__x86_64__)
    for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+v"(acc[i]));
#else
    for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+w"(acc[i]));
#endif
  }
}

void read_all(const float* p) {
  Vector sum[8] = {};
  for (size_t i = 0; i < kFloats; i += size_t{8} * kLanes)
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] += *reinterpret_cast<const Vector*>(p + i + size_t(j) * kLanes);
  Vector all = {};
  for (const Vector& s : sum) all += s;
  volatile float kept = all[0];
  (void)kept;
}

/// Seconds of the fastest of several rounds in which every thread does `work` once.
double fastest(int threads, const std::function<void(int)>& work) {
  double best = 1e30;
  for (int round = 0; round < 7; ++round) {
    std::atomic<int> ready{0};
    std::vector<double> taken(static_cast<size_t>(threads));
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        for (++ready; ready < threads;) {
        }
        const auto start = std::chrono::steady_clock::now();
        work(t);
        taken[static_cast<size_t>(t)] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      });
    for (std::thread& t : pool) t.join();
    double slowest = 0;
    for (const double s : taken) slowest = s > slowest ? s : slowest;
    best = slowest < best ? slowest : best;
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  for (int a = 1; a < argc; ++a) {
    const int threads = std::atoi(argv[a]);
    if (threads < 1) return 2;
    std::vector<float*> memory;
    for (int t = 0; t < threads; ++t) {
      memory.push_back(static_cast<float*>(std::aligned_alloc(64, kFloats * 4)));
      if (!memory.back()) return 1;
      for (size_t i = 0; i < kFloats; ++i) memory.back()[i] = 1;
    }
    const double compute = fastest(threads, [](int) { multiply_add(); });
    const double bytes = fastest(threads, [&](int t) { read_all(memory[static_cast<size_t>(t)]); });
    std::printf("%d %d %.1f %.1f\n", threads, kLanes * 32, 2e-9 * kLanes * kChains * kSteps * threads / compute,
                4e-9 * double(kFloats) * threads / bytes);
    for (float* p : memory) std::free(p);
  }
}
