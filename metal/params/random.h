// metal/params/random.h -- what kernels are told that make arrays of nothing; shared with the host
#pragma once

#include "params/strided.h"

/// Bits of many keys, `bytes` of each; a key's words are halved, the middle one of an odd count is alone.
struct RandomParams {
  int64_t keys, bytes, half_words;
  int32_t odd, axes_count;
  int64_t first;               // where the first key's first word lies in what is bound
  StridedAxis axes[kMaxAxes];  // of the words
};

/// Element i is start + i * step: of integers, or of numbers in two floats each, high and low.
struct ArangeParams {
  int64_t size, start, step;
  float start_high, start_low, step_high, step_low;
};
