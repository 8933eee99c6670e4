// tests/apple/standin/metal/device.cpp -- MTLDevice: what it says of itself, and its memory
#include "standin/metal/device.h"

#include <time.h>

#include <cstring>
#include <string>

#include "standin/debug/faults.h"
#include "standin/debug/report.h"

namespace standin {
namespace {

using D = Device;
const bool defined =
    define_class("MTLDevice", {getter<&D::name>("name"),
                               getter<&D::architecture>("architecture"),
                               method<&D::supports_family>("supportsFamily:"),
                               method<&D::unified>("hasUnifiedMemory"),
                               method<&D::no>("isLowPower"),
                               method<&D::no>("isRemovable"),
                               method<&D::no>("isHeadless"),
                               method<&D::registry_id>("registryID"),
                               method<&D::max_buffer_length>("maxBufferLength"),
                               method<&D::working_set>("recommendedMaxWorkingSetSize"),
                               method<&D::allocated_size>("currentAllocatedSize"),
                               method<&D::max_threads>("maxThreadsPerThreadgroup"),
                               method<&D::threadgroup_memory>("maxThreadgroupMemoryLength"),
                               method<&D::supports_counter_sampling>("supportsCounterSampling:"),
                               method<&D::counter_sets>("counterSets"),
                               method<&D::sample_timestamps>("sampleTimestamps:gpuTimestamp:"),
                               method<&D::timestamp_frequency>("queryTimestampFrequency"),
                               method<&D::compilation_tasks>("maximumConcurrentCompilationTaskCount"),
                               method<&D::heap_size_and_align>("heapBufferSizeAndAlignWithLength:options:"),
                               method<&D::heap>("newHeapWithDescriptor:"),
                               method<&D::buffer>("newBufferWithLength:options:"),
                               method<&D::buffer_of_bytes>("newBufferWithBytes:length:options:"),
                               method<&D::buffer_no_copy>("newBufferWithBytesNoCopy:length:options:deallocator:"),
                               method<&D::residency_set>("newResidencySetWithDescriptor:error:")});

const bool defined_architecture = define_class("MTLArchitecture", {getter<&Architecture::name>("name")});

Device* make_device() {
  Device* const made = create<Device>();
  uint64_t family;
  if (fault_value("family", &family)) made->family = static_cast<Integer>(family);
  made->immortal = true;
  made->name = constant_string("Apple M2 Max (emulated)");
  made->architecture = create<Architecture>();
  made->architecture->immortal = true;
  made->architecture->name = constant_string("applegpu_g14s");
  return made;
}

}  // namespace

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Device* system_device() {
  if (fault_value("no_device", nullptr)) return nullptr;
  static Device* const only = make_device();
  return only;
}

bool Device::supports_family(Integer asked) {
  if (asked > kApple1 - 1 && asked < kApple1 + 100) return asked < kApple1 + family;
  if (asked == kMac2) return family >= 7;
  if (asked == kMetal3) return family >= 7;
  return asked >= kCommon1 && asked <= kCommon3;
}

UInteger Device::max_buffer_length() {
  uint64_t bytes = 8ull << 30;
  fault_value("max_buffer", &bytes);
  return bytes;
}

uint64_t Device::working_set() {
  uint64_t bytes = 10ull << 30;
  fault_value("working_set", &bytes);
  return bytes;
}

void Device::sample_timestamps(uint64_t* cpu, uint64_t* gpu) { *cpu = *gpu = static_cast<uint64_t>(seconds() * 1e9); }

SizeAndAlign Device::heap_size_and_align(UInteger length, UInteger) {
  return {(length + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment, kBufferAlignment};
}

Buffer* Device::buffer_of_bytes(const void* bytes, UInteger length, UInteger options) {
  Buffer* const made = buffer(length, options);
  if (made) std::memcpy(made->data, bytes, length);
  return made;
}

ResidencySet* Device::residency_set(ResidencySetDescriptor* asked, Error**) {
  ResidencySet* const made = create<ResidencySet>();
  made->device = this;
  made->label = asked->label;
  return made;
}

}  // namespace standin

extern "C" {

standin::Device* MTLCreateSystemDefaultDevice() {
  standin::Device* const device = standin::system_device();
  if (device) standin::retain(device);
  return device;
}

standin::Array* MTLCopyAllDevices() {
  auto* all = standin::create<standin::Array>();
  if (standin::Device* device = standin::system_device()) all->items.push_back(device);
  return all;
}

// GPUs do not come and go here.
standin::Array* MTLCopyAllDevicesWithObserver(standin::Object** observer, void*) {
  *observer = nullptr;
  return MTLCopyAllDevices();
}
void MTLRemoveDeviceObserver(standin::Object*) {}
}
