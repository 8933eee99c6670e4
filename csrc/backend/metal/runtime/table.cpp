// csrc/backend/metal/runtime/table.cpp -- the functions of GpuRuntime
#include <map>
#include <memory>

#include "backend/metal/runtime/capture.h"
#include "backend/metal/runtime/failure.h"
#include "backend/metal/runtime/forks.h"
#include "backend/metal/runtime/queue.h"

namespace nhwc::metal {
namespace {

/// All of an opened GPU. Never destroyed: arrays and completion handlers may outlive static objects.
struct Runtime {
  explicit Runtime(Device opened) : device(std::move(opened)), memory(device), pipelines(device) {}

  Queue& queue(int number) {
    auto& queue = queues[number];
    if (!queue) queue = std::make_unique<Queue>(device, number, memory);
    return *queue;
  }

  Device device;
  Memory memory;
  Pipelines pipelines;
  std::map<int, std::unique_ptr<Queue>> queues;
  void (*report)(void* ctx, const GpuTiming* timing) = nullptr;
  void* report_ctx = nullptr;
};

Runtime* opened = nullptr;

Runtime& usable() {
  if (!opened) fail(GpuStatus::no_device, "the GPU was not opened");
  refuse_forked();
  return *opened;
}

void save_at_exit() {
  if (forked()) return;
  guarded(nullptr, [] {
    Pool pool;
    opened->pipelines.save();
  });
}

GpuStatus open(GpuFacts* facts, GpuError* error) {
  return guarded(error, [&] {
    Pool pool;
    if (!opened) {
      opened = new Runtime(open_device());
      watch_forks(opened->memory.mutex());
      std::atexit(save_at_exit);
    }
    *facts = usable().device.facts;
  });
}

void* allocate(uint64_t bytes, GpuError* error) {
  void* data = nullptr;
  guarded(error, [&] {
    Runtime& runtime = usable();
    Pool pool;
    data = runtime.memory.allocate(bytes);
  });
  return data;
}

bool release(void* data) {
  bool known = false;
  guarded(nullptr, [&] {
    if (!opened) return;
    if (forked()) {
      known = opened->memory.release(data);
      return;
    }
    Pool pool;
    known = opened->memory.release(data);
  });
  return known;
}

bool owns(const void* data) { return opened && opened->memory.find(data).buffer; }

GpuStatus encode(int32_t queue, const GpuLaunch* launch, GpuError* error) {
  return guarded(error, [&] {
    Runtime& runtime = usable();
    Pool pool;
    const Pipeline& pipeline = runtime.pipelines.get(*launch);
    runtime.queue(queue).encode(*launch, pipeline, runtime.report != nullptr);
  });
}

uint64_t commit(int32_t queue) {
  uint64_t batch = 0;
  guarded(nullptr, [&] {
    Runtime& runtime = usable();
    Pool pool;
    batch = runtime.queue(queue).commit(runtime.queues.size() > 1);
  });
  return batch;
}

uint64_t finished(int32_t queue) {
  uint64_t batch = 0;
  guarded(nullptr, [&] { batch = usable().queue(queue).finished(); });
  return batch;
}

GpuStatus wait(int32_t queue, uint64_t batch, int32_t milliseconds, GpuError* error) {
  GpuStatus status = GpuStatus::ok;
  const GpuStatus own = guarded(error, [&] {
    Runtime& runtime = usable();
    std::vector<TimedDispatch> times;
    status = runtime.queue(queue).wait(batch, milliseconds, error, times);
    if (!runtime.report) return;
    for (const TimedDispatch& time : times) runtime.report(runtime.report_ctx, &time.timing);
  });
  return own == GpuStatus::ok ? status : own;
}

void order(int32_t queue, int32_t other) {
  guarded(nullptr, [&] {
    Runtime& runtime = usable();
    Pool pool;
    runtime.queue(queue).run_after(runtime.queue(other));
  });
}

GpuStatus start_capture(const char* path, GpuError* error) {
  return guarded(error, [&] {
    Runtime& runtime = usable();
    Pool pool;
    begin_capture(runtime.device, path);
  });
}

void stop_capture() {
  guarded(nullptr, [] {
    usable();
    Pool pool;
    end_capture();
  });
}

void set_timing(void (*report)(void* ctx, const GpuTiming* timing), void* ctx) {
  guarded(nullptr, [&] {
    Runtime& runtime = usable();
    runtime.report = report;
    runtime.report_ctx = ctx;
  });
}

constexpr GpuRuntime kTable = {kGpuRuntimeVersion, open, allocate, release,       owns,         encode,    commit,
                               finished,           wait, order,    start_capture, stop_capture, set_timing};

}  // namespace
}  // namespace nhwc::metal

extern "C" __attribute__((visibility("default"))) const nhwc::GpuRuntime* nhwc_gpu_runtime() {
  return &nhwc::metal::kTable;
}
