// metal/conv_winograd.metal -- 3x3 convolution by tiles of 4x4 outputs: transforms before and after products at 36 points
// Points are float32 whatever the elements are: half types are rounded once, when they are stored.
#include <metal_stdlib>

#include "conv/epilogue.h"
#include "conv/patches.h"
#include "conv/weights.h"
#include "conv/winograd.h"

struct Tile4x4 {
  int image, row, column;  // its first output
};

inline Tile4x4 tile_of(constant ConvWinogradParams& p, long n) {
  n += p.first_tile;
  Tile4x4 t;
  t.column = int(n % p.columns) * kWinogradOutputs;
  n /= p.columns;
  t.row = int(n % p.rows) * kWinogradOutputs;
  t.image = int(n / p.rows);
  return t;
}

/// The input at a place of the plane; zero beyond its borders.
template <typename T>
inline float input_at(constant ConvParams& p, const device T* image, int row, int column) {
  const bool inside = row >= 0 && row < p.axis[1].in && column >= 0 && column < p.axis[2].in;
  return inside ? float(image[row * p.x_stride[2] + column * p.x_stride[3]]) : 0.0f;
}

/// Weights, one thread per input and output channel, to points x input channels x output channels.
template <typename T>
[[kernel]] void conv_winograd_weights(const device T* w [[buffer(0)]], device float* points [[buffer(1)]],
                                      constant ConvWinogradParams& p [[buffer(2)]],
                                      uint block [[threadgroup_position_in_grid]],
                                      uint thread_index [[thread_index_in_threadgroup]],
                                      uint threads [[threads_per_threadgroup]]) {
  const long n = long(block) * threads + thread_index, count = long(p.conv.c) * p.conv.o;
  if (n >= count) return;
  const WeightSteps steps = weight_steps(p.conv, 0, int(n % p.conv.o));
  const device T* from = w + steps.row + n / p.conv.o * steps.channel;
  float g[9], rows[3 * kWinogradPoints], u[kWinogradPoints * kWinogradPoints];
  for (int t = 0; t < 9; ++t) g[t] = float(from[(p.conv.flip ? 8 - t : t) * steps.tap]);
  for (int i = 0; i < 3; ++i) weight_points(g[i * 3], g[i * 3 + 1], g[i * 3 + 2], rows + i * kWinogradPoints, 1);
  for (int j = 0; j < kWinogradPoints; ++j)
    weight_points(rows[j], rows[kWinogradPoints + j], rows[2 * kWinogradPoints + j], u + j, kWinogradPoints);
  for (int i = 0; i < kWinogradPoints * kWinogradPoints; ++i) points[i * count + n] = u[i];
}

/// Inputs, one thread per tile and channel, to points x tiles x channels.
template <typename T>
[[kernel]] void conv_winograd_input(const device T* x [[buffer(0)]], device float* points [[buffer(1)]],
                                    constant ConvWinogradParams& p [[buffer(2)]],
                                    uint block [[threadgroup_position_in_grid]],
                                    uint thread_index [[thread_index_in_threadgroup]],
                                    uint threads [[threads_per_threadgroup]]) {
  const long n = long(block) * threads + thread_index, count = long(p.tiles) * p.conv.c;
  if (n >= count) return;
  const Tile4x4 tile = tile_of(p, n / p.conv.c);
  const device T* image = x + p.conv.x_first + tile.image * p.conv.x_stride[0] + n % p.conv.c * p.conv.x_channel;
  float d[kWinogradPoints * kWinogradPoints], rows[kWinogradPoints * kWinogradPoints];
  for (int i = 0; i < kWinogradPoints; ++i)
    for (int j = 0; j < kWinogradPoints; ++j)
      d[i * kWinogradPoints + j] =
          input_at(p.conv, image, tile.row + i - p.conv.axis[1].pad, tile.column + j - p.conv.axis[2].pad);
  for (int i = 0; i < kWinogradPoints; ++i) input_points(d + i * kWinogradPoints, rows + i * kWinogradPoints, 1);
  for (int j = 0; j < kWinogradPoints; ++j) input_points(rows + j, d + j, kWinogradPoints);
  for (int i = 0; i < kWinogradPoints * kWinogradPoints; ++i) points[i * count + n] = d[i];
}

