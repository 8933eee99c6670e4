// csrc/backend/metal/runtime/cores.cpp -- counts GPU cores; Metal does not tell
#include "backend/metal/runtime/device.h"

#ifdef __APPLE__
#include <dlfcn.h>
#include <mach/mach.h>
#endif

namespace nhwc::metal {

#ifdef __APPLE__

// IOKit is looked up at run time: nothing else of the library needs it, and without it only the count is unknown.
int count_gpu_cores() {
  void* iokit = dlopen("/System/Library/Frameworks/IOKit.framework/IOKit", RTLD_LAZY | RTLD_LOCAL);
  if (!iokit) return 0;
  const auto matching = reinterpret_cast<void* (*)(const char*)>(dlsym(iokit, "IOServiceMatching"));
  const auto service_of =
      reinterpret_cast<mach_port_t (*)(mach_port_t, void*)>(dlsym(iokit, "IOServiceGetMatchingService"));
  const auto property_of = reinterpret_cast<NS::Number* (*)(mach_port_t, NS::String*, void*, uint32_t)>(
      dlsym(iokit, "IORegistryEntryCreateCFProperty"));
  const auto release = reinterpret_cast<kern_return_t (*)(mach_port_t)>(dlsym(iokit, "IOObjectRelease"));
  if (!matching || !service_of || !property_of || !release) return 0;

  const mach_port_t gpu = service_of(0, matching("AGXAccelerator"));  // takes over the dictionary
  if (!gpu) return 0;
  // Core Foundation's strings and numbers are Foundation's.
  auto cores = NS::TransferPtr(property_of(gpu, ns_string("gpu-core-count"), nullptr, 0));
  release(gpu);
  return cores ? cores->intValue() : 0;
}

#else

int count_gpu_cores() { return 0; }

#endif

}  // namespace nhwc::metal
