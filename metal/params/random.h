// metal/params/random.h -- what kernels are told that make arrays of nothing; shared with the host
#pragma once

#ifndef __METAL_VERSION__
#include <cstdint>
#endif

/// Bits of many keys, `bytes` of each; a key's words are halved, the middle one of an odd count is alone.
struct RandomParams {
  int64_t keys, bytes, half_words;
  int32_t odd, unused;
};

/// Element i is start + i * step: of integers, or of numbers in two floats each, high and low.
struct ArangeParams {
  int64_t size, start, step;
  float start_high, start_low, step_high, step_low;
};
