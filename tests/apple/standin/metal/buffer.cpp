// tests/apple/standin/metal/buffer.cpp -- MTLBuffer, and memory that is not a heap's
#include <unistd.h>

#include <cstring>

#include "standin/debug/faults.h"
#include "standin/debug/report.h"
#include "standin/metal/device.h"
#include "standin/metal/memory.h"
#include "standin/objc/block.h"

namespace standin {
namespace {

constexpr size_t kPage = 16384;  // of Apple's arm64

Object* no_object(Object*, Selector) { return nullptr; }

using B = Buffer;
const bool defined_resource = define_class(
    "MTLAllocation",
    {getter<&Allocation::device>("device"), getter<&Allocation::label>("label"),
     setter<&Allocation::label>("setLabel:"), method<&Allocation::length>("allocatedSize"),
     method<&Allocation::resource_options>("resourceOptions"), method<&Allocation::cache_mode>("cpuCacheMode"),
     method<&Allocation::storage>("storageMode"), method<&Allocation::tracking>("hazardTrackingMode"),
     method<&Allocation::set_purgeable>("setPurgeableState:")});
const bool defined_buffer = define_class("MTLBuffer",
                                         {method<&B::contents>("contents"),
                                          method<&B::length>("length"),
                                          method<&B::gpu_address>("gpuAddress"),
                                          method<&B::of_heap>("heap"),
                                          getter<&B::heap_offset>("heapOffset"),
                                          method<&B::did_modify>("didModifyRange:"),
                                          method<&B::make_aliasable>("makeAliasable"),
                                          method<&B::is_aliasable>("isAliasable"),
                                          {"remoteStorageBuffer", reinterpret_cast<Function>(&no_object)}},
                                         {}, "MTLAllocation");

}  // namespace

char* new_memory(Device* device, UInteger bytes) {
  uint64_t limit = 0;
  if (fault_hits("allocation") || bytes > device->max_buffer_length()) return nullptr;
  if (fault_value("memory", &limit) && device->allocated + bytes > limit) return nullptr;
  void* data = nullptr;
  if (posix_memalign(&data, kPage, bytes)) return nullptr;
  // NaN in every float type, so that what is read before it is written shows.
  std::memset(data, 0xff, bytes);
  device->allocated += bytes;
  return static_cast<char*>(data);
}

void free_memory(Device* device, char* data, UInteger bytes) {
  device->allocated -= bytes;
  std::free(data);
}

HazardTracking Allocation::tracking() {
  const HazardTracking asked = tracking_of(options);
  return asked == HazardTracking::automatic ? default_tracking : asked;
}

std::string Allocation::describe() const {
  return label ? format("%s '%s'", isa->name.c_str(), label->text.c_str())
               : format("%s of %lu bytes", isa->name.c_str(), bytes);
}

Buffer* new_device_buffer(Device* device, UInteger length, UInteger options) {
  if (length == 0) {
    report("argument", "newBufferWithLength: of 0 bytes");
    return nullptr;
  }
  if (length > device->max_buffer_length()) {
    report("argument", format("a buffer of %lu bytes, over maxBufferLength", length));
    return nullptr;
  }
  char* const data = new_memory(device, length);
  if (!data) return nullptr;
  Buffer* const made = create<Buffer>();
  made->device = device;
  made->data = data;
  made->bytes = length;
  made->options = options;
  made->owns_data = true;
  return made;
}

Buffer* new_wrapping_buffer(Device* device, void* data, UInteger length, UInteger options,
                            void (^deallocator)(void*, UInteger)) {
  const auto page = static_cast<UInteger>(sysconf(_SC_PAGESIZE));
  if (reinterpret_cast<uintptr_t>(data) % page || length % page || length == 0) {
    report("argument", format("newBufferWithBytesNoCopy: %p and %lu bytes are not whole pages", data, length));
    return nullptr;
  }
  Buffer* const made = create<Buffer>();
  made->device = device;
  made->data = static_cast<char*>(data);
  made->bytes = length;
  made->options = options;
  if (deallocator) made->deallocator = (void (^)(void*, UInteger))_Block_copy((const void*)deallocator);
  return made;
}

Buffer::~Buffer() {
  if (*in_flight > 0) {
    report("lifetime", format("%s is deallocated while a command buffer without references of its own uses it",
                              describe().c_str()));
    return;  // the memory stays, so that what was reported does not also corrupt the process
  }
  if (heap && !aliasable) heap->give_back(heap_offset);
  if (owns_data) free_memory(device, data, bytes);
  if (deallocator) {
    deallocator(data, bytes);
    _Block_release((const void*)deallocator);
  }
}

void* Buffer::contents() {
  if (storage() == StorageMode::private_) return nullptr;
  return data;
}

void Buffer::make_aliasable() {
  if (!heap) {
    report("argument", "makeAliasable of a buffer that is not in a heap");
  } else if (!aliasable) {
    aliasable = true;
    heap->give_back(heap_offset);
  }
}

}  // namespace standin
