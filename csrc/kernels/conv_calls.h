// csrc/kernels/conv_calls.h -- the calls of kernels that a loop nest makes, and who keeps them instead of making them
#pragma once

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

}  // namespace nhwc
