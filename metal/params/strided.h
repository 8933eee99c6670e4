// metal/params/strided.h -- axes of an array, as kernels are told them
#pragma once

#ifndef __METAL_VERSION__
#include <cstdint>
#endif

// After axes that can be are merged, each has two elements or more: nothing with more axes than this could be computed.
enum { kMaxAxes = 40 };

/// Strides count elements.
struct StridedAxis {
  int64_t size, stride;
};

/// Of two arrays over one shape.
struct StridedPair {
  int64_t size, stride[2];
};
