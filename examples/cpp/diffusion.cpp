// examples/cpp/diffusion.cpp -- heat spreads over a plate: one ConvPlan, run a thousand times without an allocation
// diffusion [steps]
#include <nhwc/conv_plan.h>

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

int main(int argc, char** argv) try {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 1000;
  constexpr int64_t kSize = 128;
  // Each point gives an eighth of what it has to each of its four neighbours, and keeps half.
  const float w[] = {0, 0.125f, 0, 0.125f, 0.5f, 0.125f, 0, 0.125f, 0};
  const nhwc::ConvPlan step({1, kSize, kSize, 1}, {1, 3, 3, 1}, w, nullptr, {.auto_padding = "same"});

  std::vector<float> now(kSize * kSize), next(kSize * kSize);
  now[kSize * kSize / 2 + kSize / 2] = 1000;  // one hot point; outside the plate it is cold
  for (int i = 0; i < steps; ++i) {
    step.run(now, next);
    std::swap(now, next);
  }
  double heat = 0, spread = 0;
  for (int64_t i = 0; i < kSize; ++i)
    for (int64_t j = 0; j < kSize; ++j) {
      const double v = now[static_cast<size_t>(i * kSize + j)], di = static_cast<double>(i - kSize / 2),
                   dj = static_cast<double>(j - kSize / 2);
      heat += v;
      spread += v * (di * di + dj * dj);
    }
  std::printf("%d steps: heat %.2f, mean squared distance %.2f\n", steps, heat, spread / heat);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
