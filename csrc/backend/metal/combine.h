// csrc/backend/metal/combine.h -- the types in which updates meet what is there
#pragma once

#include "graph/primitives.h"

namespace nhwc::metal {

/// Which dtype the kernels are told, and in which they compute. `set` only moves elements.
struct CombineTypes {
  Dtype dtype, accumulator;
};
CombineTypes combine_types(Dtype t, UpdateMode mode);

}  // namespace nhwc::metal
