// tests/embed/programs/minimal.cpp -- uses conv2d and nothing else: how small a program can be
#include <nhwc/conv_plan.h>

#include <cstdio>

int main() {
  float x[64], y[64];
  const float w[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (float& v : x) v = 1;
  nhwc::conv2d(x, {1, 8, 8, 1}, w, {1, 3, 3, 1}, y, {1, 8, 8, 1}, {.padding = {1}});
  std::printf("%g %g\n", y[0], y[9]);
}
