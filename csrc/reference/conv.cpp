// csrc/reference/conv.cpp -- the definition of a convolution as plain loops in float64
#include "reference/conv.h"

#include <algorithm>
#include <cmath>

namespace nhwc {
namespace {

/// The input position that output p and tap k read along an axis, or -1.
int64_t input_position(const ConvGeometry& g, int axis, int64_t p, int64_t k) {
  const int64_t t = p * g.stride[axis] + k * g.dilation[axis] - g.pad[axis];
  if (t < 0 || t % g.in_dilation[axis] != 0) return -1;
  const int64_t i = t / g.in_dilation[axis];
  return i < g.in[axis] ? i : -1;
}

/// Calls f(x index, w index, y index) for every product in the definition.
template <class F>
void for_each_product(const ConvGeometry& g, const F& f) {
  const int64_t c = g.groups ? g.in_channels / g.groups : 0, o = g.groups ? g.out_channels / g.groups : 0;
  int64_t p[3], k[3], i[3];
  for (int64_t n = 0; n < g.batch; ++n)
    for (p[0] = 0; p[0] < g.out[0]; ++p[0])
      for (p[1] = 0; p[1] < g.out[1]; ++p[1])
        for (p[2] = 0; p[2] < g.out[2]; ++p[2])
          for (k[0] = 0; k[0] < g.kernel[0]; ++k[0])
            for (k[1] = 0; k[1] < g.kernel[1]; ++k[1])
              for (k[2] = 0; k[2] < g.kernel[2]; ++k[2]) {
                bool inside = true;
                int64_t x = n, w = 0, y = n;
                for (int a = 0; a < 3; ++a) {
                  i[a] = input_position(g, a, p[a], k[a]);
                  inside &= i[a] >= 0;
                  x = x * g.in[a] + i[a];
                  w = w * g.kernel[a] + (g.flip ? g.kernel[a] - 1 - k[a] : k[a]);
                  y = y * g.out[a] + p[a];
                }
                if (!inside) continue;
                const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
                for (int64_t oc = 0; oc < g.out_channels; ++oc)
                  for (int64_t ic = 0; ic < c; ++ic)
                    f(x * g.in_channels + oc / o * c + ic, (oc * taps + w) * c + ic, y * g.out_channels + oc);
              }
}

int64_t positions(const int64_t (&n)[3]) { return n[0] * n[1] * n[2]; }

double activate(Activation f, double v) {
  switch (f) {
    case Activation::relu:
      return v < 0 ? 0 : v;
    case Activation::relu6:
      return v < 0 ? 0 : v > 6 ? 6 : v;
    case Activation::leaky_relu:
      return v < 0 ? 0.01 * v : v;
    case Activation::silu:
      return v / (1 + std::exp(-v));
    case Activation::gelu:
      return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    case Activation::tanh:
      return std::tanh(v);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-v));
    case Activation::none:
      break;
  }
  return v;
}

}  // namespace

void reference_conv(const ConvGeometry& g, const double* x, const double* w, double* y) {
  std::fill(y, y + g.batch * positions(g.out) * g.out_channels, 0.0);
  for_each_product(g, [&](int64_t xi, int64_t wi, int64_t yi) { y[yi] += x[xi] * w[wi]; });
}

void reference_conv_input_grad(const ConvGeometry& g, const double* gy, const double* w, double* gx) {
  std::fill(gx, gx + g.batch * positions(g.in) * g.in_channels, 0.0);
  for_each_product(g, [&](int64_t xi, int64_t wi, int64_t yi) { gx[xi] += gy[yi] * w[wi]; });
}

void reference_conv_weight_grad(const ConvGeometry& g, const double* x, const double* gy, double* gw) {
  std::fill(gw, gw + g.out_channels * positions(g.kernel) * (g.in_channels / g.groups), 0.0);
  for_each_product(g, [&](int64_t xi, int64_t wi, int64_t yi) { gw[wi] += x[xi] * gy[yi]; });
}

void reference_epilogue(Activation f, const double* bias, int64_t rows, int64_t n, double* y) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) y[r * n + i] = activate(f, y[r * n + i] + (bias ? bias[i] : 0.0));
}

}  // namespace nhwc
