// tests/apple/standin/metal/device.h -- MTLDevice
#pragma once

#include "standin/metal/memory.h"

namespace standin {

struct Architecture : Object {
  static constexpr const char* kClass = "MTLArchitecture";
  Ref<String> name;
};

/// Made by +new in Metal: what a test of the host's start needs to be different comes from faults (hooks.h).
struct Device : Object {
  static constexpr const char* kClass = "MTLDevice";
  Ref<String> name;
  Ref<Architecture> architecture;
  Integer family = 8;
  std::atomic<uint64_t> allocated{0};

  bool supports_family(Integer asked);
  bool unified() { return true; }
  bool no() { return false; }
  uint64_t registry_id() { return 0x100000001; }
  UInteger max_buffer_length();
  uint64_t working_set();
  UInteger allocated_size() { return allocated; }
  Size max_threads() { return {kMaxThreads, kMaxThreads, kMaxThreads}; }
  UInteger threadgroup_memory() { return kMaxThreadgroupMemory; }
  bool supports_counter_sampling(UInteger point) { return point == 0; }
  Array* counter_sets();
  void sample_timestamps(uint64_t* cpu, uint64_t* gpu);
  uint64_t timestamp_frequency() { return 1000000000; }
  UInteger compilation_tasks() { return 1; }

  SizeAndAlign heap_size_and_align(UInteger length, UInteger options);
  Heap* heap(HeapDescriptor* asked) { return new_heap(this, asked); }
  Buffer* buffer(UInteger length, UInteger options) { return new_device_buffer(this, length, options); }
  Buffer* buffer_of_bytes(const void* bytes, UInteger length, UInteger options);
  Buffer* buffer_no_copy(void* bytes, UInteger length, UInteger options, void (^deallocator)(void*, UInteger)) {
    return new_wrapping_buffer(this, bytes, length, options, deallocator);
  }
  ResidencySet* residency_set(ResidencySetDescriptor* asked, Error** error);
};

/// Seconds of the clock that CPU and GPU times are given in.
double seconds();

/// The GPU, an object that is never released; null under the fault no_device.
Device* system_device();

}  // namespace standin
