// csrc/backend/metal/runtime/batch.h -- command buffers that are with the GPU, and what became of them
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "backend/metal/runtime/metal.h"
#include "base/gpu_runtime.h"

namespace nhwc::metal {

/// The kernels of an encoder, in order.
using KernelNames = std::vector<const char*>;

/// Times of the dispatches, each with the batch it was in.
struct TimedDispatch {
  uint64_t batch;
  GpuTiming timing;
};

/// What is known of a command buffer that was handed over.
struct Commands {
  uint64_t batch = 0;
  bool ends_batch = false;
  bool timed = false;  // then it holds one dispatch
  std::vector<KernelNames> encoders;

  bool done = false;
  GpuStatus status = GpuStatus::ok;
  std::string text;
  double start = 0, end = 0;
};

/// Reads what Metal says of a completed command buffer, and finds the kernel that is to blame.
void read_outcome(Commands& commands, MTL::CommandBuffer* completed);

/// Command buffers of one queue from commit to the report of their end. Completion handlers, which Metal calls on a
/// thread of its own, write; the thread that waits reads.
class InFlight {
 public:
  /// The record stays where it is until finish().
  Commands* add(Commands commands);
  void finish(Commands* commands, MTL::CommandBuffer* completed);

  uint64_t finished() const;
  /// Waits for `batch`. The first error up to it is reported and all up to it are forgotten; so are the times.
  GpuStatus wait(uint64_t batch, int32_t milliseconds, GpuError* error, std::vector<TimedDispatch>& times);
  /// The last batch that failed; 0: none did.
  uint64_t last_failed() const;

 private:
  struct Problem {
    uint64_t batch;
    GpuStatus status;
    std::string text;
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Commands> running_;  // in the order of commits, also that of their ends
  std::vector<Problem> problems_;
  std::vector<TimedDispatch> times_;
  uint64_t finished_ = 0, last_failed_ = 0;
};

}  // namespace nhwc::metal
