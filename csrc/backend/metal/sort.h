// csrc/backend/metal/sort.h -- sorting places, for scatters
#pragma once

#include <cstdint>

namespace nhwc::metal {

/// `count` keys in ascending order, and which they were. In scratch memory of the step.
struct SortedKeys {
  const uint64_t* keys;
  const uint32_t* order;
};
SortedKeys sort_keys(const int64_t* keys, int64_t count);

}  // namespace nhwc::metal
