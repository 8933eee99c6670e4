// tests/apple/standin/metal/compute_encoder.cpp -- MTLComputeCommandEncoder, with the checks of Metal's validation
// layer
#include <algorithm>

#include "standin/debug/report.h"
#include "standin/metal/encoder.h"

namespace standin {
namespace {

using C = ComputeEncoder;
const bool defined = define_class(
    "MTLComputeCommandEncoder",
    {method<&C::dispatch_type>("dispatchType"), method<&C::set_pipeline>("setComputePipelineState:"),
     method<&C::set_buffer>("setBuffer:offset:atIndex:"), method<&C::set_offset>("setBufferOffset:atIndex:"),
     method<&C::set_buffers>("setBuffers:offsets:withRange:"), method<&C::set_bytes>("setBytes:length:atIndex:"),
     method<&C::set_threadgroup_memory>("setThreadgroupMemoryLength:atIndex:"),
     method<&C::dispatch_groups>("dispatchThreadgroups:threadsPerThreadgroup:"),
     method<&C::dispatch_threads>("dispatchThreads:threadsPerThreadgroup:"),
     method<&C::barrier>("memoryBarrierWithScope:"), method<&C::barrier_of>("memoryBarrierWithResources:count:"),
     method<&C::use_resource>("useResource:usage:"), method<&C::use_resources>("useResources:count:usage:"),
     method<&C::use_heap>("useHeap:"), method<&C::use_heaps>("useHeaps:count:")},
    {}, "MTLCommandEncoder");

constexpr UInteger kMaxBytes = 4096;  // of setBytes

bool meet(const Access& a, const Access& b) { return (a.written || b.written) && a.begin < b.end && b.begin < a.end; }

}  // namespace

void ComputeEncoder::set_pipeline(Pipeline* state) {
  if (!writable("setComputePipelineState:")) return;
  if (!state) report("argument", "setComputePipelineState: nil");
  pipeline = state;
  commands->use(state);
}

void ComputeEncoder::set_buffer(Buffer* buffer, UInteger offset, UInteger index) {
  if (!writable("setBuffer:")) return;
  if (index >= kMaxBindings) return report("binding", format("setBuffer: at index %lu, over 30", index));
  if (buffer && offset >= buffer->bytes) {
    return report("binding", format("setBuffer: offset %lu is beyond %s", offset, buffer->describe().c_str()));
  }
  slots[index] = {buffer, offset, nullptr};
  if (buffer) commands->use_buffer(buffer);
}

void ComputeEncoder::set_offset(UInteger offset, UInteger index) {
  if (index >= kMaxBindings || !slots[index].buffer) {
    return report("binding", format("setBufferOffset: at index %lu, where no buffer is", index));
  }
  set_buffer(slots[index].buffer, offset, index);
}

void ComputeEncoder::set_buffers(Buffer* const* buffers, const UInteger* offsets, Range range) {
  for (UInteger i = 0; i < range.length; ++i) {
    if (check_object(buffers[i], Buffer::kClass, "buffer")) set_buffer(buffers[i], offsets[i], range.location + i);
  }
}

void ComputeEncoder::set_bytes(const void* bytes, UInteger length, UInteger index) {
  if (!writable("setBytes:")) return;
  if (index >= kMaxBindings) return report("binding", format("setBytes: at index %lu, over 30", index));
  if (!bytes || length == 0 || length > kMaxBytes) {
    return report("binding", format("setBytes: of %lu bytes; 1 to %lu can be", length, kMaxBytes));
  }
  const auto* first = static_cast<const unsigned char*>(bytes);
  slots[index] = {nullptr, 0, std::make_shared<std::vector<unsigned char>>(first, first + length)};
}

void ComputeEncoder::set_threadgroup_memory(UInteger length, UInteger index) {
  if (!writable("setThreadgroupMemoryLength:")) return;
  if (index >= kMaxBindings || length % 16) {
    return report("binding", format("threadgroup memory of %lu bytes at index %lu: whole multiples of 16, index to 30",
                                    length, index));
  }
  threadgroup_bytes[index] = static_cast<uint32_t>(length);
}

void ComputeEncoder::dispatch_groups(Size groups, Size threads) {
  Dispatch launch{};
  launch.groups = groups;
  launch.threads = threads;
  dispatch(std::move(launch));
}

void ComputeEncoder::dispatch_threads(Size grid, Size threads) {
  Dispatch launch{};
  launch.grid = grid;
  launch.threads = threads;
  dispatch(std::move(launch));
}

bool ComputeEncoder::check_sizes(const Dispatch& launch) {
  const std::string name = pipeline->kernel_name();
  const UInteger threads = launch.threads.volume();
  const Size& extent = launch.grid.width ? launch.grid : launch.groups;
  UInteger memory = pipeline->static_memory();
  for (uint32_t bytes : threadgroup_bytes) memory += bytes;
  if (extent.volume() == 0) {
    report("dispatch", format("%s: a grid of %lux%lux%lu", name.c_str(), extent.width, extent.height, extent.depth));
  } else if (threads == 0 || threads > pipeline->max_threads) {
    report("dispatch", format("%s: %lu threads per threadgroup; the pipeline takes 1 to %lu", name.c_str(), threads,
                              pipeline->max_threads));
  } else if (pipeline->multiple_of_simd && threads % kSimdWidth) {
    report("dispatch", format("%s: %lu threads per threadgroup, but its pipeline was promised whole simdgroups",
                              name.c_str(), threads));
  } else if (memory > kMaxThreadgroupMemory) {
    report("dispatch",
           format("%s: %lu bytes of threadgroup memory, over %lu", name.c_str(), memory, kMaxThreadgroupMemory));
  } else {
    return true;
  }
  return false;
}

bool ComputeEncoder::check_binding(const emu_binding& binding) {
  const std::string name = pipeline->kernel_name();
  if (binding.kind == EMU_THREADGROUP) {
    if (threadgroup_bytes[binding.index] || binding.enabled) return true;
    report("binding",
           format("%s: no threadgroup memory is set at index %u (%s)", name.c_str(), binding.index, binding.name));
    return false;
  }
  const Slot& slot = slots[binding.index];
  if (!slot.buffer && !slot.bytes) {
    if (binding.enabled) return true;  // the emulator knows the constants, and looks when it runs
    report("binding", format("%s: nothing is bound at index %u (%s)", name.c_str(), binding.index, binding.name));
    return false;
  }
  const uint64_t bytes = slot.buffer ? slot.buffer->bytes - slot.offset : slot.bytes->size();
  if (bytes < binding.bytes) {
    report("binding", format("%s: %lu bytes are bound at index %u (%s), which needs %lu", name.c_str(), bytes,
                             binding.index, binding.name, binding.bytes));
    return false;
  }
  if (binding.written && !slot.buffer) {
    report("binding",
           format("%s: setBytes at index %u (%s), which the kernel writes", name.c_str(), binding.index, binding.name));
    return false;
  }
  const UInteger alignment = binding.reference ? 4 : std::min<UInteger>(16, binding.bytes & -binding.bytes);
  if (slot.buffer && alignment && slot.offset % alignment) {
    report("binding", format("%s: offset %lu at index %u (%s) is not aligned to %lu", name.c_str(), slot.offset,
                             binding.index, binding.name, alignment));
    return false;
  }
  return true;
}

bool ComputeEncoder::bind(Dispatch* launch, Command* command) {
  const emu_kernel* kernel = pipeline->function->kernel;
  for (uint32_t i = 0; i < kernel->binding_count; ++i) {
    const emu_binding& binding = kernel->bindings[i];
    // Where the command buffer keeps nothing alive, the host may have released it since setBuffer:.
    if (binding.kind == EMU_BUFFER && !check_object(slots[binding.index].buffer, Buffer::kClass, "a bound buffer")) {
      return false;
    }
    if (!check_binding(binding)) return false;
    if (binding.kind != EMU_BUFFER) continue;
    const Slot& slot = slots[binding.index];
    Dispatch::Bound& bound = launch->buffers[binding.index];
    if (slot.buffer) {
      bound.data = slot.buffer->data + slot.offset;
      bound.bytes = slot.buffer->bytes - slot.offset;
      command->accesses.push_back(access_of(slot.buffer, slot.offset, bound.bytes, binding.written));
    } else if (slot.bytes) {
      bound.copy = slot.bytes;
      bound.data = reinterpret_cast<char*>(slot.bytes->data());
      bound.bytes = slot.bytes->size();
    }
  }
  return true;
}

void ComputeEncoder::dispatch(Dispatch launch) {
  if (!writable("dispatch")) return;
  if (!pipeline) return report("encoding", "a dispatch without setComputePipelineState:");
  if (!check_sizes(launch)) return;
  Command command;
  command.name = pipeline->kernel_name();
  if (!bind(&launch, &command)) return;
  launch.pipeline = pipeline.get();
  launch.threadgroup_bytes = threadgroup_bytes;
  command.what = std::move(launch);
  const bool alone = type == DispatchType::serial;
  if (!alone) {
    if (pass->intervals.empty()) pass->intervals.emplace_back();
    note_conflicts(command);
  }
  put(std::move(command), alone);
}

void ComputeEncoder::note_conflicts(const Command& command) {
  const size_t interval = pass->intervals.size() - 1;
  for (const Access& access : command.accesses) {
    for (const Open& before : open_) {
      if (!meet(before.access, access)) continue;
      const std::string text = format("%s %s %s, which %s, dispatched before it without a barrier in between, %s",
                                      command.name.c_str(), access.written ? "writes" : "reads", access.buffer.c_str(),
                                      before.name.c_str(), before.access.written ? "writes" : "reads");
      if (before.interval == interval) {
        pass->intervals.back().suspects.push_back(text);
      } else {
        report("hazard", text + " (the barrier was for other resources)");
      }
    }
  }
  for (const Access& access : command.accesses) open_.push_back({access, command.name, interval});
}

void ComputeEncoder::barrier(UInteger scope) {
  if (!writable("memoryBarrierWithScope:")) return;
  if (!(scope & kScopeBuffers)) return;
  open_.clear();
  if (!pass->intervals.empty() && !pass->intervals.back().commands.empty()) pass->intervals.emplace_back();
}

void ComputeEncoder::barrier_of(Object* const* resources, UInteger count) {
  if (!writable("memoryBarrierWithResources:")) return;
  for (UInteger i = 0; i < count; ++i) {
    if (!check_object(resources[i], Buffer::kClass, "resource of a barrier")) continue;
    const auto* buffer = static_cast<const Buffer*>(resources[i]);
    const Access whole = access_of(buffer, 0, buffer->bytes, true);
    std::erase_if(open_,
                  [&](const Open& open) { return open.access.begin >= whole.begin && open.access.end <= whole.end; });
  }
  if (!pass->intervals.empty() && !pass->intervals.back().commands.empty()) pass->intervals.emplace_back();
}

void ComputeEncoder::use_resource(Allocation* resource, UInteger) {
  if (writable("useResource:")) commands->use(resource);
}
void ComputeEncoder::use_resources(Allocation* const* resources, UInteger count, UInteger usage) {
  for (UInteger i = 0; i < count; ++i) use_resource(resources[i], usage);
}
void ComputeEncoder::use_heap(Heap* heap) {
  if (writable("useHeap:")) commands->use(heap);
}
void ComputeEncoder::use_heaps(Heap* const* heaps, UInteger count) {
  for (UInteger i = 0; i < count; ++i) use_heap(heaps[i]);
}

}  // namespace standin
