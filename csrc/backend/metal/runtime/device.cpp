// csrc/backend/metal/runtime/device.cpp -- chooses the GPU and refuses those that the kernels were not made for
#include "backend/metal/runtime/device.h"

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

// Apple7 is M1 and A14: the first family whose kernels may use simdgroup_matrix.
constexpr int kOldestFamily = 7;
// Apple families are 1001, 1002 ...; asked from above, for each supports those below it.
constexpr int kFamilyBase = 1000, kNewestFamily = 12;
// Metal 3.1, which knows bfloat, came with macOS 14.
constexpr NS::Integer kOldestSystem = 14;

NS::SharedPtr<MTL::Device> default_device() {
  auto device = NS::TransferPtr(MTL::CreateSystemDefaultDevice());
  if (device) return device;
  // A program without a window server has no default device, yet the GPU is in the list.
  auto all = NS::TransferPtr(MTL::CopyAllDevices());
  if (!all || all->count() == 0) fail(GpuStatus::no_device, "Metal finds no GPU on this machine");
  return NS::RetainPtr(all->object<MTL::Device>(0));
}

int family_of(MTL::Device* device) {
  for (int family = kNewestFamily; family > 0; --family)
    if (device->supportsFamily(MTL::GPUFamily(kFamilyBase + family))) return family;
  return 0;
}

void check_system() {
  const auto version = NS::ProcessInfo::processInfo()->operatingSystemVersion();
  if (version.majorVersion >= kOldestSystem) return;
  fail(GpuStatus::unsupported, "macOS " + std::to_string(version.majorVersion) + "." +
                                   std::to_string(version.minorVersion) +
                                   " is too old for the GPU kernels: they need macOS 14, whose Metal 3.1 has bfloat");
}

}  // namespace

Device open_device() {
  Device device{default_device(), {}};
  MTL::Device* metal = device.metal.get();
  const std::string name = to_string(metal->name());
  const int family = family_of(metal);
  if (family == 0) fail(GpuStatus::unsupported, "'" + name + "' is not an Apple GPU; the kernels need an M1 or later");
  if (family < kOldestFamily)
    fail(GpuStatus::unsupported, "'" + name + "' is of GPU family Apple" + std::to_string(family) +
                                     "; the kernels need Apple7 (an M1) or later");
  check_system();

  GpuFacts& facts = device.facts;
  std::snprintf(facts.name, sizeof facts.name, "%s", name.c_str());
  facts.family = family;
  facts.cores = count_gpu_cores();
  facts.simd_width = 32;  // of every Apple GPU; each pipeline is checked against it
  facts.threadgroup_memory = uint32_t(metal->maxThreadgroupMemoryLength());
  facts.max_threads = uint32_t(metal->maxThreadsPerThreadgroup().width);
  facts.max_buffer = metal->maxBufferLength();
  facts.working_set = metal->recommendedMaxWorkingSetSize();
  return device;
}

}  // namespace nhwc::metal
