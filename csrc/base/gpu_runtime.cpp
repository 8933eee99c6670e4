// csrc/base/gpu_runtime.cpp -- finds the GPU runtime and opens it once
#include "base/gpu_runtime.h"

#include <dlfcn.h>

#include <mutex>

#include "base/allocator.h"
#include "base/env.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

struct Opened {
  const GpuRuntime* runtime = nullptr;  // null: `missing` says why
  std::string missing;
  GpuFacts facts{};
};

using GetRuntime = const GpuRuntime* (*)();

/// Where the runtime comes from; null, with the reason, where there is none.
GetRuntime find_runtime(std::string& missing) {
#if defined(NHWC_METAL)
  (void)missing;
  return &nhwc_gpu_runtime;
#elif defined(NHWC_NO_GPU)
  missing = "this build of nhwc has no Metal backend";
  return nullptr;
#else
  const std::string path = env("NHWC_GPU_RUNTIME");
  if (path.empty()) {
    missing = "this build of nhwc has no Metal backend";
    return nullptr;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* symbol = library ? dlsym(library, "nhwc_gpu_runtime") : nullptr;
  if (!symbol) {
    const char* why = dlerror();
    missing = message("NHWC_GPU_RUNTIME=", path, " cannot be loaded: ", why ? why : "no reason given");
  }
  return reinterpret_cast<GetRuntime>(symbol);
#endif
}

Opened open_runtime() {
  Opened o;
  const GetRuntime get = find_runtime(o.missing);
  if (!get) return o;
  const GpuRuntime* runtime = get();
  if (!runtime || runtime->version != kGpuRuntimeVersion) {
    o.missing = message("the GPU runtime has version ", runtime ? runtime->version : 0, ", expected ",
                        kGpuRuntimeVersion, "; build it from the same source");
    return o;
  }
  GpuError error{};
  if (runtime->open(&o.facts, &error) != GpuStatus::ok) {
    o.missing = error.text;
    return o;
  }
  o.runtime = runtime;
  share_memory_with(*runtime);
  return o;
}

const Opened& opened() {
  static const Opened& o = *new Opened(open_runtime());  // never destroyed: arrays may outlive static destructors
  return o;
}

}  // namespace

const GpuRuntime* gpu_runtime() { return opened().runtime; }
std::string gpu_missing() { return opened().missing; }
const GpuFacts& gpu_facts() { return opened().facts; }

void raise_gpu(GpuStatus status, const GpuError& error, const char* who) {
  if (status == GpuStatus::out_of_memory) raise<MemoryError>("[", who, "] ", error.text);
  throw std::runtime_error(message("[", who, "] ", error.text));
}

}  // namespace nhwc
