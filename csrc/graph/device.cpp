// csrc/graph/device.cpp -- devices, streams and their defaults
#include "nhwc/device.h"

#include <atomic>
#include <mutex>
#include <vector>

#include "graph/trace_scope.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

std::mutex streams_mutex;
std::vector<Device>& streams() {  // by stream index; stream 0 is the CPU's default
  static auto* s = new std::vector<Device>{Device{}};
  return *s;
}
std::atomic<int> default_cpu_stream{0};
thread_local int scope_stream = -1;

}  // namespace

std::string to_string(const Device& d) {
  return message("Device(", d.type == DeviceType::cpu ? "cpu" : "gpu", ", ", d.index, ")");
}
std::string to_string(const Stream& s) { return message("Stream(", to_string(s.device), ", ", s.index, ")"); }

bool is_available(const Device& d) { return d.type == DeviceType::cpu && d.index == 0; }

void require_available(const Device& d, const char* who) {
  if (is_available(d)) return;
  if (d.type == DeviceType::gpu)
    raise<ValueError>("[", who,
                      "] the gpu device is not available: this build of nhwc has no Metal backend; use nhwc.cpu");
  raise<ValueError>("[", who, "] ", to_string(d), " does not exist; the devices are Device(cpu, 0)");
}

Device default_device() { return Device{}; }
void set_default_device(const Device& d) { require_available(d, "set_default_device"); }

Stream default_stream(const Device& d) {
  require_available(d, "default_stream");
  return {default_cpu_stream.load(), d};
}
void set_default_stream(const Stream& s) {
  require_available(s.device, "set_default_stream");
  default_cpu_stream.store(s.index);
}

Stream new_stream(const Device& d) {
  require_available(d, "new_stream");
  std::lock_guard lock(streams_mutex);
  if (streams().size() > 0xffff) raise<ValueError>("[new_stream] there are 65536 streams already");
  streams().push_back(d);
  return {static_cast<int>(streams().size()) - 1, d};
}

Stream stream_of(int index) {
  std::lock_guard lock(streams_mutex);
  return {index, streams().at(index)};
}
int stream_count() {
  std::lock_guard lock(streams_mutex);
  return static_cast<int>(streams().size());
}

StreamScope::StreamScope(const Stream& s) : before_(scope_stream) { scope_stream = s.index; }
StreamScope::~StreamScope() { scope_stream = before_; }
int current_stream() { return scope_stream >= 0 ? scope_stream : default_cpu_stream.load(std::memory_order_relaxed); }

}  // namespace nhwc
