// tests/embed/embed_testing.h -- a host program's memory and threads that count what is asked of them
#pragma once

#include <atomic>
#include <cstdlib>

#include "nhwc/host.h"

namespace nhwc::testing {

struct CountingMemory {
  std::atomic<int> allocated{0}, released{0};
  std::atomic<size_t> bytes{0};
  std::atomic<int> left{1 << 30};  // that succeed
  HostAllocator host() {
    return {this,
            [](void* ctx, size_t bytes, size_t alignment) -> void* {
              auto& m = *static_cast<CountingMemory*>(ctx);
              if (--m.left < 0) return nullptr;
              ++m.allocated;
              m.bytes += bytes;
              return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
            },
            [](void* ctx, void* p, size_t bytes) {
              auto& m = *static_cast<CountingMemory*>(ctx);
              ++m.released;
              m.bytes -= bytes;
              std::free(p);
            }};
  }
};

/// Runs what it is given on the calling thread, in reverse.
struct CountingPool {
  std::atomic<int> runs{0};
  HostPool host(int threads) {
    return {this, threads, [](void* ctx, int n, void (*body)(void*, int), void* arg) {
              ++static_cast<CountingPool*>(ctx)->runs;
              for (int i = n - 1; i >= 0; --i) body(arg, i);
            }};
  }
};

}  // namespace nhwc::testing
