// tests/apple/standin/metal/queue.h -- command queues and command buffers, and the thread that runs them
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "standin/metal/library.h"
#include "standin/metal/pass.h"
#include "standin/objc/block.h"

namespace standin {

struct CommandBuffer;
struct ComputeEncoder;
struct BlitEncoder;

struct QueueDescriptor : Object {
  static constexpr const char* kClass = "MTLCommandQueueDescriptor";
  UInteger max_command_buffers = 64;
};

/// The command buffers of a queue in their order, and the thread that runs them; outlives the queue object.
struct Lane {
  std::recursive_mutex mutex;  // also taken by what a command buffer's end releases
  std::condition_variable_any changed;
  std::deque<Ref<CommandBuffer>> order;  // enqueued, not finished
  int outstanding = 0;                   // made, not finished: at most the queue's maximum
  bool closed = false;

  void run();
};

struct Queue : Object {
  static constexpr const char* kClass = "MTLCommandQueue";
  Device* device = nullptr;
  Ref<String> label;
  UInteger max_command_buffers = 64;
  std::shared_ptr<Lane> lane;
  std::vector<Ref<ResidencySet>> residency;
  uint64_t timeline;  // number of this queue in the hazard log

  explicit Queue(Device* of, UInteger max);
  ~Queue() override;
  CommandBuffer* command_buffer();
  CommandBuffer* unretained_command_buffer();
  CommandBuffer* described_command_buffer(struct CommandBufferDescriptor* asked);
  void add_residency(ResidencySet* set);
  void add_residencies(ResidencySet* const* sets, UInteger count);
  void remove_residency(ResidencySet* set);
  void remove_residencies(ResidencySet* const* sets, UInteger count);
  void boundary() {}

 private:
  CommandBuffer* make(bool retained, UInteger error_options);
};

struct CommandBufferDescriptor : Object {
  static constexpr const char* kClass = "MTLCommandBufferDescriptor";
  bool retained = true;
  UInteger error_options = 0;
};

using Handler = BlockRef<void (^)(CommandBuffer*)>;

struct CommandBuffer : Object {
  static constexpr const char* kClass = "MTLCommandBuffer";
  Ref<Queue> queue;
  std::shared_ptr<Lane> lane;
  Ref<String> label;
  bool retained = true;
  UInteger error_options = 0;
  std::vector<Item> items;
  std::vector<Ref<Object>> kept;                           // what it uses, where it retains
  std::set<Buffer*> unretained;                            // buffers it uses, where it does not
  std::vector<std::shared_ptr<std::atomic<int>>> flights;  // their counts
  std::vector<Ref<ResidencySet>> residency;
  std::vector<Handler> scheduled_handlers, completed_handlers;
  Object* open_encoder = nullptr;

  // Guarded by lane->mutex from enqueue on.
  CommandStatus status = CommandStatus::not_enqueued;
  bool handlers_done = false;
  Ref<Error> error;
  double gpu_start = 0, gpu_end = 0, kernel_start = 0, kernel_end = 0;
  uint64_t mark = 0;     // in the hazard log
  Integer injected = 0;  // the error that a test asked for

  ~CommandBuffer() override;
  Device* device() { return queue->device; }
  Queue* of_queue() { return queue.get(); }
  ComputeEncoder* compute_encoder() { return compute_encoder_of(DispatchType::serial); }
  ComputeEncoder* compute_encoder_of(DispatchType type);
  ComputeEncoder* compute_encoder_described(struct ComputePassDescriptor* asked);
  BlitEncoder* blit_encoder();
  void signal_event(struct Event* event, uint64_t value);
  void wait_event(struct Event* event, uint64_t value);
  void use_residency(ResidencySet* set) { residency.push_back(set); }
  void use_residencies(ResidencySet* const* sets, UInteger count);
  void add_scheduled(void (^handler)(CommandBuffer*));
  void add_completed(void (^handler)(CommandBuffer*));
  void enqueue();
  void commit();
  void wait_scheduled();
  void wait_completed();
  CommandStatus current_status();
  Error* current_error();
  double gpu_start_time();
  double gpu_end_time();
  void group(const String*) {}
  void end_group() {}
  std::string describe() const override;

  /// Whether commands may still be added; reports where not.
  bool writable(const char* what);
  /// Notes that the GPU will use it.
  void use(Object* object);
  void use_buffer(Buffer* buffer);

  /// On the lane's thread: all of it, with handlers.
  void execute();
  /// Gives back what the GPU no longer needs.
  void land();

 private:
  bool wait_until(CommandStatus least);
  void check_residency();
  /// What a command buffer does on the GPU; false and `faulted` (among its passes) where a pass failed.
  bool run_items(Integer* code, size_t* faulted);
  Ref<Error> make_failure(Integer code, size_t faulted) const;
};

}  // namespace standin
