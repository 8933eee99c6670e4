// csrc/base/thread_pool.h -- the worker threads that loop nests run on
#pragma once

#include <cstdint>

#include "nhwc/host.h"
#include "nhwc/memory.h"

namespace nhwc {

/// A non-owning reference to a callable (begin, end): no allocation on the way to the pool.
class RangeFn {
 public:
  template <class F>
  RangeFn(const F& f)
      : ctx_(&f), call_([](const void* c, int64_t b, int64_t e) { (*static_cast<const F*>(c))(b, e); }) {}
  void operator()(int64_t b, int64_t e) const { call_(ctx_, b, e); }

 private:
  const void* ctx_;
  void (*call_)(const void*, int64_t, int64_t);
};

/// Calls f(begin, end) over disjoint ranges that cover [0, n), each at most `grain` long and beginning at a multiple of
/// it; the caller takes part. Ranges are handed out in order, first come first served. The first exception thrown by f
/// is rethrown here after all threads have left the loop. Runs inline where one range remains, or inside another
/// parallel_for.
void parallel_for(int64_t n, int64_t grain, RangeFn f);

}  // namespace nhwc
