// csrc/kernels/conv_replay.h -- a small convolution as the calls of kernels that it comes to, to be made again
// Finding the tiles of a small convolution takes longer than their products. Where its calls depend on nothing but the
// addresses of x and y, they are kept with their tables, and the addresses are replaced.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "kernels/conv_calls.h"

namespace nhwc {

struct ConvOperands;
struct ConvProblem;
struct CpuPlan;

class ConvReplay : private CallSink {
 public:
  /// Whether it has few enough products.
  static bool small(const ConvProblem& q);
  /// The calls of the plan on operands of so many bytes, whose bias and packed weights stay where they are; x and y are
  /// not read. Null where it is not small, or not all of it is calls that can be kept.
  static std::unique_ptr<ConvReplay> record(const CpuPlan& plan, const ConvOperands& a, size_t x_bytes, size_t y_bytes);

  /// The same bits as run_conv. False, and nothing was done, while another thread is at it.
  bool run(const void* x, void* y);

 private:
  template <class D>
  struct Call {
    void (*kernel)(const D&);
    D tile;
    CallTables tables;
    int64_t first_pointer, first_tap, first_row, first_bias;
  };
  /// An address: `offset` bytes from the operand, or where it is.
  struct Place {
    uintptr_t of_operand;  // all bits set, or none
    uintptr_t offset;
  };

  ConvReplay();
  template <class D>
  void add(std::vector<Call<D>>& calls, void (*kernel)(const D&), const D& d, CallTables t);
  template <class D>
  void point(std::vector<Call<D>>& calls);
  void bind(const void* x, void* y);

  // While recording: the addresses of the operands.
  uintptr_t x_ = 0, x_end_ = 0, y_ = 0, zeros_ = 0, zeros_end_ = 0;
  bool complete_ = true;

  std::vector<Call<DirectTile<float>>> direct_;  // one of the two is empty
  std::vector<Call<DotTile<float>>> dot_;
  std::vector<Place> pointer_places_;
  std::vector<uintptr_t> row_offsets_;
  std::vector<const float*> pointers_;
  std::vector<float*> rows_;
  std::vector<int64_t> taps_;
  std::vector<float> bias_;
  const void* bound_x_ = nullptr;
  void* bound_y_ = nullptr;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

}  // namespace nhwc
