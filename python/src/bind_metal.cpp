// python/src/bind_metal.cpp -- nhwc.metal: the GPU's facts, captures and times
#include <mutex>
#include <vector>

#include "base/gpu_runtime.h"
#include "bind.h"
#include "convert.h"
#include "nhwc/device.h"
#include "nhwc/error.h"

namespace nhwc::py {
namespace {

constexpr Device kGpu{DeviceType::gpu, 0};

/// What was timed since start_timing: added to by the thread that evaluates.
struct Timings {
  struct Entry {
    std::string kernel;
    double start, end;
  };
  std::mutex mutex;
  std::vector<Entry> entries;

  static Timings& all() {
    static Timings& t = *new Timings;
    return t;
  }
  static void add(void* ctx, const GpuTiming* t) {
    auto& all = *static_cast<Timings*>(ctx);
    std::lock_guard lock(all.mutex);
    all.entries.push_back({t->kernel, t->start, t->end});
  }
};

nb::dict device_info() {
  require_available(kGpu, "metal.device_info");
  const GpuFacts& f = gpu_facts();
  nb::dict d;
  d["device_name"] = f.name;
  d["architecture"] = message("apple", f.family);
  d["family"] = f.family;
  d["cores"] = f.cores;
  d["simd_width"] = f.simd_width;
  d["threadgroup_memory"] = f.threadgroup_memory;
  d["max_threads_per_threadgroup"] = f.max_threads;
  d["max_buffer_length"] = f.max_buffer;
  d["max_recommended_working_set_size"] = f.working_set;
  return d;
}

void start_capture(const std::string& path) {
  require_available(kGpu, "metal.start_capture");
  GpuError error{};
  const GpuStatus status = gpu_runtime()->start_capture(path.c_str(), &error);
  if (status != GpuStatus::ok) raise_gpu(status, error, "metal.start_capture");
}

void stop_capture() {
  require_available(kGpu, "metal.stop_capture");
  gpu_runtime()->stop_capture();
}

void start_timing() {
  require_available(kGpu, "metal.start_timing");
  Timings& all = Timings::all();
  std::lock_guard lock(all.mutex);
  all.entries.clear();
  gpu_runtime()->set_timing(&Timings::add, &all);
}

nb::list stop_timing() {
  require_available(kGpu, "metal.stop_timing");
  gpu_runtime()->set_timing(nullptr, nullptr);
  Timings& all = Timings::all();
  std::lock_guard lock(all.mutex);
  nb::list times;
  for (const Timings::Entry& e : all.entries) times.append(nb::make_tuple(e.kernel, e.start, e.end));
  all.entries.clear();
  return times;
}

}  // namespace

void bind_metal(nb::module_& m) {
  nb::module_ metal = m.def_submodule("metal", "The Metal backend.");
  metal.def(
      "is_available", [] { return is_available(kGpu); },
      "Says whether arrays can be computed on the GPU through Metal.\n\nReturns:\n    A bool.\n");
  metal.def("device_info", &device_info,
            "Gives the GPU's facts: its name, Apple GPU family, cores (0 where not known), and limits in bytes.\n\n"
            "Returns:\n    A dict.\n\nRaises:\n    ValueError: If there is no GPU.\n");
  metal.def("start_capture", &start_capture, nb::arg("path"),
            "Starts a Metal capture.\n\nArgs:\n    path: Where the capture goes, ending in ``.gputrace``. The program "
            "has to run with MTL_CAPTURE_ENABLED=1.\n\nRaises:\n    ValueError: If there is no GPU.\n    RuntimeError: "
            "If Metal refuses the capture.\n");
  metal.def("stop_capture", &stop_capture, "Ends a Metal capture.\n\nRaises:\n    ValueError: If there is no GPU.\n");
  metal.def("start_timing", &start_timing,
            "Has every GPU kernel timed from now on, which makes them run one by one.\n\nRaises:\n    ValueError: If "
            "there is no GPU.\n");
  metal.def("stop_timing", &stop_timing, nb::sig("def stop_timing() -> list[tuple[str, float, float]]"),
            "Ends start_timing.\n\nReturns:\n    A list of (kernel, start, end) for each kernel that ran, in seconds "
            "of the GPU's clock.\n\nRaises:\n    ValueError: If there is no GPU.\n");
}

}  // namespace nhwc::py
