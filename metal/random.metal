// metal/random.metal -- random bits by Threefry2x32, and ranges of numbers
#include <metal_stdlib>

#include "common/convert.h"
#include "common/index.h"
#include "common/strided.h"
#include "params/random.h"

using namespace metal;

/// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): 20 rounds, as JAX and MLX use it.
struct Threefry {
  uint key[3];

  Threefry(uint k0, uint k1) {
    key[0] = k0;
    key[1] = k1;
    key[2] = 0x1bd11bdau ^ k0 ^ k1;
  }
  /// Both words of the counter (a, b).
  uint2 operator()(uint a, uint b) const {
    const uint rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    a += key[0];
    b += key[1];
    for (uint i = 0; i < 5; ++i) {
      for (uint j = 0; j < 4; ++j) {
        a += b;
        b = rotate(b, rotations[i % 2][j]) ^ a;
      }
      a += key[(i + 1) % 3];
      b += key[(i + 2) % 3] + i + 1;
    }
    return uint2(a, b);
  }
};

constant bool whole_words [[function_constant(0)]];  // each key's bits begin and end at a word of y
constant bool wide [[function_constant(1)]];         // places of keys need 64 bits

inline void put_word(device uchar* y, ulong at, uint v, long bytes) {
  if (whole_words) {
    *(device uint*)(y + at) = v;
    return;
  }
  for (long i = 0; i < min(bytes, 4l); ++i) y[at + ulong(i)] = uchar(v >> (8 * i));
}

/// A thread for each pair of words j and j + half (+ 1 where their count is odd), made from the counter of those
/// numbers; the middle word of an odd count from (half, 0). Words are cut to the bytes that a key needs.
[[kernel]] void random_bits(device const uint* keys [[buffer(0)]], device uchar* y [[buffer(1)]],
                            constant RandomParams& p [[buffer(2)]], uint2 at [[thread_position_in_grid]],
                            uint2 grid [[threads_per_grid]]) {
  const ulong number = ulong(at.y) * grid.x + at.x, pairs = ulong(p.half_words + p.odd), k = number / pairs;
  if (k >= ulong(p.keys)) return;
  const ulong word = number % pairs, first = k * ulong(p.bytes);
  const long low = p.first + offset_at(2 * k, p.axes, p.axes_count, wide);
  const long high = p.first + offset_at(2 * k + 1, p.axes, p.axes_count, wide);
  const Threefry hash(keys[low], keys[high]);
  const long left = p.bytes - 4 * long(word);
  if (word == ulong(p.half_words)) {
    put_word(y, first + 4 * word, hash(uint(word), 0).x, left);
    return;
  }
  const ulong second = word + pairs;
  const uint2 v = hash(uint(word), uint(second));
  put_word(y, first + 4 * word, v.x, left);
  put_word(y, first + 4 * second, v.y, p.bytes - 4 * long(second));
}

/// The sum of two floats and what its rounding lost (Knuth).
inline float2 two_sum(float a, float b) {
  const float s = a + b, c = s - a;
  return float2(s, (a - (s - c)) + (b - c));
}
/// start + i * step in two floats, about 48 bits: there is no double.
inline float number_at(ulong i, constant ArangeParams& p) {
  const float high = float(i), low = float(long(i) - long(high));
  const float product = high * p.step_high;
  const float rest = fma(high, p.step_high, -product) + (high * p.step_low + low * p.step_high);
  const float2 sum = two_sum(p.start_high, product);
  const float y = sum.x + (sum.y + (rest + p.start_low));
  return isfinite(y) ? y : p.start_high + product;
}

template <typename T>
struct Range {
  static T at(ulong i, constant ArangeParams& p) { return convert<T>(long(ulong(p.start) + i * ulong(p.step))); }
};
#define NHWC_FLOAT_RANGE(T)                                                       \
  template <>                                                                     \
  struct Range<T> {                                                               \
    static T at(ulong i, constant ArangeParams& p) { return T(number_at(i, p)); } \
  };
NHWC_FLOAT_RANGE(float)
NHWC_FLOAT_RANGE(half)
NHWC_FLOAT_RANGE(bfloat)
#undef NHWC_FLOAT_RANGE

template <typename T>
[[kernel]] void arange(device T* y [[buffer(0)]], constant ArangeParams& p [[buffer(1)]],
                       uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {
  const Share s = share_of(at, grid, p.size, elements_per_thread(sizeof(T)));
  for (int i = 0; i < s.count; ++i) y[s.first + i] = Range<T>::at(s.first + i, p);
}

#define NHWC_DTYPE(name, type) template [[host_name("arange_" #name)]] [[kernel]] decltype(arange<type>) arange<type>;
#include "instances/dtypes.inc"
