// tests/kernels/conv_case.h -- one convolution by an algorithm that is asked for, beside the reference
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernels/conv_testing.h"
#include "kernels/table.h"

namespace nhwc::testing {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Of the strongest instruction set.
inline DeviceFacts facts(ConvAlgorithm wanted, size_t l2 = 0) {
  set_isa(isa_choices().back());
  DeviceFacts f = cpu_facts();
  f.wanted = wanted;
  if (l2 > 0) f.l2 = l2;
  return f;
}

struct ConvCase {
  ConvCase(const ConvGeometry& geometry, std::mt19937_64& rng, ConvKind k = ConvKind::forward,
           Dtype dtype = Dtype::bfloat16)
      : g(geometry), q(normalize(g, k, dtype)), kind(k) {
    a = random_values(rng, q.dtype, q.batch * product(q.in) * q.groups * q.c);
    w = random_values(rng, q.dtype, g.out_channels * product(g.kernel) * (g.in_channels / g.groups));
  }

  std::vector<double> reference(bool magnitudes) const {
    std::vector<double> x = a, v = w, y(static_cast<size_t>(outputs()));
    for (std::vector<double>* part : {&x, &v})
      for (double& e : *part) e = magnitudes ? std::fabs(e) : e;
    (kind == ConvKind::forward ? reference_conv : reference_conv_input_grad)(g, x.data(), v.data(), y.data());
    if (!magnitudes)
      reference_epilogue(q.activation, q.has_bias ? bias.data() : nullptr, outputs() / channels(), channels(),
                         y.data());
    return y;
  }

  Stored run(ConvAlgorithm wanted, bool packed, int64_t gap = 0) const {
    const CpuPlan plan = plan_conv(q, facts(wanted, l2));
    REQUIRE_MESSAGE(plan.algorithm == wanted, describe(plan));
    ConvOperands op;
    const int64_t c = q.groups * q.c, pixels = q.batch * product(q.in);
    set_strides(op.x_stride, q.in, c + gap);
    // As long as what may be read, so that a sanitizer sees what is read beyond; NaN between the pixels.
    Stored x(q.dtype, static_cast<size_t>(std::max<int64_t>(pixels * (c + gap) - gap, 0)));
    std::memset(x.data(), 0x7f, x.bytes());
    for (int64_t i = 0; i < pixels * c; ++i) x.set(static_cast<size_t>(i / c * (c + gap) + i % c), a[size_t(i)]);
    const Stored weight(q.dtype, w), b(q.dtype, bias);
    Stored y(q.dtype, static_cast<size_t>(outputs()));
    std::memset(y.data(), 0x7f, y.bytes());
    op.x = x.data();
    op.w = weight.data();
    op.bias = b.data();
    op.y = y.data();
    std::unique_ptr<void, void (*)(void*)> store(nullptr, std::free);
    if (packed) {
      store.reset(std::aligned_alloc(64, (packed_weight_bytes(plan) + 127) / 64 * 64));
      pack_conv_weights(plan, weight.data(), store.get());
      op.packed = store.get();
      if (!reads_weights(plan)) op.w = nullptr;
    }
    run_conv(plan, op);
    return y;
  }

  /// Compares with the reference, and for equal bits under other threads and packing.
  void check(const char* what, int64_t seed, ConvAlgorithm wanted, int64_t gap = 0) const {
    set_num_threads(1);
    const Stored one = run(wanted, true, gap);
    const std::vector<double> want = reference(false), scale = reference(true);
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double error = std::fabs(one.get(i) - want[i]) / tolerance(q.dtype, scale[i], want[i]);
      worst = error <= worst ? worst : error;  // a NaN is kept
    }
    CHECK_MESSAGE(worst <= 1, what, " seed ", seed, " error ", worst, " ", describe(plan_conv(q, facts(wanted, l2))));
    set_num_threads(3);
    const size_t limit = get_workspace_limit();
    set_workspace_limit(1024);  // weights packed panel by panel
    const Stored other = run(wanted, false, gap);
    set_workspace_limit(limit);
    CHECK_MESSAGE(std::memcmp(one.data(), other.data(), one.bytes()) == 0, what, " seed ", seed);
  }

  int64_t channels() const { return q.groups * q.o; }
  int64_t outputs() const { return q.batch * product(q.out) * channels(); }

  ConvGeometry g;
  ConvProblem q;
  ConvKind kind;
  std::vector<double> a, w, bias;
  size_t l2 = 0;  // where not 0: what the plan takes L2 to be
};

inline ConvGeometry square(int64_t size, int64_t k, int64_t c, int64_t o, int64_t groups = 1) {
  ConvGeometry g;
  g.groups = groups;
  g.in_channels = groups * c;
  g.out_channels = groups * o;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = g.out[a] = size;
    g.kernel[a] = k;
    g.pad[a] = k / 2;
  }
  return g;
}

}  // namespace nhwc::testing
