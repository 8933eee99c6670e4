// tests/apple/standin/metal/encoder.h -- compute and blit encoders, and fences
#pragma once

#include "standin/metal/queue.h"

namespace standin {

struct Fence : Object {
  static constexpr const char* kClass = "MTLFence";
  Device* owner = nullptr;
  Ref<String> label;
};

/// What all encoders share.
struct Encoder : Object {
  static constexpr const char* kClass = "MTLCommandEncoder";
  Ref<String> label;
  CommandBuffer* commands = nullptr;  // retained by `kept`
  Ref<CommandBuffer> kept;
  std::shared_ptr<Pass> pass = std::make_shared<Pass>();
  bool ended = false;

  ~Encoder() override;
  void begin(CommandBuffer* of);
  void end();
  Device* device() { return commands->device(); }
  void set_label(String* text);
  void wait_fence(Fence* fence);
  void update_fence(Fence* fence);
  void group(const String*) {}
  void end_group() {}

  /// Whether commands may still be encoded; reports where not.
  bool writable(const char* what);
  /// Puts a command at the end: into the last interval, or into one of its own.
  void put(Command command, bool own_interval);
};

struct ComputeEncoder : Encoder {
  static constexpr const char* kClass = "MTLComputeCommandEncoder";
  DispatchType type = DispatchType::serial;
  Ref<Pipeline> pipeline;

  struct Slot {
    Buffer* buffer = nullptr;  // the command buffer keeps it, or the host promised to
    UInteger offset = 0;
    std::shared_ptr<std::vector<unsigned char>> bytes;
  };
  std::array<Slot, kMaxBindings> slots;
  std::array<uint32_t, kMaxBindings> threadgroup_bytes{};

  DispatchType dispatch_type() { return type; }
  void set_pipeline(Pipeline* state);
  void set_buffer(Buffer* buffer, UInteger offset, UInteger index);
  void set_offset(UInteger offset, UInteger index);
  void set_buffers(Buffer* const* buffers, const UInteger* offsets, Range range);
  void set_bytes(const void* bytes, UInteger length, UInteger index);
  void set_threadgroup_memory(UInteger length, UInteger index);
  void dispatch_groups(Size groups, Size threads);
  void dispatch_threads(Size grid, Size threads);
  void barrier(UInteger scope);
  void barrier_of(Object* const* resources, UInteger count);
  void use_resource(Allocation* resource, UInteger usage);
  void use_resources(Allocation* const* resources, UInteger count, UInteger usage);
  void use_heap(Heap* heap);
  void use_heaps(Heap* const* heaps, UInteger count);

 private:
  void dispatch(Dispatch launch);
  bool check_sizes(const Dispatch& launch);
  bool check_binding(const emu_binding& binding);
  bool bind(Dispatch* launch, Command* command);
  void note_conflicts(const Command& command);

  /// Commands since the last barrier that covers their memory, for what may run beside a new one.
  struct Open {
    Access access;
    std::string name;
    size_t interval;
  };
  std::vector<Open> open_;
};

struct BlitEncoder : Encoder {
  static constexpr const char* kClass = "MTLBlitCommandEncoder";
  void fill(Buffer* buffer, Range range, uint8_t value);
  void copy(Buffer* from, UInteger from_offset, Buffer* to, UInteger to_offset, UInteger bytes);
  void synchronize(Allocation*) {}

 private:
  bool within(Buffer* buffer, UInteger offset, UInteger bytes, const char* what);
};

/// The bytes of `buffer` from `offset` on.
Access access_of(const Buffer* buffer, UInteger offset, UInteger bytes, bool written);

}  // namespace standin
