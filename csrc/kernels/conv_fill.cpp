// csrc/kernels/conv_fill.cpp -- outputs that no input reaches: all pixels of them are activation(bias)
#include <algorithm>
#include <cstring>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {
namespace {

/// Such a pixel as it is stored; before the activation where something is added to it.
class ConstantPixel {
 public:
  ConstantPixel(const CpuPlan& plan, const ConvOperands& a)
      : bytes_(static_cast<size_t>(plan.problem.groups * plan.problem.o) * size_of(plan.problem.dtype)), data_(bytes_) {
    visit_float(plan.problem.dtype, [&]<class S>() { compute<S>(plan, a); });
    const char* const data = data_.as<char>();
    zero_ = std::all_of(data, data + bytes_, [](char c) { return c == 0; });
  }
  size_t bytes() const { return bytes_; }
  void fill(char* y, int64_t pixels) const {
    if (zero_) {
      std::memset(y, 0, static_cast<size_t>(pixels) * bytes_);
      return;
    }
    for (int64_t i = 0; i < pixels; ++i, y += bytes_) std::memcpy(y, data_.as<char>(), bytes_);
  }

 private:
  template <class S>
  void compute(const CpuPlan& plan, const ConvOperands& a) {
    using T = Compute<S>;
    const ConvProblem& q = plan.problem;
    const ConvKernels& k = table_for(plan.isa).conv;
    const int64_t channels = q.groups * q.o;
    const Scratch row(static_cast<size_t>(channels) * sizeof(T));
    std::fill_n(row.as<T>(), channels, T(0));
    if (q.has_bias) widen_bias(k, q, static_cast<const S*>(a.bias), row.as<T>());
    if (a.residual_from_y == 0) Epilogue<T>(q.activation, 0, false).finish(float_kernels<T>(k), row.as<T>(), channels);
    narrow(k, row.as<T>(), data_.as<S>(), channels);
  }

  size_t bytes_;
  Scratch data_;
  bool zero_;
};

int64_t pixels_of(size_t bytes) { return std::max<int64_t>(1, (int64_t(1) << 18) / static_cast<int64_t>(bytes)); }

}  // namespace

void fill_outputs(const CpuPlan& plan, const ConvOperands& a) {
  const ConvProblem& q = plan.problem;
  const int64_t pixels = q.batch * q.out[0] * q.out[1] * q.out[2];
  if (q.groups * q.o == 0 || pixels == 0) return;
  const ConstantPixel pixel(plan, a);
  parallel_for(pixels, pixels_of(pixel.bytes()), [&](int64_t begin, int64_t end) {
    char* const y = static_cast<char*>(a.y) + begin * static_cast<int64_t>(pixel.bytes());
    pixel.fill(y, end - begin);
    if (a.residual_from_y == 0) return;
    const auto finish = [&]<class T>() {
      Epilogue<T>(q.activation, a.residual_from_y, false)
          .finish(float_kernels<T>(table_for(plan.isa).conv), reinterpret_cast<T*>(y), (end - begin) * q.groups * q.o);
    };
    q.dtype == Dtype::float64 ? finish.template operator()<double>() : finish.template operator()<float>();
  });
}

void fill_unreached(const CpuPlan& plan, const ConvOperands& a) {
  const ConvProblem& q = plan.problem;
  const AxisPhases planes(q, 0), rows(q, 1), columns(q, 2);
  const auto none = [](const AxisPhases& axis, int64_t i) { return axis.phase(i % axis.period).n_taps == 0; };
  ScratchVec<std::pair<int64_t, int64_t>, 4> runs;  // of such columns in a period: the first, and one behind the last
  for (int64_t i = 0; i < columns.phases(); ++i) {
    if (!none(columns, i)) continue;
    if (!runs.empty() && runs.back().second == i)
      ++runs.back().second;
    else
      runs.push_back({i, i + 1});
  }
  const ConstantPixel pixel(plan, a);
  // Of small pixels all are filled before the others are written: a call for a few takes longer.
  constexpr int64_t kSmall = 128;
  const bool whole_lines = !runs.empty() && columns.period * static_cast<int64_t>(pixel.bytes()) <= kSmall;
  const int64_t width = q.out[2], bytes = static_cast<int64_t>(pixel.bytes()), lines = q.batch * q.out[0] * q.out[1];
  parallel_for(lines, (pixels_of(pixel.bytes()) + width - 1) / width, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      char* y = static_cast<char*>(a.y) + i * width * bytes;
      if (whole_lines || none(rows, i % q.out[1]) || none(planes, i / q.out[1] % q.out[0])) {
        pixel.fill(y, width);
        continue;
      }
      for (const auto& [first, last] : runs)
        for (int64_t x = first; x < width; x += columns.period)
          pixel.fill(y + x * bytes, std::min(width, x + last - first) - x);
    }
  });
}

}  // namespace nhwc
