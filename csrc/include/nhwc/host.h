// csrc/include/nhwc/host.h -- a host program's own threads and memory in place of the library's
#pragma once

#include <cstddef>

namespace nhwc {

/// A host's own pool: run(ctx, n, body, arg) calls body(arg, i) for every i in [0, n), on whichever threads and in any
/// order, and returns when all are done. body does not throw. Results do not depend on `threads`.
struct HostPool {
  void* ctx = nullptr;
  int threads = 0;  // that n is at most
  void (*run)(void* ctx, int n, void (*body)(void* arg, int i), void* arg) = nullptr;
};
/// Uses the host's pool instead of our threads, which then are never started; a default-made HostPool goes back to
/// ours. Not while anything is computed. A ConvPlan may have one of its own.
void set_host_pool(HostPool pool);

/// A host's own memory. allocate returns `bytes` aligned to `alignment`, a power of two, or null where there is none
/// (MemoryError). Both are called from several threads, `bytes` are the same in both, and neither throws.
struct HostAllocator {
  void* ctx = nullptr;
  void* (*allocate)(void* ctx, size_t bytes, size_t alignment) = nullptr;
  void (*release)(void* ctx, void* p, size_t bytes) = nullptr;
};
/// Takes the memory of arrays, packed weights and scratch from the host instead of the system; a default-made
/// HostAllocator goes back to it. What is cached is given back first; ValueError while arrays are in use, or where one
/// of the two functions is missing. What is small and not of values comes from operator new, which a program may
/// replace. A ConvPlan may have one of its own.
void set_host_allocator(HostAllocator allocator);

}  // namespace nhwc
