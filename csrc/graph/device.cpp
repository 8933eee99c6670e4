// csrc/graph/device.cpp -- devices, streams and their defaults
#include "nhwc/device.h"

#include <atomic>
#include <mutex>
#include <vector>

#include "base/gpu_runtime.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

constexpr int kMaxStreams = 1 << 16;

struct Streams {
  std::mutex mutex;
  std::vector<Device> devices{Device{}};  // by stream index; stream 0 is the CPU's default
};
Streams& streams() {
  static auto* s = new Streams;
  return *s;
}
/// A bit for each stream: read for every node that is made, so without the lock.
std::atomic<uint64_t> gpu_streams[kMaxStreams / 64];

std::atomic<int> default_cpu_stream{0};
std::atomic<int> default_gpu_stream{-1};  // -1: not made yet
#if defined(NHWC_METAL)
std::atomic<int> default_type{-1};  // -1: the gpu where there is one
#else
std::atomic<int> default_type{static_cast<int>(DeviceType::cpu)};  // a runtime that was loaded is asked for by name
#endif
thread_local int scope_stream = -1;

int gpu_stream() {
  int index = default_gpu_stream.load(std::memory_order_acquire);
  if (index >= 0) return index;
  const int made = new_stream({DeviceType::gpu, 0}).index;
  return default_gpu_stream.compare_exchange_strong(index, made) ? made : index;
}

DeviceType default_device_type() {
  int type = default_type.load(std::memory_order_relaxed);
  if (type < 0) {
    type = static_cast<int>(gpu_runtime() ? DeviceType::gpu : DeviceType::cpu);
    default_type.store(type, std::memory_order_relaxed);
  }
  return static_cast<DeviceType>(type);
}

}  // namespace

std::string to_string(const Device& d) {
  return message("Device(", d.type == DeviceType::cpu ? "cpu" : "gpu", ", ", d.index, ")");
}
std::string to_string(const Stream& s) { return message("Stream(", to_string(s.device), ", ", s.index, ")"); }

bool is_available(const Device& d) { return d.index == 0 && (d.type == DeviceType::cpu || gpu_runtime() != nullptr); }

void require_available(const Device& d, const char* who) {
  if (is_available(d)) return;
  if (d.type == DeviceType::gpu && !gpu_runtime())
    raise<ValueError>("[", who, "] the gpu device is not available: ", gpu_missing(), "; use nhwc.cpu");
  raise<ValueError>("[", who, "] ", to_string(d), " does not exist; the devices are Device(cpu, 0)",
                    gpu_runtime() ? " and Device(gpu, 0)" : "");
}

Device default_device() { return {default_device_type(), 0}; }
void set_default_device(const Device& d) {
  require_available(d, "set_default_device");
  default_type.store(static_cast<int>(d.type));
}

Stream default_stream(const Device& d) {
  require_available(d, "default_stream");
  return {d.type == DeviceType::gpu ? gpu_stream() : default_cpu_stream.load(), d};
}
void set_default_stream(const Stream& s) {
  require_available(s.device, "set_default_stream");
  (s.device.type == DeviceType::gpu ? default_gpu_stream : default_cpu_stream).store(s.index);
}

Stream new_stream(const Device& d) {
  require_available(d, "new_stream");
  Streams& all = streams();
  std::lock_guard lock(all.mutex);
  if (all.devices.size() >= kMaxStreams) raise<ValueError>("[new_stream] there are ", kMaxStreams, " streams already");
  const int index = static_cast<int>(all.devices.size());
  all.devices.push_back(d);
  if (d.type == DeviceType::gpu) gpu_streams[index / 64].fetch_or(uint64_t(1) << index % 64);
  return {index, d};
}

Stream stream_of(int index) {
  std::lock_guard lock(streams().mutex);
  return {index, streams().devices.at(index)};
}
int stream_count() {
  std::lock_guard lock(streams().mutex);
  return static_cast<int>(streams().devices.size());
}
bool stream_on_gpu(int index) { return gpu_streams[index / 64].load(std::memory_order_relaxed) >> index % 64 & 1; }

StreamScope::StreamScope(const Stream& s) : before_(scope_stream) { scope_stream = s.index; }
StreamScope::~StreamScope() { scope_stream = before_; }
int current_stream() {
  if (scope_stream >= 0) return scope_stream;
  return default_device_type() == DeviceType::cpu ? default_cpu_stream.load(std::memory_order_relaxed) : gpu_stream();
}

}  // namespace nhwc
