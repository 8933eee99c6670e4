// csrc/backend/metal/copy.h -- elements moved between strided arrays on the GPU
#pragma once

#include "backend/metal/lay_out.h"

namespace nhwc::metal {

/// Element i of `shape` goes from `src` to `dst`, which lie apart; `item` is its size. `dst` begins at its lowest
/// address, and so does what `from` reaches.
void copy_strided(void* dst, size_t dst_bytes, const Lying& to, const void* src, size_t src_bytes, const Lying& from,
                  const Shape& shape, size_t item);

}  // namespace nhwc::metal
