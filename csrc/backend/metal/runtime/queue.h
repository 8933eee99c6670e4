// csrc/backend/metal/runtime/queue.h -- a stream of dispatches, handed to the GPU in numbered batches
#pragma once

#include <memory>
#include <vector>

#include "backend/metal/runtime/batch.h"
#include "backend/metal/runtime/encoder.h"

namespace nhwc::metal {

class Queue {
 public:
  Queue(const Device& device, int number, Memory& memory);

  /// With `timed` the dispatch gets a command buffer of its own, whose times are the dispatch's, and is handed over at
  /// once: a queue holds only so many that are not.
  void encode(const GpuLaunch& launch, const Pipeline& pipeline, bool timed);
  /// With `signal` other queues may wait for this batch on the GPU; without, Metal's report of its end lets them go on.
  uint64_t commit(bool signal);
  uint64_t committed() const { return committed_; }
  uint64_t finished() const { return in_flight_.finished(); }
  GpuStatus wait(uint64_t batch, int32_t milliseconds, GpuError* error, std::vector<TimedDispatch>& times);
  /// What is encoded from now on runs after all that `other` has committed.
  void run_after(const Queue& other);

 private:
  struct Wait {
    NS::SharedPtr<MTL::SharedEvent> event;
    uint64_t batch;
  };

  void open_commands();
  bool wary() const;
  void hand_over(bool ends_batch, bool timed, bool signal);
  void signal_finished();

  NS::SharedPtr<MTL::CommandQueue> queue_;
  NS::SharedPtr<MTL::Fence> fence_;        // orders the encoders
  NS::SharedPtr<MTL::SharedEvent> event_;  // holds the number of the last finished batch
  std::mutex signal_mutex_;                // of completion handlers, so that it only grows
  Memory& memory_;
  InFlight in_flight_;
  uint64_t committed_ = 0;

  NS::SharedPtr<MTL::CommandBuffer> commands_;  // open; null: none
  std::unique_ptr<Encoder> encoder_;            // open, of commands_
  std::vector<KernelNames> names_;              // of commands_
  std::vector<Wait> waits_;                     // to stand before the next encoder
  bool batch_open_ = false;                     // something was encoded since the last commit
};

}  // namespace nhwc::metal
