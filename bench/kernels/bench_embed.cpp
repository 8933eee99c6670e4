// bench/kernels/bench_embed.cpp -- what a ConvPlan costs beside the arithmetic: tiny convolutions, run again and again
// bench_embed [seconds]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "nhwc/conv_plan.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Tiny {
  const char* name;
  nhwc::Shape input, weight;
  nhwc::ConvOptions options;
};

/// Nanoseconds of a run: the median of samples of a thousand. `moving`: y is another one each time.
double median_ns(const nhwc::ConvPlan& plan, double seconds, bool moving) {
  constexpr int kRuns = 1000;
  const size_t n = plan.output_bytes() / sizeof(float);
  std::vector<float> x(plan.input_bytes() / sizeof(float), 1.0f), y(2 * n);
  std::vector<double> samples;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    for (int i = 0; i < kRuns; ++i) plan.run(x, {y.data() + (moving && i % 2 ? n : 0), n});
    samples.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kRuns);
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.2;
  const std::vector<Tiny> problems = {
      {"1x1, 8 -> 8", {1, 4, 4, 8}, {8, 1, 1, 8}, {}},
      {"3x3, 8 -> 8", {1, 4, 4, 8}, {8, 3, 3, 8}, {}},
      {"3x3, padding 1, 8 -> 8", {1, 4, 4, 8}, {8, 3, 3, 8}, {.padding = {1}}},
      {"3x3, padding 1, depthwise", {1, 4, 4, 8}, {8, 3, 3, 1}, {.padding = {1}, .groups = 8}},
  };
  std::printf("%-28s %10s %10s\n", "(1, 4, 4, 8)", "ns", "moving y");
  for (const Tiny& t : problems) {
    int64_t weights = 1;
    for (int64_t n : t.weight) weights *= n;
    const std::vector<float> w(static_cast<size_t>(weights), 0.5f);
    const nhwc::ConvPlan plan(t.input, t.weight, w.data(), nullptr, t.options);
    std::printf("%-28s %10.0f %10.0f\n", t.name, median_ns(plan, seconds, false), median_ns(plan, seconds, true));
  }
}
