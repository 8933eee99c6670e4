// tests/kernels/conv_testing.h -- random convolutions and their comparison with the reference
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/cpu_features.h"
#include "base/half.h"
#include "base/thread_pool.h"
#include "kernels/conv.h"
#include "plan/conv_tiles.h"
#include "reference/conv.h"

namespace nhwc::testing {

/// Restores what a test sets for the whole process.
struct Settings {
  int threads = num_threads();
  std::string isa = isa_choice();
  size_t workspace = get_workspace_limit();
  ~Settings() {
    set_num_threads(threads);
    set_isa(isa);
    set_workspace_limit(workspace);
  }
};

inline int64_t product(const int64_t (&n)[3]) { return n[0] * n[1] * n[2]; }

/// A value as its dtype stores it: what the kernel really sees.
inline double rounded(Dtype t, double v) {
  switch (t) {
    case Dtype::float16:
      return static_cast<float>(Float16(static_cast<float>(v)));
    case Dtype::bfloat16:
      return static_cast<float>(BFloat16(static_cast<float>(v)));
    case Dtype::float32:
      return static_cast<float>(v);
    default:
      return v;
  }
}

/// Raw storage of a dtype, in a vector of doubles for alignment.
class Stored {
 public:
  Stored(Dtype t, size_t n) : dtype_(t), n_(n), raw_(std::max<size_t>(n * size_of(t), 1)) {}
  Stored(Dtype t, const std::vector<double>& v) : Stored(t, v.size()) {
    for (size_t i = 0; i < v.size(); ++i) set(i, v[i]);
  }
  void set(size_t i, double v) {
    if (dtype_ == Dtype::float16) at<Float16>(i) = Float16(static_cast<float>(v));
    if (dtype_ == Dtype::bfloat16) at<BFloat16>(i) = BFloat16(static_cast<float>(v));
    if (dtype_ == Dtype::float32) at<float>(i) = static_cast<float>(v);
    if (dtype_ == Dtype::float64) at<double>(i) = v;
  }
  double get(size_t i) const {
    Stored& s = const_cast<Stored&>(*this);
    if (dtype_ == Dtype::float16) return static_cast<float>(s.at<Float16>(i));
    if (dtype_ == Dtype::bfloat16) return static_cast<float>(s.at<BFloat16>(i));
    if (dtype_ == Dtype::float32) return s.at<float>(i);
    return s.at<double>(i);
  }
  void* data() { return raw_.data(); }
  const void* data() const { return raw_.data(); }
  size_t bytes() const { return n_ * size_of(dtype_); }
  size_t size() const { return n_; }

 private:
  template <class T>
  T& at(size_t i) {
    return reinterpret_cast<T*>(raw_.data())[i];
  }
  Dtype dtype_;
  size_t n_;
  std::vector<unsigned char> raw_;
};

inline std::vector<double> random_values(std::mt19937_64& rng, Dtype t, int64_t n) {
  std::normal_distribution<double> d;
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) x = rounded(t, d(rng));
  return v;
}

/// Relative error allowed for a sum of n terms whose magnitudes add up to `scale`: rounding at the end, and of the sum.
inline double tolerance(Dtype t, double scale, double value) {
  const double out = t == Dtype::float16 ? 0x1p-11 : t == Dtype::bfloat16 ? 0x1p-8 : 0;
  const double compute = t == Dtype::float64 ? 0x1p-52 : 0x1p-23;
  const double tiny = t == Dtype::float16 ? 0x1p-24 : 0;
  return out * std::fabs(value) * 1.01 + tiny + compute * 8 * (scale + std::fabs(value) + 1);
}

inline int64_t pick(std::mt19937_64& rng, int64_t lo, int64_t hi) {
  return std::uniform_int_distribution<int64_t>(lo, hi)(rng);
}

/// Whether the processor is emulated, some hundred times slower.
inline bool emulated() {
  static const bool is = std::getenv("NHWC_TEST_EMULATED") != nullptr;
  return is;
}
/// Of so many random cases, those that there is time for.
template <class T>
T rounds(T n) {
  return emulated() ? n / 20 : n;
}
/// The same of sizes, each of which is a case: beyond two tiles of the smallest vectors there is nothing new.
inline int64_t tails(int64_t n) { return emulated() ? std::min<int64_t>(n, 27) : n; }
/// What a test that made all its rounds has seen more of than this.
inline int enough(int n) { return emulated() ? -1 : n; }
/// Whether the processor's vectors are long enough for sums by diagonals.
inline bool has_diagonals() { return diagonal_rows(supported_isas().back()) > 0; }

