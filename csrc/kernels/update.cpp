// csrc/kernels/update.cpp -- the loops of update.h
//
// One body for every instruction set: divisions and square roots, which take most of the time that memory leaves, cost
// as much per element in wide vectors as in narrow ones. Built without contraction of products and sums
// (CMakeLists.txt), so that the bits are those of the operations one by one.
#include "kernels/update.h"

#include "nhwc/error.h"

#if defined(__clang__)
#define NHWC_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define NHWC_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace nhwc {
namespace {

using Rule = UpdateRule;

float largest(float a, float b) { return a != a ? a : (a > b ? a : b); }
float sign_of(float x) { return static_cast<float>(x > 0) - static_cast<float>(x < 0); }  // 0 of NaN, as in MLX

void sgd(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter;
  float* to = r.new_parameter;
  const float rate = u.scalars[0], weight_decay = u.constants[0];
  if (weight_decay == 0)
    NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) to[i] = w[i] - rate * g[i];
  else
    NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) to[i] = w[i] - rate * (g[i] + weight_decay * w[i]);
}

template <bool Nesterov>
void momentum(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *v = r.state[0];
  float *to = r.new_parameter, *to_v = r.new_state[0];
  const float rate = u.scalars[0], kept = u.constants[0], weight_decay = u.constants[1], fresh = u.constants[2];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    // A product with 1 changes nothing, one with 0 could: of an infinite weight it is NaN.
    const float slope = weight_decay != 0 ? g[i] + weight_decay * w[i] : g[i];
    const float velocity = kept * v[i] + fresh * slope;
    to_v[i] = velocity;
    to[i] = w[i] - rate * (Nesterov ? slope + kept * velocity : velocity);
  }
}

/// scalars: the learning rate; what m is multiplied by; what the root of v is. constants: b1, 1 - b1, b2, 1 - b2, eps,
/// weight decay.
template <bool Decays>
void adam(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *m = r.state[0], *v = r.state[1];
  float *to = r.new_parameter, *to_m = r.new_state[0], *to_v = r.new_state[1];
  const float first = u.scalars[1], second = u.scalars[2];
  const float b1 = u.constants[0], c1 = u.constants[1], b2 = u.constants[2], c2 = u.constants[3], eps = u.constants[4];
  const float left = 1 - u.scalars[0] * u.constants[5];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float mean = b1 * m[i] + c1 * g[i];
    const float square = b2 * v[i] + c2 * (g[i] * g[i]);
    to_m[i] = mean;
    to_v[i] = square;
    to[i] = (Decays ? w[i] * left : w[i]) - first * mean / (__builtin_sqrtf(square) * second + eps);
  }
}

void adamax(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *m = r.state[0], *v = r.state[1];
  float *to = r.new_parameter, *to_m = r.new_state[0], *to_v = r.new_state[1];
  const float rate = u.scalars[0];
  const float b1 = u.constants[0], c1 = u.constants[1], b2 = u.constants[2], eps = u.constants[3];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float mean = b1 * m[i] + c1 * g[i];
    const float size = largest(b2 * v[i], __builtin_fabsf(g[i]));
    to_m[i] = mean;
    to_v[i] = size;
    to[i] = w[i] - rate * mean / (size + eps);
  }
}

void rmsprop(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *v = r.state[0];
  float *to = r.new_parameter, *to_v = r.new_state[0];
  const float rate = u.scalars[0], kept = u.constants[0], fresh = u.constants[1], eps = u.constants[2];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float slope = g[i], square = kept * v[i] + fresh * (slope * slope);
    to_v[i] = square;
    to[i] = w[i] - rate * slope / (__builtin_sqrtf(square) + eps);
  }
}

void adagrad(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *v = r.state[0];
  float *to = r.new_parameter, *to_v = r.new_state[0];
  const float rate = u.scalars[0], eps = u.constants[0];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float slope = g[i], square = v[i] + slope * slope;
    to_v[i] = square;
    to[i] = w[i] - rate * slope / (__builtin_sqrtf(square) + eps);
  }
}

void adadelta(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *v = r.state[0], *steps = r.state[1];
  float *to = r.new_parameter, *to_v = r.new_state[0], *to_steps = r.new_state[1];
  const float rate = u.scalars[0], kept = u.constants[0], fresh = u.constants[1], eps = u.constants[2];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float slope = g[i], before = steps[i], square = kept * v[i] + fresh * (slope * slope);
    const float change = __builtin_sqrtf(before + eps) / __builtin_sqrtf(square + eps) * slope;
    to_v[i] = square;
    to_steps[i] = kept * before + fresh * (change * change);
    to[i] = w[i] - rate * change;
  }
}

/// constants: b1, 1 - b1, b2, 1 - b2, weight decay.
template <bool Decays>
void lion(const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  const float *g = r.gradient, *w = r.parameter, *m = r.state[0];
  float *to = r.new_parameter, *to_m = r.new_state[0];
  const float rate = u.scalars[0], left = 1 - rate * u.constants[4];
  const float b1 = u.constants[0], c1 = u.constants[1], b2 = u.constants[2], c2 = u.constants[3];
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const float slope = g[i], mean = m[i];
    to_m[i] = b2 * mean + c2 * slope;
    to[i] = (Decays ? left * w[i] : w[i]) - rate * sign_of(b1 * mean + c1 * slope);
  }
}

}  // namespace

void update_run(UpdateRule rule, const UpdateNumbers& u, const UpdateRun& r, int64_t n) {
  switch (rule) {
    case Rule::sgd:
      return sgd(u, r, n);
    case Rule::momentum:
      return u.constants[3] != 0 ? momentum<true>(u, r, n) : momentum<false>(u, r, n);
    case Rule::adam:
      return u.constants[5] != 0 ? adam<true>(u, r, n) : adam<false>(u, r, n);
    case Rule::adamax:
      return adamax(u, r, n);
    case Rule::rmsprop:
      return rmsprop(u, r, n);
    case Rule::adagrad:
      return adagrad(u, r, n);
    case Rule::adadelta:
      return adadelta(u, r, n);
    case Rule::lion:
      return u.constants[4] != 0 ? lion<true>(u, r, n) : lion<false>(u, r, n);
  }
  NHWC_CHECK(false, "a rule of update_run");
}

}  // namespace nhwc