/// One output by its definition.
template <typename T>
inline float direct_sum(constant ConvParams& p, const device T* image, const device T* w, WeightSteps steps,
                        int row, int column) {
  float sum = 0.0f;
  for (int t = 0; t < 9; ++t) {
    const int i = row + t / 3 - p.axis[1].pad, j = column + t % 3 - p.axis[2].pad;
    if (i < 0 || i >= p.axis[1].in || j < 0 || j >= p.axis[2].in) continue;
    const device T* from = image + i * p.x_stride[2] + j * p.x_stride[3];
    const device T* weight = w + steps.row + (p.flip ? 8 - t : t) * steps.tap;
    for (int c = 0; c < p.c; ++c, from += p.x_channel) sum += float(*from) * float(weight[c * steps.channel]);
  }
  return sum;
}

/// Products, points x tiles x output channels, to outputs, one thread per tile and output channel. A transform spreads
/// what is not finite over its tile: there every output is summed again by its definition.
template <typename T>
[[kernel]] void conv_winograd_output(const device float* products [[buffer(0)]], const device T* x [[buffer(1)]],
                                     const device T* w [[buffer(2)]],
                                     const device T* bias [[buffer(3), function_constant(has_bias)]],
                                     const device T* residual [[buffer(4), function_constant(has_residual)]],
                                     device T* y [[buffer(5)]], constant ConvWinogradParams& p [[buffer(6)]],
                                     uint block [[threadgroup_position_in_grid]],
                                     uint thread_index [[thread_index_in_threadgroup]],
                                     uint threads [[threads_per_threadgroup]]) {
  const long n = long(block) * threads + thread_index, count = long(p.tiles) * p.conv.o;
  if (n >= count) return;
  const int channel = int(n % p.conv.o);
  const Tile4x4 tile = tile_of(p, n / p.conv.o);
  float m[kWinogradPoints * kWinogradPoints], rows[kWinogradPoints * kWinogradOutputs];
  float sums[kWinogradOutputs * kWinogradOutputs];
  for (int i = 0; i < kWinogradPoints * kWinogradPoints; ++i) m[i] = products[i * count + n];
  for (int i = 0; i < kWinogradPoints; ++i)
    output_points(m + i * kWinogradPoints, rows + i * kWinogradOutputs, 1, 1);
  for (int j = 0; j < kWinogradOutputs; ++j)
    output_points(rows + j, sums + j, kWinogradOutputs, kWinogradOutputs);
  bool finite = true;
  for (int i = 0; i < kWinogradOutputs * kWinogradOutputs; ++i) {
    const float size = math::abs(sums[i]);
    finite = finite && size < INFINITY;
  }

  const device T* image = x + p.conv.x_first + tile.image * p.conv.x_stride[0];
  const WeightSteps steps = weight_steps(p.conv, 0, channel);
  const Output<T> to{bias, residual, y, nullptr};
  const int height = p.conv.axis[1].out, width = p.conv.axis[2].out;
  for (int i = 0; i < kWinogradOutputs * kWinogradOutputs; ++i) {
    const int row = tile.row + i / kWinogradOutputs, column = tile.column + i % kWinogradOutputs;
    if (row >= height || column >= width) continue;
    const float sum = finite ? sums[i] : direct_sum(p.conv, image, w, steps, row, column);
    to.store(((long(tile.image) * height + row) * width + column) * p.conv.o + channel, channel, sum);
  }
}

#define NHWC_FLOAT(dtype, T)                                                                          \
  template [[host_name("conv_winograd_weights_" #dtype)]] [[kernel]] void conv_winograd_weights<T>(   \
      const device T*, device float*, constant ConvWinogradParams&, uint, uint, uint);                \
  template [[host_name("conv_winograd_input_" #dtype)]] [[kernel]] void conv_winograd_input<T>(       \
      const device T*, device float*, constant ConvWinogradParams&, uint, uint, uint);                \
  template [[host_name("conv_winograd_output_" #dtype)]] [[kernel]] void conv_winograd_output<T>(     \
      const device float*, const device T*, const device T*, const device T*, const device T*, device T*, \
      constant ConvWinogradParams&, uint, uint, uint);
#include "instances/floats.inc"