/// Any legal combination of arguments, small.
inline ConvGeometry random_geometry(std::mt19937_64& rng) {
  ConvGeometry g;
  g.rank = static_cast<int>(pick(rng, 1, 3));
  g.batch = pick(rng, 1, 3);
  const int64_t shape = pick(rng, 0, 5);
  int64_t c = 1, o = 1;
  if (shape == 0) {  // depthwise, with multiplier
    g.groups = pick(rng, 2, 70);
    o = pick(rng, 0, 2) ? 1 : pick(rng, 2, 5);
  } else if (shape == 1) {  // small groups
    g.groups = pick(rng, 2, 9);
    c = pick(rng, 1, 12);
    o = pick(rng, 0, 1) ? c : pick(rng, 1, 40);
  } else {
    c = pick(rng, 0, 2) ? pick(rng, 1, 40) : pick(rng, 1, 7);
    o = pick(rng, 1, 70);
  }
  g.in_channels = g.groups * c;
  g.out_channels = g.groups * o;
  g.flip = pick(rng, 0, 1);
  for (int a = 3 - g.rank; a < 3; ++a) {
    const bool plain = pick(rng, 0, 2) == 0;
    g.kernel[a] = pick(rng, 1, 5);
    g.stride[a] = plain ? 1 : pick(rng, 1, 4);
    g.dilation[a] = plain ? 1 : pick(rng, 1, 3);
    g.in_dilation[a] = plain || pick(rng, 0, 1) ? 1 : pick(rng, 1, 4);
    g.pad[a] = pick(rng, -2, 6);
    const int64_t top = g.rank == 1 ? 70 : g.rank == 2 ? 19 : 8;
    for (;;) {  // until at least one output
      g.in[a] = pick(rng, 1, top);
      const int64_t high = pick(rng, -2, 6);
      const int64_t dilated = g.in_dilation[a] * (g.in[a] - 1) + 1;
      const int64_t room = dilated + g.pad[a] + high - (g.dilation[a] * (g.kernel[a] - 1) + 1);
      if (room < 0) {
        g.pad[a] = pick(rng, 0, 6);
        continue;
      }
      g.out[a] = room / g.stride[a] + 1;
      break;
    }
  }
  return g;
}

inline void set_strides(int64_t (&stride)[4], const int64_t (&n)[3], int64_t channels) {
  stride[3] = channels;
  stride[2] = stride[3] * n[2];
  stride[1] = stride[2] * n[1];
  stride[0] = stride[1] * n[0];
}

/// The plan of a float32 convolution by that algorithm, where it can.
inline CpuPlan forced_plan(ConvAlgorithm algorithm, const ConvGeometry& g, ConvKind kind = ConvKind::forward,
                           bool bias = false, Activation activation = Activation::none) {
  ConvProblem q = normalize(g, kind, Dtype::float32);
  q.has_bias = bias;
  q.activation = activation;
  DeviceFacts f = cpu_facts();
  f.wanted = algorithm;
  return plan_conv(q, f);
}

/// Runs a plan over an x whose pixels are `gap` elements apart.
inline Stored run_apart(const CpuPlan& plan, const std::vector<double>& x, const std::vector<double>& w,
                        const std::vector<double>& bias, int64_t gap) {
  const ConvProblem& q = plan.problem;
  const int64_t channels = q.groups * q.c;
  ConvOperands a;
  set_strides(a.x_stride, q.in, channels + gap);
  Stored in(q.dtype, static_cast<size_t>(q.batch * a.x_stride[0]));
  Stored out(q.dtype, static_cast<size_t>(q.batch * product(q.out) * q.groups * q.o));
  std::memset(in.data(), 0x7f, in.bytes());  // huge: must never be read
  std::memset(out.data(), 0x7f, out.bytes());
  const size_t c = static_cast<size_t>(channels), step = c + static_cast<size_t>(gap);
  for (size_t i = 0; i < x.size(); ++i) in.set(i / c * step + i % c, x[i]);
  const Stored weights(q.dtype, w), b(q.dtype, bias);
  a.x = in.data();
  a.w = weights.data();
  a.bias = b.data();
  a.y = out.data();
  run_conv(plan, a);
  return out;
}

inline bool same_bits(const Stored& a, const Stored& b) { return std::memcmp(a.data(), b.data(), a.bytes()) == 0; }

/// Of all of them together, relative to what is wanted.
inline double l2_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

}  // namespace nhwc::testing
