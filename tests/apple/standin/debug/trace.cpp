// tests/apple/standin/debug/trace.cpp -- what each dispatch did, for the cost figures
#include "standin/debug/trace.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace standin {
namespace {

const char* path() {
  static const char* const named = std::getenv("NHWC_STANDIN_TRACE");
  return named && *named ? named : nullptr;
}

void put(FILE* file, const char* name, uint64_t value) {
  std::fprintf(file, ", \"%s\": %llu", name, static_cast<unsigned long long>(value));
}

}  // namespace

bool tracing() { return path() != nullptr; }

void trace(const std::string& kernel, const emu_launch& launch, const emu_counters& counters) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  FILE* file = std::fopen(path(), "a");
  if (!file) return;
  std::fprintf(file,
               "{\"kernel\": \"%s\", \"groups\": [%u, %u, %u], \"threads_per_group\": [%u, %u, %u], \"buffers\": [",
               kernel.c_str(), launch.groups[0], launch.groups[1], launch.groups[2], launch.threads[0],
               launch.threads[1], launch.threads[2]);
  const char* comma = "";
  for (const emu_buffer& buffer : launch.buffers) {
    if (!buffer.data) continue;
    std::fprintf(file, "%s%llu", comma, static_cast<unsigned long long>(buffer.bytes));
    comma = ", ";
  }
  std::fprintf(file, "]");
  put(file, "threads", counters.threads);
  put(file, "barriers", counters.barriers);
  put(file, "simd_operations", counters.simd_operations);
  put(file, "mma", counters.mma);
  put(file, "threadgroup_bytes", counters.threadgroup_bytes);
  put(file, "device_read", counters.device_read);
  put(file, "device_written", counters.device_written);
  put(file, "device_read_unique", counters.device_read_unique);
  put(file, "device_written_unique", counters.device_written_unique);
  put(file, "threadgroup_read", counters.threadgroup_read);
  put(file, "threadgroup_written", counters.threadgroup_written);
  put(file, "atomics", counters.atomics);
  std::fprintf(file, "}\n");
  std::fclose(file);
}

}  // namespace standin
