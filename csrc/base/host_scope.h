// csrc/base/host_scope.h -- the threads and memory that one computation has of its own
#pragma once

#include "nhwc/host.h"

namespace nhwc {

class Allocator;

/// Where a computation's loops run and its scratch comes from; what is null is the process's.
struct HostScope {
  const HostPool* pool = nullptr;
  Allocator* memory = nullptr;
};

/// Of this thread: nullptr where nobody brought anything.
inline thread_local const HostScope* host_scope = nullptr;

/// While it lives this thread computes in `scope`; parallel_for takes it along to the threads of a loop.
class InHostScope {
 public:
  explicit InHostScope(const HostScope* scope) : before_(host_scope) { host_scope = scope; }
  ~InHostScope() { host_scope = before_; }
  InHostScope(const InHostScope&) = delete;
  InHostScope& operator=(const InHostScope&) = delete;

 private:
  const HostScope* before_;
};

}  // namespace nhwc
