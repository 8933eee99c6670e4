// csrc/kernels/conv_replay.cpp -- a small convolution as the calls of kernels that it comes to, to be made again
#include "kernels/conv_replay.h"

#include <cstring>

#include "base/allocator.h"
#include "kernels/conv.h"

namespace nhwc {
namespace {

// Beyond it finding the tiles takes a twentieth of the time and less, and their tables would be large.
constexpr double kSmallFlops = 4e5;
constexpr size_t kSmallBytes = size_t(64) << 10;
constexpr size_t kMostCalls = 128, kMostPointers = 4096;

bool replayable(const CpuPlan& p, const ConvOperands& a) {
  const ConvProblem& q = p.problem;
  const bool known = p.algorithm == ConvAlgorithm::direct || p.algorithm == ConvAlgorithm::merged ||
                     (p.algorithm == ConvAlgorithm::dot && dot_segments(p) == 0);
  const bool in_kernel =
      q.activation == Activation::none || q.activation == Activation::relu || q.activation == Activation::relu6;
  return known && in_kernel && q.dtype == Dtype::float32 && !p.slabs.images && !p.stream && a.packed &&
         a.residual_from_y == 0 && ConvReplay::small(q);
}

}  // namespace

bool ConvReplay::small(const ConvProblem& q) {
  const double products = static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
                          static_cast<double>(q.groups * q.o) *
                          static_cast<double>(q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c);
  return 2 * products <= kSmallFlops;
}

ConvReplay::ConvReplay() {
  direct = [](CallSink& to, void (*kernel)(const DirectTile<float>&), const DirectTile<float>& d, CallTables t) {
    auto& replay = static_cast<ConvReplay&>(to);
    replay.add(replay.direct_, kernel, d, t);
  };
  dot = [](CallSink& to, void (*kernel)(const DotTile<float>&), const DotTile<float>& d, CallTables t) {
    auto& replay = static_cast<ConvReplay&>(to);
    replay.add(replay.dot_, kernel, d, t);
    replay.dot_.back().first_bias = static_cast<int64_t>(replay.bias_.size());
    replay.bias_.insert(replay.bias_.end(), d.bias, d.bias + kDotLanes);
  };
  zeros = [](CallSink& to, const float* zeros, int64_t n) {
    auto& replay = static_cast<ConvReplay&>(to);
    replay.zeros_ = reinterpret_cast<uintptr_t>(zeros);
    replay.zeros_end_ = reinterpret_cast<uintptr_t>(zeros + n);
    replay.complete_ &= zeros != nullptr;
  };
}

std::unique_ptr<ConvReplay> ConvReplay::record(const CpuPlan& plan, const ConvOperands& a, size_t x_bytes,
                                               size_t y_bytes) {
  if (!replayable(plan, a) || x_bytes > kSmallBytes || y_bytes > kSmallBytes) return nullptr;
  const Scratch x(x_bytes), y(y_bytes);  // addresses that nothing else has
  std::memset(x.as<void>(), 0, x_bytes);
  std::unique_ptr<ConvReplay> replay(new ConvReplay);
  replay->x_ = reinterpret_cast<uintptr_t>(x.as<void>());
  replay->x_end_ = replay->x_ + x_bytes;
  replay->y_ = reinterpret_cast<uintptr_t>(y.as<void>());
  ConvOperands here = a;
  here.x = x.as<void>();
  here.y = y.as<void>();
  here.sink = replay.get();
  run_conv(plan, here);
  if (!replay->complete_ || replay->direct_.size() + replay->dot_.size() > kMostCalls ||
      replay->pointer_places_.size() > kMostPointers)
    return nullptr;
  replay->pointers_.resize(replay->pointer_places_.size());
  replay->rows_.resize(replay->row_offsets_.size());
  replay->point(replay->direct_);
  replay->point(replay->dot_);
  for (auto& c : replay->dot_) c.tile.bias = replay->bias_.data() + c.first_bias;
  return replay;
}

template <class D>
void ConvReplay::add(std::vector<Call<D>>& calls, void (*kernel)(const D&), const D& d, CallTables t) {
  calls.push_back({kernel, d, t, static_cast<int64_t>(pointer_places_.size()), static_cast<int64_t>(taps_.size()),
                   static_cast<int64_t>(row_offsets_.size()), 0});
  for (int64_t i = 0; i < t.pointers; ++i) {
    const auto p = reinterpret_cast<uintptr_t>(d.a[i]);
    const bool of_x = p >= x_ && p < x_end_;
    complete_ &= of_x || (p >= zeros_ && p < zeros_end_);  // else it is a copy, which the next run would not have
    pointer_places_.push_back(of_x ? Place{~uintptr_t(0), p - x_} : Place{0, p});
  }
  taps_.insert(taps_.end(), d.tap_ids, d.tap_ids + t.taps);
  for (int i = 0; i < t.rows; ++i) row_offsets_.push_back(reinterpret_cast<uintptr_t>(d.y[i]) - y_);
}

/// Tiles point into the tables, which no longer move.
template <class D>
void ConvReplay::point(std::vector<Call<D>>& calls) {
  for (Call<D>& c : calls) {
    c.tile.a = pointers_.data() + c.first_pointer;
    c.tile.tap_ids = taps_.data() + c.first_tap;
    c.tile.y = rows_.data() + c.first_row;
  }
}

void ConvReplay::bind(const void* x, void* y) {
  if (x != bound_x_)
    for (size_t i = 0; i < pointers_.size(); ++i)
      pointers_[i] = reinterpret_cast<const float*>((reinterpret_cast<uintptr_t>(x) & pointer_places_[i].of_operand) +
                                                    pointer_places_[i].offset);
  if (y != bound_y_)
    for (size_t i = 0; i < rows_.size(); ++i)
      rows_[i] = reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(y) + row_offsets_[i]);
  bound_x_ = x;
  bound_y_ = y;
}

bool ConvReplay::run(const void* x, void* y) {
  if (busy_.test_and_set(std::memory_order_acquire)) return false;
  if (x != bound_x_ || y != bound_y_) bind(x, y);
  for (const auto& c : direct_) c.kernel(c.tile);
  for (const auto& c : dot_) c.kernel(c.tile);
  busy_.clear(std::memory_order_release);
  return true;
}

}  // namespace nhwc
