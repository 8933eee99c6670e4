// csrc/kernels/conv_calls.h -- the calls of kernels that a loop nest makes, and who keeps them instead of making them
#pragma once

#include <algorithm>

#include "kernels/conv_kernels.h"

namespace nhwc {

/// What a call reads beside its tile: pointers [pointers] and tap_ids [taps], rows of outputs [rows], and of dot tiles
/// kDotLanes values of bias. None of it lasts longer than add().
struct CallTables {
  int64_t pointers, taps;
  int rows;
};

/// Is given the calls of float32 kernels of direct, merged and dot plans, in order.
struct CallSink {
  void (*direct)(CallSink& to, void (*kernel)(const DirectTile<float>&), const DirectTile<float>& d, CallTables t);
  void (*dot)(CallSink& to, void (*kernel)(const DotTile<float>&), const DotTile<float>& d, CallTables t);
  /// Before them: where pixels outside the input point to, n zeros. Null: the calls would not be all that is done.
  void (*zeros)(CallSink& to, const float* zeros, int64_t n);
};

/// Makes the call, or gives it to the sink.
template <class D>
void call(CallSink*, void (*kernel)(const D&), const D& d, CallTables) {
  kernel(d);
}
inline void call(CallSink* sink, void (*kernel)(const DirectTile<float>&), const DirectTile<float>& d, CallTables t) {
  sink ? sink->direct(*sink, kernel, d, t) : kernel(d);
}
inline void call(CallSink* sink, void (*kernel)(const DotTile<float>&), const DotTile<float>& d, CallTables t) {
  sink ? sink->dot(*sink, kernel, d, t) : kernel(d);
}

/// The same, `width` outputs at a time: of more than three vectors only even tiles have a kernel.
template <class D>
void call_parts(CallSink* sink, void (*kernel)(const D&), const D& d, CallTables t, int64_t width) {
  if (d.n <= width) return call(sink, kernel, d, t);
  D part = d;
  for (int64_t left = d.n; left > 0; left -= width, part.w += width, part.y_offset += width) {
    part.n = static_cast<int>(std::min(left, width));
    call(sink, kernel, part, t);
    if (d.bias) part.bias += width;
  }
}

}  // namespace nhwc
